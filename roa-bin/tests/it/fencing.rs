//! Two operating system processes, one store: the one that was paused beyond its lease can't write, even without looking
//! at its own clock.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roa_core::{Error, Fence, Object, Ownership, ResourceStore, SystemRandom};
use roa_lab::LabTemplate;
use roa_runtime::{BootClock, Coordinator, Lease, LeaseConfig};
use roa_store_redis::test_util::RedisServer;

use crate::onlooker::Onlooker;

/// Where the store is, for the process that this test starts from its own program.
const ROLE: &str = "ROA_TEST_FENCED_CHILD";

fn config() -> LeaseConfig {
    let [duration, renew_deadline, retry_period] = [1_500, 1_000, 100].map(Duration::from_millis);
    LeaseConfig { duration, renew_deadline, retry_period }
}

/// Gets the lease, and lives no longer than that.
fn acquire(onlooker: &Onlooker, holder: &str) -> (Lease, Ownership) {
    let (store, clock) = (Arc::clone(&onlooker.store), Arc::new(BootClock::new()));
    let mut coordinator = Coordinator::new(store, clock, Arc::new(SystemRandom), holder, config()).unwrap();
    let lease = coordinator.lease("fenced").unwrap();
    onlooker.wait(async {
        let mut run = Box::pin(coordinator.run(roa_core::Cancellation::never()));
        let ownership = tokio::select! {
            ownership = lease.acquired() => ownership,
            () = &mut run => panic!("it ended"),
        };
        // Neither given back nor renewed any more.
        std::mem::forget(run);
        (lease.clone(), ownership)
    })
}

fn create(onlooker: &Onlooker, resources: &ResourceStore, name: &str) -> Result<(), Error> {
    let template = Object::new("fenced", name, roa_lab::builtin("simulated").unwrap());
    onlooker.wait(async { resources.api::<LabTemplate>()?.create(&template).await.map(|_| ()) })
}

/// What the test's other process does; nothing in a run of the tests.
#[test]
fn child() {
    let Ok(place) = std::env::var(ROLE) else { return };
    let onlooker = Onlooker::open(&place);
    let (lease, ownership) = acquire(&onlooker, "child");
    let fenced = onlooker.resources.clone().fenced_by(ownership);
    create(&onlooker, &fenced, "before").unwrap();
    say("held");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let head = || onlooker.wait(onlooker.store.state()).unwrap().head;
    let before = head();
    // The client-side check is switched off: nothing but the store stands between this process and the write.
    let refused = create(&onlooker, &fenced, "after");
    assert!(matches!(refused, Err(Error::Fenced(Fence::Ownership { .. }))), "{refused:?}");
    assert_eq!(head(), before, "a refused write moved the head");
    assert!(!lease.is_held(), "it knows by its own clock too");
    say("fenced");
}

fn say(word: &str) {
    let mut out = std::io::stderr();
    writeln!(out, "child: {word}").unwrap();
}

struct Paused(Child);

impl Paused {
    fn start(place: &str) -> Self {
        let program: PathBuf = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["fencing::child", "--exact", "--nocapture"]).env(ROLE, place);
        Self(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// It owns, is stopped for longer than its lease, is succeeded by this process, and goes on.
fn assert_refused_after_a_pause(place: &str) {
    let onlooker = Onlooker::open(place);
    let mut child = Paused::start(place);
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let mut hear = |word: &str| {
        let found = lines.by_ref().map(Result::unwrap).find(|line| line.contains(word) || line.contains("panicked"));
        assert_eq!(found, Some(format!("child: {word}")));
    };
    hear("held");
    child.signal(Signal::SIGSTOP);
    let (_, ownership) = acquire(&onlooker, "parent");
    create(&onlooker, &onlooker.resources.clone().fenced_by(ownership), "successor").unwrap();
    child.signal(Signal::SIGCONT);
    child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    hear("fenced");
}

#[test]
fn l5_a_process_that_was_paused_beyond_its_lease_is_refused_by_sqlite_alone() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused_after_a_pause(dir.path().join("shared.db").to_str().unwrap());
}

#[test]
fn l5_a_process_that_was_paused_beyond_its_lease_is_refused_by_redis_alone() {
    let server = RedisServer::start();
    assert_refused_after_a_pause(&server.url());
}
