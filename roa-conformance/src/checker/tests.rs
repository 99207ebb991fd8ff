//! The checker is checked: correct histories pass, each way to be wrong is found and named, and on small histories it
//! agrees with a search over all orders.

mod brute_force;
mod journaled;
mod jumps;
mod model;
mod mutate_commits;
mod mutate_log;
mod mutate_reads;
mod mutate_watches;
mod real_time;
mod recorded;
mod reference;
mod scale;
mod selections;
mod simulation;
mod unrecorded;
mod wrong_stores;

use std::sync::{Arc, OnceLock};

use roa_core::{Batch, Entry, Revision, Value};
use tokio::runtime::Builder;

use super::workload::Workload;
use super::{Anomaly, Recording};

fn revision(value: u64) -> Revision {
    Revision::new(value).unwrap()
}

/// The revision so many before or after another.
fn moved(from: Revision, by: i64) -> Revision {
    Revision::new(from.get().checked_add_signed(by).unwrap()).unwrap()
}

fn on_threads<T>(future: impl Future<Output = T>) -> T {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap().block_on(future)
}

/// A correct recording of clients on two threads, some of whose replies were lost. Made once.
fn recording() -> Recording {
    static RECORDING: OnceLock<Recording> = OnceLock::new();
    let made = RECORDING.get_or_init(|| {
        let store = Arc::new(reference::Flaky::new(reference::Reference::new(), 5));
        let recording = on_threads(Workload::new(7, 4, 400).run(store)).unwrap();
        recording.check().unwrap();
        recording
    });
    made.clone()
}

/// Changes a correct recording and asserts that an anomaly of the expected kind is among those that are found.
#[track_caller]
fn caught(change: impl FnOnce(&mut Recording), expected: impl Fn(&Anomaly) -> bool) {
    let mut recording = recording();
    change(&mut recording);
    let found = match recording.check() {
        Err(super::Failure::Anomalies { anomalies, .. }) => anomalies,
        other => panic!("expected an anomaly, found {other:?}"),
    };
    assert!(found.iter().any(expected), "found other anomalies than the expected one: {found:#?}");
    assert!(found.iter().all(|anomaly| !anomaly.to_string().is_empty()));
}

/// Changes a copy of what is shared.
fn edit<T: Clone>(shared: &mut Arc<T>, change: impl FnOnce(&mut T)) {
    let mut copy = T::clone(shared);
    change(&mut copy);
    *shared = Arc::new(copy);
}

/// The same entry with another value.
fn with_other_value(entry: &Entry) -> Arc<Entry> {
    let revisions = [entry.create_revision, entry.revision];
    let value = Value::opaque("altered");
    Entry::stored(entry.key.clone(), value, revisions, entry.version, entry.txn, Arc::clone(&entry.writer)).into()
}

/// The place of a batch that has several changes, somewhere in the middle of the log.
fn several_changes(log: &[Arc<Batch>]) -> usize {
    let middle = log.len() / 2;
    middle + log[middle..].iter().position(|batch| batch.changes.len() > 1).expect("the workload has one")
}
