//! `roa run` is killed while it brings labs up and takes them away: after each restart there is one process for each lab
//! that should run, none for any other, and all reach the state that they should.
//!
//! A few kills by default; `KILLS=30` makes it as many, `SEED` other moments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use roa_core::{Random, RandomExt, SeededRandom};
use roa_lab::{Lab, LabState};
use roa_store_redis::test_util::RedisServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::control_plane::{Roa, port, visit};
use crate::labs::{Address, LabProcess, processes_below};

const KILLS: u32 = 6;
const SEED: u64 = 7_402_233;
/// No round takes longer to come to rest.
const BOUND: Duration = Duration::from_secs(60);
/// A killed leader is replaced soon, and what fails is not tried for long.
const QUICK: &[(&str, &str)] = &[
    ("ROA_LEASE__DURATION", "1s"),
    ("ROA_LEASE__RENEW_DEADLINE", "600ms"),
    ("ROA_LEASE__RETRY_PERIOD", "200ms"),
    ("ROA_LAB__POLL_INTERVAL", "200ms"),
    ("ROA_LAB__SWEEP_INTERVAL", "500ms"),
    ("ROA_LAB__MAX_RETRIES", "1"),
    ("ROA_LAB__RETRY_BACKOFF", "300ms"),
    ("ROA_LOG__FILTER", "info,roa_lab=debug"),
];

fn number<T: std::str::FromStr>(variable: &str, otherwise: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn lab(name: &str, template: &str) -> Value {
    json!({"apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance", "metadata": {"name": name, "namespace": "labs"},
           "spec": {"template": template, "studentEmail": "a@example.com"}})
}

fn broken() -> Value {
    json!({"apiVersion": "lab.neuroglia.com/v1", "kind": "LabTemplate", "metadata": {"name": "broken", "namespace": "labs"},
           "spec": {"provisioner": "process", "process": {"command": ["sh", "-c", "exit 3"]}}})
}

/// A machine on which `roa run` is killed and started again.
struct Machine<'a> {
    dir: Rc<TempDir>,
    store: Address,
    variables: Vec<(&'a str, &'a str)>,
    random: SeededRandom,
}

impl Machine<'_> {
    fn start(&self) -> Roa {
        Roa::start_in(self.dir.clone(), "data", &self.variables)
    }

    /// Three new labs, and the end of those of the round before; killed at some moment of that.
    fn disturb(&self, round: u32) {
        let names = labs_of(round);
        let roa = self.start();
        roa.until("it listens", || roa.ask("/livez"));
        self.store.apply(&[lab(&names[0], "static-site"), lab(&names[1], "static-site"), lab(&names[2], "broken")]);
        for name in round.checked_sub(1).map(labs_of).into_iter().flatten() {
            self.store.delete("labs", &name);
        }
        if self.random.unit() < 0.7 {
            // Else it may be killed before it has even seen them.
            let before = entries(&self.dir.path().join("data/labs"));
            roa.until("one is begun", || (entries(&self.dir.path().join("data/labs")) != before).then_some(()));
        }
        let moment = Duration::from_millis(self.random.next_u64() % 600);
        std::thread::park_timeout(moment);
        roa.crash();
    }

    /// Starts it again, and waits until all is as it should be. At no time has a lab two processes.
    fn recovers(&self, round: u32) -> Roa {
        let (roa, begun) = (self.start(), Instant::now());
        loop {
            let processes = processes_below(&self.dir.path().join("data"));
            for uid in processes.iter().map(|process| &process.uid).collect::<BTreeSet<_>>() {
                let of_the_lab = of(&processes, uid, false);
                assert!(of_the_lab.len() <= 1, "round {round}: {uid} runs twice: {of_the_lab:?}\n{}", roa.log());
            }
            match self.whats_wrong(round) {
                None => return roa,
                Some(wrong) if begun.elapsed() > BOUND => panic!("round {round}: {wrong}\n{}", roa.log()),
                Some(_) => std::thread::park_timeout(Duration::from_millis(50)),
            }
        }
    }

    /// What is not as it should be, if anything is.
    fn whats_wrong(&self, round: u32) -> Option<String> {
        let labs = self.store.labs();
        let expected: BTreeSet<String> = labs_of(round).into_iter().collect();
        let there: BTreeSet<String> = labs.keys().cloned().collect();
        if there != expected {
            return Some(format!("the labs are {there:?}, expected {expected:?}"));
        }
        let processes = processes_below(&self.dir.path().join("data"));
        let mut wrong: Vec<String> = labs.values().filter_map(|lab| self.wrong_with(lab, &processes)).collect();
        let uids: BTreeMap<&str, &Lab> = labs.values().map(|lab| (lab.metadata.uid.as_str(), lab)).collect();
        let orphans = processes.iter().filter(|process| !uids.contains_key(process.uid.as_str()));
        wrong.extend(orphans.map(|orphan| format!("{orphan:?} has no lab")));
        let directories = entries(&self.dir.path().join("data/labs"));
        let strays = directories.iter().filter(|uid| !uids.contains_key(uid.as_str()));
        wrong.extend(strays.map(|uid| format!("the directory {uid} has no lab")));
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    fn wrong_with(&self, lab: &Lab, processes: &[LabProcess]) -> Option<String> {
        let (name, uid, state) = (&lab.metadata.name, &lab.metadata.uid, lab.status.state());
        let counts = [true, false].map(|is_shim| of(processes, uid, is_shim).len());
        let expected = if name.starts_with("bad") { (LabState::Failed, [0, 0]) } else { (LabState::Ready, [1, 1]) };
        if (state, counts) != expected {
            return Some(format!("{name} is {state} with {counts:?} shims and processes, expected {expected:?}"));
        }
        if state != LabState::Ready {
            return None;
        }
        let record = std::fs::read(self.dir.path().join("data/labs").join(uid).join("state.json")).ok()?;
        let port = port(&serde_json::from_slice(&record).ok()?)?;
        let says = lab.status.endpoint.clone().unwrap_or_default();
        let answers = says == format!("http://127.0.0.1:{port}") && visit(port).is_some();
        (!answers).then(|| format!("{name} should answer at {says:?}, its process has port {port}"))
    }
}

