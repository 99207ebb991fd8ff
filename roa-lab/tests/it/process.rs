//! Labs that are processes: begun once, found again, ended for good.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use roa_core::HumanDuration;
use roa_lab::provision::{LabIdentity, Observation, ProcessProvisioner, ProvisionError, Provisioner, StopProgress};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::support::{
    Mortal, Place, eventually, exited, get, processes_in, processes_of, ready, request, roa, script, shims_of, signal,
    site, stopped,
};

const FOR_EVER: &str = "exec sleep 300";

#[tokio::test]
async fn a_lab_becomes_ready_and_answers() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("hello from a lab")));
    assert_eq!(provisioner.observe(&request).await.unwrap(), Observation::Absent);
    provisioner.start(&request).await.unwrap();
    let answer = get(&ready(&provisioner, &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello from a lab"), "{answer}");
    assert_eq!(provisioner.list().await.unwrap(), [lab]);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_it_is_started_it_runs_once() {
    let (place, lab) = place_and_lab();
    let request = request(&lab, site(""));
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        // Each as if it were another `roa` on the same data directory.
        let (provisioner, request) = (place.provisioner(), request.clone());
        starts.spawn(async move { provisioner.start(&request).await });
    }
    for started in starts.join_all().await {
        started.unwrap();
    }
    let provisioner = place.provisioner();
    ready(&provisioner, &request).await;
    eventually("the shims that found another have ended", async || (shims_of(&lab).len() == 1).then_some(())).await;
    let child = place.child(&lab).await;
    provisioner.start(&request).await.unwrap();
    assert_eq!(processes_of(&lab), [child]);
    assert_eq!(place.child(&lab).await, child);
}

#[tokio::test]
async fn a_second_shim_finds_the_lock_and_ends_in_peace() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    let child = place.child(&lab).await;
    let second = Command::new(roa()).args(["lab-shim", "--dir"]).arg(place.lab_dir(&lab)).status().unwrap();
    assert!(second.success(), "{second}");
    assert_eq!(processes_of(&lab), [child]);
}

#[tokio::test]
async fn a_shim_runs_what_is_recorded_once_only() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, script("echo once; exit 4")));
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    eventually("the shim has ended", async || shims_of(&lab).is_empty().then_some(())).await;
    let late = Command::new(roa()).args(["lab-shim", "--dir"]).arg(place.lab_dir(&lab)).status().unwrap();
    assert!(late.success(), "{late}");
    assert_eq!(provisioner.logs(&lab.uid).await.unwrap().unwrap(), "once\n");
}

#[tokio::test]
async fn labs_survive_the_death_of_the_program_that_started_them() {
    let (place, lab) = place_and_lab();
    let other = Mortal::new(Command::new(roa()).args(["serve", "--data"]).arg(place.path()).args(["--uid", &lab.uid]));
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    eventually("the lab is begun", async || place.json(&lab, "state.json").filter(|state| !state["child"].is_null()))
        .await;
    drop(other);

    let answer = get(&ready(&provisioner, &request).await).await;
    assert!(answer.ends_with("hello\n"), "{answer}");
    let child = place.child(&lab).await;
    provisioner.start(&request).await.unwrap();
    assert_eq!(processes_of(&lab), [child], "a start after a restart adopts");
    assert_eq!(provisioner.list().await.unwrap()[0].name, "example");
    stopped(&provisioner, &lab).await;
}

#[tokio::test]
async fn a_provisioner_that_is_dropped_ends_no_lab() {
    let (place, lab) = place_and_lab();
    let request = request(&lab, site(""));
    place.provisioner().start(&request).await.unwrap();
    ready(&place.provisioner(), &request).await;
    assert!(matches!(place.provisioner().observe(&request).await, Ok(Observation::Ready { .. })));
}

#[tokio::test]
async fn drift_a_killed_process_is_seen_and_can_be_begun_anew() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("again")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    let first = place.child(&lab).await;
    signal(first, Signal::SIGKILL);
    let end = exited(&provisioner, &request).await;
    assert_eq!(end, (None, Some(9), "killed by SIGKILL".to_owned()));

    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    assert_ne!(place.child(&lab).await, first);
    assert_eq!(processes_of(&lab).len(), 1);
}

