//! Values of variables whose names end in PASSWORD, TOKEN, SECRET or KEY reach the lab, and nothing that anybody reads.

use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_lab::LabState;
use roa_store_redis::test_util::RedisServer;
use serde_json::Value;

use crate::control_plane::{Roa, command};
use crate::labs::{Address, processes_below};

const CANARY: &str = "canary-91f3";

/// One lab that works and one that does not, both of which tell all that they know.
const LEAKY: &str = r#"
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: leaky, namespace: labs }
spec:
  provisioner: process
  process:
    command: [sh, -c, "echo $DB_PASSWORD {api_key}; env; env > proof; exec '{roa}' static-site --port {port} --dir '{dir}'"]
    files: { index.html: hi }
    readiness: { httpGet: / }
---
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: broken, namespace: labs }
spec:
  provisioner: process
  process:
    command: [sh, -c, "echo \"could not log in with $DB_PASSWORD {api_key}\" >&2; echo $SSH_SECRET; exit 3"]
---
apiVersion: lab.neuroglia.com/v1
kind: LabTemplate
metadata: { name: absent, namespace: labs }
spec:
  provisioner: process
  process: { command: ["{DB_PASSWORD}"] }
"#;

fn manifest(name: &str) -> String {
    format!(
        r#"
---
apiVersion: lab.neuroglia.com/v1
kind: LabInstance
metadata: {{ name: {name}, namespace: labs }}
spec:
  template: {name}
  studentEmail: a@example.com
  environment: {{ DB_PASSWORD: {CANARY}, api_key: "{CANARY}-2", GithubToken: {CANARY}, SSH_SECRET: "{CANARY}\n{CANARY}-3", LEVEL: three }}
"#
    )
}

/// Whether there is a canary in it, and where.
#[track_caller]
fn assert_silent(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(CANARY));
    assert_eq!(line, None, "{what} tells a secret");
}

fn is_in(state: LabState, store: &Address, name: &str) -> Option<()> {
    (store.labs().get(name)?.status.state() == state).then_some(())
}

fn tell_all(store: impl FnOnce(&Path) -> Address, variables: &[(&str, &str)]) {
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let all: String = ["leaky", "broken", "absent"].map(manifest).concat();
    std::fs::write(dir.path().join("manifests/labs.yaml"), format!("{LEAKY}{all}")).unwrap();
    let quick =
        [("ROA_LAB__MAX_RETRIES", "1"), ("ROA_LAB__RETRY_BACKOFF", "100ms"), ("ROA_LAB__SWEEP_INTERVAL", "500ms")];
    // The same as -vvv.
    let variables = [&quick, variables, &[("ROA_LOG__FILTER", "trace")]].concat();
    let store = store(dir.path());
    let mut roa = Roa::start_in(dir.clone(), "data", &variables);
    roa.until("it listens", || roa.ask("/livez"));
    roa.until("it works", || is_in(LabState::Ready, &store, "leaky"));
    for name in ["broken", "absent"] {
        roa.until("it fails", || is_in(LabState::Failed, &store, name));
    }
    let process = processes_below(dir.path()).into_iter().find(|process| !process.is_shim).unwrap();
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
    roa.until("it is repaired", || {
        let now = processes_below(dir.path()).into_iter().find(|process| !process.is_shim)?;
        (now.pid != process.pid && !store.labs()["leaky"].status.is_degraded()).then_some(())
    });

    for path in ["/metrics", "/readyz", "/livez"] {
        assert_silent(path, &roa.ask(path).unwrap());
    }
    for arguments in [&["leaky"][..], &["leaky", "--previous"], &["broken"]] {
        let mut logs = command(dir.path());
        logs.args(["-vvv", "logs", "-n", "labs", "--data-dir", "data"]).args(arguments).envs(variables.iter().copied());
        let output = logs.env_remove("ROA_LOG__FILTER").stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains("<redacted>"), "{arguments:?}: {told}");
        assert_silent("roa logs", &told);
        assert_silent("roa -vvv logs", &String::from_utf8_lossy(&output.stderr));
    }
    for (lab, format) in [("leaky", "text"), ("leaky", "json"), ("broken", "json")] {
        let mut why = command(dir.path());
        why.args(["-vvv", "why", &format!("labinstance/{lab}"), "-n", "labs", "--data-dir", "data"]);
        why.envs(variables.iter().copied()).env_remove("ROA_LOG__FILTER");
        let output = if format == "json" { why.args(["-o", format]).output() } else { why.output() }.unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && told.contains(lab), "{told}{}", String::from_utf8_lossy(&output.stderr));
        assert_silent("roa why", &told);
        assert_silent("roa -vvv why", &String::from_utf8_lossy(&output.stderr));
    }
    for kind in ["labtemplates", "events"] {
        store.objects(kind).iter().for_each(|object| assert_silent(kind, &object.to_string()));
    }
    assert!(store.objects("events").iter().any(|event| event.to_string().contains("<redacted>")), "it was told so");
    for mut lab in store.objects("labinstances") {
        let own = lab["spec"]["environment"].take();
        assert!(own.to_string().contains(CANARY), "who may read the lab may read what it was given: {own}");
        assert_silent("a lab's object", &lab.to_string());
    }
    assert!(roa.terminate().success());
    assert_silent("the log", &roa.log());
    assert!(roa.log().contains("\"level\":\"DEBUG\""), "it logs all that there is");
    proof_that_the_labs_got_them(&dir.path().join("data/labs"));
}