fn labs_of(round: u32) -> [String; 3] {
    ["good-a", "good-b", "bad"].map(|name| format!("{name}-{round}"))
}

fn of<'a>(processes: &'a [LabProcess], uid: &str, is_shim: bool) -> Vec<&'a LabProcess> {
    processes.iter().filter(|process| process.uid == uid && process.is_shim == is_shim).collect()
}

fn entries(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[expect(clippy::print_stdout, reason = "a run that fails is run again with its seed")]
fn kill_again_and_again(store: impl FnOnce(&Path) -> Address, kills: u32, variables: &[(&str, &str)]) {
    let seed = number("SEED", SEED);
    println!("{kills} kills with seed {seed}");
    let dir = Rc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let store = store(dir.path());
    let variables = [QUICK, variables].concat();
    let machine = Machine { dir, store, variables, random: SeededRandom::new(seed) };
    let mut roa = machine.start();
    roa.until("it listens", || roa.ask("/livez"));
    machine.store.apply(&[broken()]);
    assert!(roa.terminate().success(), "{}", roa.log());
    for round in 0..kills {
        machine.disturb(round);
        let mut roa = machine.recovers(round);
        if round + 1 == kills {
            labs_of(round).iter().for_each(|name| machine.store.delete("labs", name));
            roa.until("all are gone", || machine.store.labs().is_empty().then_some(()));
            roa.until("with all of them", || processes_below(machine.dir.path()).is_empty().then_some(()));
            assert!(roa.terminate().success(), "{}", roa.log());
        } else {
            // Its labs live on, into the next round.
            roa.crash();
        }
    }
}

#[test]
fn killed_at_random_it_loses_no_lab_and_runs_none_twice() {
    let sqlite = |dir: &Path| Address::Sqlite(dir.join("data/roa.db"));
    kill_again_and_again(sqlite, number("KILLS", KILLS), &[]);
}

#[test]
fn killed_at_random_on_redis_it_loses_no_lab_and_runs_none_twice() {
    let server = RedisServer::start();
    let url = server.url();
    let variables = [("ROA_STORE__BACKEND", "redis"), ("ROA_STORE__REDIS__URL", url.as_str())];
    kill_again_and_again(|_| Address::Redis(url.clone()), number("KILLS", KILLS).div_ceil(3), &variables);
}