#[tokio::test]
async fn a_process_whose_shim_was_killed_is_ended_by_the_next_start() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    let stray = place.child(&lab).await;
    signal(place.shim(&lab).await, Signal::SIGKILL);
    let (_, _, message) = exited(&provisioner, &request).await;
    assert!(message.contains("left behind"), "{message}");
    assert_eq!(processes_of(&lab), [stray]);

    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    eventually("the stray is gone", async || (!processes_of(&lab).contains(&stray)).then_some(())).await;
    assert_eq!(processes_of(&lab), [place.child(&lab).await]);
}

#[tokio::test]
async fn a_process_whose_shim_was_killed_is_ended_by_a_stop() {
    let (place, lab) = place_and_lab();
    // One in another session, one without the mark: each is found by what the other lacks.
    let request = request(&lab, script("setsid sleep 301 & env -u ROA_LAB_UID sleep 302 & exec sleep 300"));
    let provisioner = place.provisioner();
    provisioner.start(&request).await.unwrap();
    let shim = place.shim(&lab).await;
    eventually("both run", async || (processes_of(&lab).len() == 2).then_some(())).await;
    eventually("all run", async || (processes_in(&place.lab_dir(&lab)).len() == 3).then_some(())).await;
    signal(shim, Signal::SIGKILL);
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn a_stop_leaves_no_process_and_no_directory() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    let shim = place.shim(&lab).await;
    assert_eq!(provisioner.stop(&lab).await.unwrap(), StopProgress::Stopping, "the first call does not wait");
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
    assert_eq!(provisioner.observe(&request).await.unwrap(), Observation::Absent);
    assert_eq!(provisioner.stop(&lab).await.unwrap(), StopProgress::Gone);
    assert!(!Path::new("/proc").join(shim.to_string()).exists(), "the shim was waited for: it is no zombie");
}