fn proof_that_the_labs_got_them(labs: &Path) {
    let labs: Vec<_> = std::fs::read_dir(labs).unwrap().map(|entry| entry.unwrap().path()).collect();
    let proofs: Vec<String> =
        labs.iter().filter_map(|lab| std::fs::read_to_string(lab.join("work/proof")).ok()).collect();
    assert!(proofs.len() == 1 && proofs[0].contains(&format!("DB_PASSWORD={CANARY}\n")), "{proofs:?}");
    for file in labs.iter().flat_map(|lab| std::fs::read_dir(lab).unwrap()).map(|entry| entry.unwrap().path()) {
        // Only the record has them, which nobody but the owner can read; from it the lab gets them.
        if file.is_file() && !file.ends_with("lab.json") {
            assert_silent(&file.display().to_string(), &std::fs::read_to_string(&file).unwrap());
        }
    }
}

#[test]
fn t14_no_secret_of_a_lab_shows_on_sqlite() {
    tell_all(|dir| Address::Sqlite(dir.join("data/roa.db")), &[]);
}

#[test]
fn t14_no_secret_of_a_lab_shows_on_redis() {
    let server = RedisServer::start();
    let url = server.url();
    let variables = [("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", url.as_str())];
    tell_all(|_| Address::Redis(url.clone()), &variables);
}

#[test]
fn t14_a_manifest_is_refused_without_a_word_of_its_secrets() {
    let lab = |environment: &str| {
        format!(
            "{{\"apiVersion\": \"lab.neuroglia.com/v1\", \"kind\": \"LabInstance\", \"metadata\": {{\"name\": \"a\"}}, \
             \"spec\": {{\"template\": \"t\", \"studentEmail\": \"a@b.c\", \"environment\": {environment}}}}}"
        )
    };
    let of = |name: &str, value: &Value| lab(&serde_json::json!({name: value}).to_string());
    let text = Value::from(CANARY);
    let cases = [
        of("1_TOKEN", &text),
        of("LD_TOKEN", &text),
        of("A-KEY", &text),
        of("A_TOKEN", &format!("{CANARY}\0").into()),
        of("A_TOKEN", &CANARY.repeat(10_000).into()),
        of("A_TOKEN", &serde_json::json!([CANARY])),
        of("A_TOKEN", &serde_json::json!({CANARY: CANARY})),
        lab(&format!("{{\"A_TOKEN\": \"{CANARY}\", \"A_TOKEN\": \"{CANARY}\"}}")),
        lab(&format!("{{\"A_TOKEN\": \"{CANARY}\" \"B\"}}")),
        lab(&format!("{{\"A_TOKEN\": \"{CANARY}\\q\"}}")),
        lab(&format!("{{\"A_TOKEN\": \"{CANARY}")),
    ];
    for (number, text) in cases.iter().enumerate() {
        for name in ["lab.json", "lab.yaml"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
            let mut run = command(dir.path());
            run.args(["-vvv", "run", "--data-dir", "data", "--store-backend", "memory", "-f", name]);
            let output = run.stdin(Stdio::null()).output().unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "case {number}: {told}");
            assert_silent(&format!("case {number} in {name}: {told}"), &told);
        }
    }
}
