//! What labs that are processes wrote: read, and followed while they write.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use roa_lab::provision::{LabLogs, LogError, LogStream, ProcessProvisioner, Provisioner};
use roa_runtime::SystemClock;
use tokio::time::timeout;

use crate::support::{Place, eventually, exited, request, script, signal, stopped};

const PATIENCE: Duration = Duration::from_secs(30);

async fn follow(logs: &LabLogs, uid: &str, tail: Option<usize>) -> LogStream {
    logs.follow(uid, tail, Arc::new(SystemClock::new())).await.unwrap()
}

/// All output until it ends with `end`, or until its end.
async fn until(stream: &mut LogStream, end: &str) -> String {
    let mut output = Vec::new();
    let all = async {
        while !output.ends_with(end.as_bytes()) || end.is_empty() {
            let Some(piece) = stream.next().await.unwrap() else { break };
            output.extend(piece);
        }
    };
    timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("no {end:?} within {PATIENCE:?}"));
    String::from_utf8(output).unwrap()
}

#[tokio::test]
async fn a_log_is_followed_across_its_rotation_and_ends_when_the_lab_is_gone() {
    let place = Place::new();
    let lab = place.lab("a");
    let mut config = place.config();
    config.log_cap_bytes = 4096;
    let provisioner = ProcessProvisioner::new(config).unwrap();
    // 100 lines of 100 bytes are more than two files of 2048, slowly enough for a reader.
    let line = "x".repeat(90);
    let talk = format!("i=100; while [ $i -lt 200 ]; do echo {line} $i; i=$((i+1)); sleep 0.02; done; exec sleep 300");
    provisioner.start(&request(&lab, script(&talk))).await.unwrap();
    let logs = LabLogs::new(place.path());
    let mut stream = follow(&logs, &lab.uid, None).await;
    let output = until(&mut stream, " 199\n").await;
    let expected: String = (100..200).map(|number| format!("{line} {number}\n")).collect();
    assert_eq!(output, expected, "each line once, and none is missing");
    assert!(logs.read(&lab.uid, None).await.unwrap().len() < expected.len(), "the first are forgotten");

    let rest = async { until(&mut stream, "").await };
    let (rest, ()) = tokio::join!(rest, stopped(&provisioner, &lab));
    assert_eq!(rest, "");
    assert!(matches!(logs.read(&lab.uid, None).await, Err(LogError::Absent { .. })));
}

#[tokio::test]
async fn the_run_before_can_be_read_and_a_follower_goes_on_with_the_next() {
    let place = Place::new();
    let lab = place.lab("a");
    let (provisioner, logs) = (place.provisioner(), LabLogs::new(place.path()));
    let request = request(&lab, script("echo run of $$; exec sleep 300"));
    provisioner.start(&request).await.unwrap();
    let first = place.child(&lab).await;
    let mut stream = follow(&logs, &lab.uid, None).await;
    assert_eq!(until(&mut stream, "\n").await, format!("run of {first}\n"));
    assert!(matches!(logs.read_previous(&lab.uid, None).await, Err(LogError::NoPrevious { .. })));
    signal(first, Signal::SIGKILL);
    exited(&provisioner, &request).await;

    provisioner.start(&request).await.unwrap();
    let second = until(&mut stream, "\n").await;
    assert_eq!(second, format!("run of {}\n", place.child(&lab).await));
    assert_eq!(logs.read(&lab.uid, None).await.unwrap(), second.as_bytes());
    let previous = logs.read_previous(&lab.uid, None).await.unwrap();
    assert_eq!(String::from_utf8(previous).unwrap(), format!("run of {first}\n"));
}

#[tokio::test]
async fn only_the_last_lines_are_given_when_so_many_are_asked_for() {
    let place = Place::new();
    let lab = place.lab("a");
    let (provisioner, logs) = (place.provisioner(), LabLogs::new(place.path()));
    let request = request(&lab, script("echo one; echo two; echo three"));
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    assert_eq!(logs.read(&lab.uid, Some(2)).await.unwrap(), b"two\nthree\n");
    let mut stream = follow(&logs, &lab.uid, Some(1)).await;
    assert_eq!(until(&mut stream, "\n").await, "three\n");
}

#[tokio::test]
async fn labs_are_found_by_name_the_newest_last_and_what_is_none_of_ours_is_not() {
    let place = Place::new();
    let (provisioner, logs) = (place.provisioner(), LabLogs::new(place.path()));
    assert!(logs.find("labs", "a").await.unwrap().is_empty(), "there is no directory yet");
    let mut older = place.lab("a");
    older.uid.push_str("-older");
    let newer = place.lab("a");
    for lab in [&older, &newer, &place.lab("b")] {
        provisioner.start(&request(lab, script("exit 0"))).await.unwrap();
    }
    fs::create_dir(place.path().join("labs/nobody-knows")).unwrap();
    assert_eq!(logs.find("labs", "a").await.unwrap(), [older, newer]);
    assert!(logs.find("other", "a").await.unwrap().is_empty());
    for uid in ["unknown", "../labs", ""] {
        assert!(matches!(logs.read(uid, None).await, Err(LogError::Absent { .. })), "{uid:?}");
    }
}

/// A secret that a lab writes is in none of its files but the record that its shim reads it from, which is the owner's.
#[tokio::test]
async fn t14_no_secret_is_in_what_a_lab_wrote_though_it_got_it() {
    let place = Place::new();
    let lab = place.lab("a");
    let (provisioner, logs) = (place.provisioner(), LabLogs::new(place.path()));
    let proof = place.path().join("proof");
    // In two pieces, as its argument, and whole.
    let talk = "printf %s \"${DB_PASSWORD%ry}\"; sleep 0.2; echo ry; echo '{api_key}'; echo $DB_PASSWORD $LEVEL; echo $DB_PASSWORD >\"$PROOF\"";
    let mut request = request(&lab, script(talk));
    for (name, value) in
        [("DB_PASSWORD", "canary"), ("api_key", "canary-2"), ("LEVEL", "three"), ("PROOF", proof.to_str().unwrap())]
    {
        request.environment.insert(name.to_owned(), value.to_owned());
    }
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    let output = String::from_utf8(logs.read(&lab.uid, None).await.unwrap()).unwrap();
    assert_eq!(output, "<redacted>\n<redacted>\n<redacted> three\n");
    assert_eq!(fs::read_to_string(proof).unwrap(), "canary\n", "the lab itself has it");
    eventually("the shim has ended", async || place.json(&lab, "exit.json")).await;
    for file in fs::read_dir(place.lab_dir(&lab)).unwrap().map(|entry| entry.unwrap().path()) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if file.is_file() && name != "lab.json" {
            assert!(!fs::read_to_string(&file).unwrap().contains("canary"), "{name}");
        }
    }
}