#[tokio::test]
async fn a_lab_whose_directory_was_taken_away_is_found_and_ended() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    let elsewhere = Place::new();
    fs::remove_dir_all(place.lab_dir(&lab)).unwrap();
    let listed = provisioner.list().await.unwrap();
    assert_eq!(listed.iter().map(|found| found.uid.as_str()).collect::<Vec<_>>(), [lab.uid.as_str()]);
    assert!(elsewhere.provisioner().list().await.unwrap().is_empty(), "it is none of another data directory's");
    stopped(&provisioner, &listed[0]).await;
    assert_gone(&place, &lab);
    assert!(provisioner.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lab_is_asked_with_its_own_signal_and_may_end_in_its_own_way() {
    let (place, lab) = place_and_lab();
    let farewell = place.path().join("farewell");
    let mut template = script("trap 'echo bye > {FAREWELL}; exit 0' INT; touch trapped; while :; do sleep 0.01; done");
    template.stop_signal = "SIGINT".to_owned();
    let mut request = request(&lab, template);
    request.environment.insert("FAREWELL".to_owned(), farewell.display().to_string());
    let provisioner = place.provisioner();
    provisioner.start(&request).await.unwrap();
    eventually("it listens", async || place.lab_dir(&lab).join("work/trapped").exists().then_some(())).await;
    stopped(&provisioner, &lab).await;
    assert_eq!(fs::read_to_string(farewell).unwrap(), "bye\n");
}

#[tokio::test]
async fn a_lab_that_ignores_its_signal_is_killed_after_its_grace() {
    let (place, lab) = place_and_lab();
    let mut template = script("trap '' TERM; touch trapped; while :; do sleep 0.01; done");
    template.stop_grace = HumanDuration(Duration::from_millis(300));
    // The shim is to do it: nobody comes to its help.
    let mut config = place.config();
    config.stop_margin = Duration::MAX;
    let (provisioner, request) = (ProcessProvisioner::new(config).unwrap(), request(&lab, template));
    provisioner.start(&request).await.unwrap();
    eventually("it ignores", async || place.lab_dir(&lab).join("work/trapped").exists().then_some(())).await;
    let child = place.child(&lab).await;
    assert_eq!(provisioner.stop(&lab).await.unwrap(), StopProgress::Stopping);
    assert!(processes_of(&lab).contains(&child), "it has its grace");
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn a_shim_that_hangs_is_killed_with_its_lab() {
    let (place, lab) = place_and_lab();
    let mut config = place.config();
    config.stop_margin = Duration::from_millis(100);
    let provisioner = ProcessProvisioner::new(config).unwrap();
    let mut template = site("");
    template.stop_grace = HumanDuration(Duration::from_millis(100));
    let request = request(&lab, template);
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    signal(place.shim(&lab).await, Signal::SIGSTOP);
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let (place, lab) = place_and_lab();
    let left_behind = "sleep 301 & env -u ROA_LAB_UID sleep 302 & setsid sleep 303 & sleep 0.1; exit 5";
    let (provisioner, request) = (place.provisioner(), request(&lab, script(left_behind)));
    provisioner.start(&request).await.unwrap();
    let (code, _, message) = exited(&provisioner, &request).await;
    assert_eq!((code, message.as_str()), (Some(5), "exited with code 5"));
    eventually("nothing is left", async || processes_in(&place.lab_dir(&lab)).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let (place, lab) = place_and_lab();
    let mut template = script("");
    template.command = vec!["python3-that-nobody-has".to_owned(), "-m".to_owned()];
    let (provisioner, request) = (place.provisioner(), request(&lab, template));
    provisioner.start(&request).await.unwrap();
    let end = exited(&provisioner, &request).await;
    assert_eq!(end, (Some(127), None, "python3-that-nobody-has: not found".to_owned()));
}

#[tokio::test]
async fn a_program_for_shims_that_is_not_there_is_named() {
    let (place, lab) = place_and_lab();
    let mut config = place.config();
    config.roa_binary = "/nowhere/roa".into();
    let provisioner = ProcessProvisioner::new(config).unwrap();
    let error = provisioner.start(&request(&lab, script(FOR_EVER))).await.unwrap_err();
    assert!(error.to_string().starts_with("run /nowhere/roa: ") && error.is_retryable(), "{error}");
    stopped(&provisioner, &lab).await;
}

#[tokio::test]
async fn t14_an_exit_tells_the_last_lines_and_no_secret() {
    let (place, lab) = place_and_lab();
    let mut request = request(&lab, script("echo starting; echo \"bad password: $DB_PASSWORD\" >&2; exit 3"));
    request.environment.insert("DB_PASSWORD".to_owned(), "canary".to_owned());
    let provisioner = place.provisioner();
    provisioner.start(&request).await.unwrap();
    let (code, _, message) = exited(&provisioner, &request).await;
    assert_eq!(code, Some(3));
    assert_eq!(message, "exited with code 3: starting / bad password: <redacted>");
    for file in ["exit.json", "state.json", "shim.log"] {
        let text = fs::read_to_string(place.lab_dir(&lab).join(file)).unwrap();
        assert!(!text.contains("canary"), "{file}: {text}");
    }
}

#[tokio::test]
async fn the_newest_output_is_kept_below_the_cap() {
    let (place, lab) = place_and_lab();
    let mut config = place.config();
    config.log_cap_bytes = 8192;
    let provisioner = ProcessProvisioner::new(config).unwrap();
    let request = request(&lab, script("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"));
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    let output = provisioner.logs(&lab.uid).await.unwrap().unwrap();
    assert!((4096..=8192).contains(&output.len()), "{} bytes", output.len());
    assert!(output.ends_with("line 2998\nline 2999\n") && !output.contains("line 0\n"));
}

#[tokio::test]
async fn a_lab_gets_its_own_environment_and_of_ours_what_is_allowed() {
    let (place, lab) = place_and_lab();
    let mut config = place.config();
    config.inherited_environment = vec!["PATH".to_owned()];
    let provisioner = ProcessProvisioner::new(config).unwrap();
    let mut request = request(&lab, script("env"));
    request.environment.insert("PYTHON_VERSION".to_owned(), "3.11".to_owned());
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    let output = provisioner.logs(&lab.uid).await.unwrap().unwrap();
    let mut names: Vec<_> = output.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The shell's own.
    names.retain(|name| !["_", "PWD", "OLDPWD", "SHLVL"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["PATH", "PYTHON_VERSION", "ROA_LAB_UID"]);
    assert!(std::env::vars_os().count() > 1, "there was something to keep back");
}

#[tokio::test]
async fn a_port_that_was_taken_meanwhile_is_given_up_for_another() {
    let (place, lab) = place_and_lab();
    // The first run waits until the test has taken its port.
    let wait = "[ -e given ] || { touch asked; while [ ! -e given ]; do sleep 0.01; done; }";
    let mut template = site("on another port");
    let serve = format!("{wait}; exec '{{roa}}' static-site --dir '{{dir}}' --port {{port}}");
    template.command = ["sh", "-c", &serve].map(str::to_owned).to_vec();
    let (provisioner, request) = (place.provisioner(), request(&lab, template));
    provisioner.start(&request).await.unwrap();
    let work = place.lab_dir(&lab).join("work");
    let port = eventually("the first port is known", async || {
        let state = place.json(&lab, "state.json").filter(|_| work.join("asked").exists())?;
        state["child"]["port"].as_u64().and_then(|port| u16::try_from(port).ok())
    })
    .await;
    let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    fs::write(work.join("given"), "").unwrap();

    // The holder takes connections but does not answer: nobody may think that it is the lab.
    let endpoint = ready(&provisioner, &request).await;
    assert!(!endpoint.ends_with(&format!(":{port}")), "{endpoint}");
    assert!(get(&endpoint).await.ends_with("on another port"));
}

#[tokio::test]
async fn a_lab_that_stops_answering_is_unhealthy_until_it_answers_again() {
    let (place, lab) = place_and_lab();
    let mut template = site("");
    template.readiness.timeout = HumanDuration(Duration::from_millis(200));
    let (provisioner, request) = (place.provisioner(), request(&lab, template));
    provisioner.start(&request).await.unwrap();
    let endpoint = ready(&provisioner, &request).await;
    let child = place.child(&lab).await;
    signal(child, Signal::SIGSTOP);
    let sick = eventually("it is unhealthy", async || match provisioner.observe(&request).await.unwrap() {
        Observation::Unhealthy { endpoint, reason } => Some((endpoint, reason)),
        _ => None,
    })
    .await;
    assert_eq!(sick.0, endpoint);
    assert!(sick.1.contains("within 200ms"), "{}", sick.1);
    signal(child, Signal::SIGCONT);
    eventually("it is ready again", async || {
        matches!(provisioner.observe(&request).await.unwrap(), Observation::Ready { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reused_pid_is_never_signalled() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, script("exit 0")));
    provisioner.start(&request).await.unwrap();
    exited(&provisioner, &request).await;
    eventually("the shim has ended", async || shims_of(&lab).is_empty().then_some(())).await;

    // As if the numbers of shim and lab had gone to another program; the second time with the same start time even.
    let mut bystander = Mortal::new(Command::new("sleep").arg("300"));
    for start_time in [bystander.start_time() + 1, bystander.start_time()] {
        let process = json!({ "pid": bystander.pid(), "startTime": start_time });
        let child = json!({ "process": process, "port": 1, "startedAt": "2027-01-01T00:00:00Z" });
        let state = json!({ "shim": process, "child": child }).to_string();
        fs::write(place.lab_dir(&lab).join("state.json"), &state).unwrap();
        fs::remove_file(place.lab_dir(&lab).join("exit.json")).unwrap();
        let (_, _, message) = exited(&provisioner, &request).await;
        assert!(message.contains("gone"), "{message}");
        provisioner.start(&request).await.unwrap();
        exited(&provisioner, &request).await;
        fs::write(place.lab_dir(&lab).join("state.json"), &state).unwrap();
    }
    stopped(&provisioner, &lab).await;
    assert!(bystander.lives());
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn a_lab_whose_files_were_damaged_can_still_be_stopped() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, site("")));
    provisioner.start(&request).await.unwrap();
    ready(&provisioner, &request).await;
    fs::write(place.lab_dir(&lab).join("state.json"), "{").unwrap();
    assert_eq!(provisioner.observe(&request).await.unwrap(), Observation::Starting);
    fs::remove_file(place.lab_dir(&lab).join("lab.json")).unwrap();
    assert_eq!(provisioner.list().await.unwrap()[0].uid, lab.uid);
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn a_lab_whose_directory_was_removed_can_still_be_stopped() {
    let (place, lab) = place_and_lab();
    let (provisioner, request) = (place.provisioner(), request(&lab, script(FOR_EVER)));
    provisioner.start(&request).await.unwrap();
    place.child(&lab).await;
    fs::remove_dir_all(place.lab_dir(&lab)).unwrap();
    assert_eq!(provisioner.observe(&request).await.unwrap(), Observation::Absent);
    stopped(&provisioner, &lab).await;
    assert_gone(&place, &lab);
}

#[tokio::test]
async fn there_are_never_more_labs_than_allowed_and_each_end_makes_room() {
    let place = Place::new();
    let mut config = place.config();
    config.max_labs = 1;
    let provisioner = ProcessProvisioner::new(config).unwrap();
    let (first, second) = (place.lab("first"), place.lab("second"));
    provisioner.start(&request(&first, script(FOR_EVER))).await.unwrap();
    let refused = provisioner.start(&request(&second, script(FOR_EVER))).await.unwrap_err();
    assert!(matches!(refused, ProvisionError::AtCapacity { limit: 1, .. }), "{refused}");
    assert!(!place.lab_dir(&second).exists());
    provisioner.start(&request(&first, script(FOR_EVER))).await.unwrap();
    stopped(&provisioner, &first).await;
    provisioner.start(&request(&second, script(FOR_EVER))).await.unwrap();
    stopped(&provisioner, &second).await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_changes_nothing() {
    let (place, lab) = place_and_lab();
    let mut template = site("");
    template.files.insert("../outside".to_owned(), String::new());
    let error = place.provisioner().start(&request(&lab, template)).await.unwrap_err();
    assert!(!error.is_retryable() && error.to_string().contains("../outside"), "{error}");
    assert!(!place.lab_dir(&lab).exists());
}

#[tokio::test]
async fn an_answer_counts_only_while_the_process_lives() {
    let (place, lab) = place_and_lab();
    let mut template = script("while [ ! -e given ]; do sleep 0.01; done; exit 0");
    template.readiness.http_get = Some("/".to_owned());
    template.readiness.timeout = HumanDuration(Duration::from_secs(20));
    let (provisioner, request) = (place.provisioner(), request(&lab, template));
    provisioner.start(&request).await.unwrap();
    place.child(&lab).await;
    let port = u16::try_from(place.json(&lab, "state.json").unwrap()["child"]["port"].as_u64().unwrap()).unwrap();

    // Another program has the lab's port, and answers when the lab's process has just ended.
    let imposter = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let answer = async {
        let (mut stream, _) = imposter.accept().await.unwrap();
        fs::write(place.lab_dir(&lab).join("work/given"), "").unwrap();
        eventually("the lab has ended", async || place.json(&lab, "exit.json")).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        // Until the other side has read it.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    };
    let (observed, ()) = tokio::join!(provisioner.observe(&request), answer);
    assert!(matches!(observed, Ok(Observation::Exited { code: Some(0), .. })), "{observed:?}");
}

#[tokio::test]
async fn a_start_waits_for_who_is_still_busy_with_the_lab_and_not_for_ever() {
    let (place, lab) = place_and_lab();
    let request = request(&lab, site(""));
    fs::create_dir_all(place.lab_dir(&lab)).unwrap();
    let busy = fs::File::create(place.lab_dir(&lab).join("lock")).unwrap();
    busy.lock().unwrap();
    let mut config = place.config();
    config.start_timeout = Duration::from_millis(100);
    let error = ProcessProvisioner::new(config).unwrap().start(&request).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Deadline { .. }) && error.is_retryable(), "{error}");

    let provisioner = place.provisioner();
    let (started, ()) = tokio::join!(provisioner.start(&request), async {
        assert!(shims_of(&lab).is_empty());
        busy.unlock().unwrap();
    });
    started.unwrap();
    ready(&provisioner, &request).await;
}

fn place_and_lab() -> (Place, LabIdentity) {
    let place = Place::new();
    let lab = place.lab("a");
    (place, lab)
}

fn assert_gone(place: &Place, lab: &LabIdentity) {
    assert_eq!(processes_of(lab), Vec::<i32>::new());
    assert_eq!(processes_in(&place.lab_dir(lab)), Vec::<i32>::new());
    assert_eq!(shims_of(lab), Vec::<i32>::new());
    assert!(!place.lab_dir(lab).exists());
}
