//! Histories of processes that ended in the middle.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use roa_core::{At, CommitError, Expect, Key, Linearizable, RandomExt, SeededRandom, Store, Txn, TxnId, Value};
use tokio::runtime::Builder;
use tokio::sync::Notify;

use super::reference::{Flaky, Reference};
use super::{on_threads, revision};
use crate::checker::workload::{Workload, read_log};
use crate::checker::{Anomaly, CommitAnomaly, History, Journal, Recorder, State, Step, check};

/// Lines that outlive whoever writes them.
#[derive(Debug, Clone, Default)]
struct Lines {
    bytes: Arc<Mutex<Vec<u8>>>,
    /// Told when there are more bytes than this.
    many: usize,
    enough: Arc<Notify>,
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    fn history(&self) -> History {
        History::from_journal(&self.text(), Linearizable::Always).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock().unwrap();
        written.extend(bytes);
        if written.len() > self.many {
            self.enough.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a workload on a runtime that is ended in the middle, and gives what is left: the store and the journal.
fn ended_in_the_middle(seed: u64) -> (Arc<Flaky<Reference>>, State, Lines) {
    let lines = Lines { many: 100_000, ..Lines::default() };
    let store = Arc::new(Flaky::new(Reference::new(), seed));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let initial = runtime.block_on(State::read(&*store, At::Latest)).unwrap();
    let workload = Workload { compactions: false, ..Workload::new(seed, 4, 100_000) };
    let run = workload.run_journaled(Arc::clone(&store) as _, Journal::new(lines.clone()));
    runtime.block_on(async {
        tokio::select! {
            ended = run => panic!("the run came to its end: {:?}", ended.is_ok()),
            () = lines.enough.notified() => {}
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    (store, initial, lines)
}

/// S4, S5, S6: what had been acknowledged is there, what had not been is there in whole or not at all.
#[test]
fn s4_s5_s6_a_run_that_was_ended_in_the_middle_is_checked_from_its_journal() {
    for seed in 0..4 {
        let (store, initial, lines) = ended_in_the_middle(seed);
        let log = on_threads(read_log(&*store, initial.revision, Duration::from_secs(10))).unwrap();
        let history = lines.history();
        let report = check(&history, &log, &initial).unwrap();
        assert!(report.acknowledged > 20 && report.ambiguous_applied + report.ambiguous_dropped > 0, "{report}");
    }
}

#[test]
fn s6_what_the_survivors_lost_is_noticed() {
    let (store, initial, lines) = ended_in_the_middle(9);
    let mut log = on_threads(read_log(&*store, initial.revision, Duration::from_secs(10))).unwrap();
    log.truncate(log.len() / 2);
    let found = check(&lines.history(), &log, &initial).unwrap_err();
    assert!(found.iter().any(|found| matches!(found, Anomaly::Commit(CommitAnomaly::Lost { .. }))), "{found:?}");
}

fn operations(history: &History) -> Vec<String> {
    history.operations.iter().map(|done| format!("{:?} {:?} {:?}", done.called, done.returned, done.step)).collect()
}

#[test]
fn a_journal_has_the_commits_of_the_recording() {
    let (store, lines) = (Arc::new(Flaky::new(Reference::new(), 2)), Lines::default());
    let workload = Workload::new(2, 3, 100);
    let run = workload.run_journaled(store, Journal::new(lines.clone()));
    let mut recorded = on_threads(run).unwrap().history;
    recorded.operations.retain(|done| matches!(done.step, Step::Commit { .. }));
    assert_eq!(operations(&recorded), operations(&lines.history()));
}

/// Wherever a process ends, its journal is a history: a prefix of all lines, and part of a line.
#[test]
fn each_beginning_of_a_journal_is_one() {
    let (store, lines) = (Arc::new(Reference::new()), Lines::default());
    let workload = Workload::new(3, 2, 40);
    let run = workload.run_journaled(store, Journal::new(lines.clone()));
    on_threads(run).unwrap();
    let text = lines.text();
    let whole = lines.history().operations.len();
    proptest!(|(end in 0..text.len())| {
        let cut = History::from_journal(&text[..end], Linearizable::Always).unwrap();
        prop_assert!(cut.operations.len() <= whole);
        let answered = cut.operations.iter().filter(|done| done.returned.is_some()).count();
        prop_assert_eq!(cut.operations.len() + answered, text[..end].matches('\n').count());
    });
}

#[tokio::test]
async fn all_that_a_transaction_can_ask_for_comes_back() {
    let lines = Lines::default();
    let recorder = Recorder::with_journal(Arc::new(Reference::new()), 10, Journal::new(lines.clone()));
    let key = |name: &str| Key::new("", "things", "", name).unwrap();
    let random = SeededRandom::new(5);
    let epoch = recorder.state().await.unwrap().epoch;
    let txn = Txn::new(TxnId(random.uuid()), "wr\"iter\n")
        .expect_epoch(epoch)
        .guard(key("g"), Expect::Absent)
        .guard(key("h"), Expect::At(revision(7)))
        .create(key("ÿ"), Value::json(vec![0, 255, 10]))
        .update(key("b"), Value::opaque(""), revision(3))
        .delete(key("c"), revision(4));
    recorder.commit(txn).await.unwrap_err();
    recorder.commit(Txn::new(TxnId(random.uuid()), "w")).await.unwrap_err();
    let (mut recorded, read) = (recorder.history(), lines.history());
    recorded.operations.remove(0);
    assert_eq!(operations(&recorded)[0], operations(&read)[0]);
    // Why a commit was not done is kept as text alone.
    let Step::Commit { result: Err(CommitError::Unavailable { reason }), .. } = &read.operations[1].step else {
        panic!()
    };
    assert!(reason.contains("no writes"), "{reason}");
}

#[test]
fn what_no_journal_writes_is_refused_with_its_line() {
    let error = History::from_journal(
        "{\"Answer\":{\"operation\":1,\"tick\":1,\"answer\":{\"Done\":\"5\"}}}\n",
        Linearizable::Always,
    );
    assert_eq!(error.unwrap_err().to_string(), "read line 1 of the journal: answers no call");
    assert!(History::from_journal("nonsense\n", Linearizable::Always).is_err());
    assert!(History::from_journal("nonsense", Linearizable::Always).unwrap().operations.is_empty());
}

/// A sink that takes no more.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_commit_that_cannot_be_written_down_is_not_sent() {
    let store = Arc::new(Reference::new());
    let recorder = Recorder::with_journal(Arc::clone(&store) as _, 10, Journal::new(Broken));
    let key = Key::new("g", "things", "n", "a").unwrap();
    let before = store.state().await.unwrap().head;
    let txn = Txn::new(TxnId::none(), "test").create(key, Value::opaque(""));
    let refused = recorder.commit(txn).await;
    assert!(matches!(refused, Err(CommitError::Unavailable { .. })), "{refused:?}");
    assert_eq!(store.state().await.unwrap().head, before);
    assert_eq!(recorder.history().refused, 1);
}
