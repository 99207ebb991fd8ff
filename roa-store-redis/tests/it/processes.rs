//! An owner in another process that is stopped for longer than its lease: the store itself keeps it from writing.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use roa_core::{CommitError, Expect, Revision, Store, Value};
use roa_store_redis::test_util::RedisServer;

use crate::support::{BOUND, config, key, open, txn, until};

/// Says that this process is a child, and where the store is.
const VARIABLE: &str = "ROA_REDIS_CHILD";

/// Does nothing, unless this process was started as a child. Then it becomes the owner, and writes as such whenever it
/// is told to: it has no clock that would keep it from that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process() {
    let Ok(url) = std::env::var(VARIABLE) else { return };
    let store = open(config(url)).await;
    let ownership = store.commit(txn().create(key("owner"), Value::opaque("first"))).await.unwrap();
    // The harness has written the begin of a line.
    say(&format!("\nowns {ownership}"));
    for (number, _told) in std::io::stdin().lines().enumerate() {
        let work = txn().guard(key("owner"), Expect::At(ownership));
        let written = store.commit(work.create(key(&format!("work-{number}")), Value::opaque("first"))).await;
        match written {
            Ok(revision) => say(&format!("wrote {revision}")),
            Err(CommitError::GuardFailed { current, .. }) => say(&format!("fenced {}", current.unwrap())),
            Err(other) => say(&format!("failed {other}")),
        }
    }
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").unwrap();
    stdout.flush().unwrap();
}

struct Owner {
    child: Child,
    lines: Receiver<String>,
}

impl Owner {
    fn start(url: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::process", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let words = ["owns", "wrote", "fenced", "failed"];
            let mut said =
                stdout.lines().map_while(Result::ok).filter(|line| words.iter().any(|word| line.starts_with(word)));
            said.all(|line| sender.send(line).is_ok())
        });
        Self { child, lines }
    }

    /// What it says next.
    fn says(&self) -> (String, Revision) {
        let line = self.lines.recv_timeout(BOUND).unwrap();
        let (word, revision) = line.split_once(' ').unwrap();
        (word.to_owned(), revision.parse().unwrap_or_else(|_| panic!("{line}")))
    }

    fn write(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"write\n").unwrap();
    }

    /// Whether each of its threads has stopped: a signal is on its way for a moment.
    fn is_stopped(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let state = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("stat")).unwrap();
        // The state stands after the name, which is in parentheses.
        tasks.map(Result::unwrap).map(state).all(|stat| stat.rsplit_once(") ").unwrap().1.starts_with('T'))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l5_an_owner_that_was_stopped_and_succeeded_is_fenced_by_the_store() {
    let server = RedisServer::start();
    let store = open(config(server.unix_url())).await;
    let mut owner = Owner::start(&server.unix_url());
    let (_, ownership) = owner.says();
    owner.write();
    assert_eq!(owner.says(), ("wrote".to_owned(), ownership.next().unwrap()));
    owner.signal("-STOP");
    until("the owner is stopped", || owner.is_stopped());
    // It is told to write while it can't know of its successor.
    owner.write();
    let takeover = txn().update(key("owner"), Value::opaque("second"), ownership);
    let taken = store.commit(takeover).await.unwrap();
    let work = txn().guard(key("owner"), Expect::At(taken)).create(key("mine"), Value::opaque("second"));
    let head = store.commit(work).await.unwrap();
    owner.signal("-CONT");
    assert_eq!(owner.says(), ("fenced".to_owned(), taken));
    assert_eq!(store.state().await.unwrap().head, head, "nothing moved for it");
    assert_eq!(store.get(&key("work-1")).await.unwrap().entry, None);
}
