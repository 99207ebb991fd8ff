//! What one operation proves to those that are called after it returned, on histories of a few lines.

use std::sync::Arc;

use roa_core::{CommitError, Key, RandomExt, Read, SeededRandom, Txn, TxnId, Value};

use super::model::Model;
use super::revision;
use crate::checker::{Anomaly, ClientId, CommitAnomaly, History, Operation, ReadAnomaly, State, Step, Tick, check};

const FIRST: u64 = 100;

/// Operations that are written down by hand, beside the store in which they happened.
struct Scene {
    model: Model,
    operations: Vec<Operation>,
    random: SeededRandom,
}

fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

impl Scene {
    fn new() -> Self {
        Self { model: Model::new(FIRST), operations: Vec::new(), random: SeededRandom::new(4) }
    }

    fn txn(&self) -> Txn {
        Txn::new(TxnId(self.random.uuid()), "scene")
    }

    /// A write of a key that must be absent.
    fn create(&self, name: &str) -> Txn {
        self.txn().create(key(name), Value::opaque("v"))
    }

    fn operation(&mut self, called: u64, returned: impl Into<Option<u64>>, step: Step) {
        let (called, returned) = (Tick(called), returned.into().map(Tick));
        self.operations.push(Operation { client: ClientId(0), called, returned, step });
    }

    /// A commit that happens now, and is answered at its end.
    fn commit(&mut self, called: u64, returned: u64, txn: Txn) {
        let result = self.model.commit(&txn);
        self.operation(called, returned, Step::Commit { txn: Arc::new(txn), result });
    }

    /// A commit that happens now, and is never answered.
    fn unanswered(&mut self, called: u64, txn: Txn) {
        self.model.commit(&txn).unwrap();
        self.operation(called, None, Step::unanswered_commit(Arc::new(txn)));
    }

    fn refused(&mut self, called: u64, returned: u64, txn: Txn, name: &str, current: Option<u64>) {
        let result = Err(CommitError::Conflict { key: key(name), current: current.map(revision) });
        self.operation(called, returned, Step::Commit { txn: Arc::new(txn), result });
    }

    fn get(&mut self, called: u64, returned: u64, name: &str, at: u64) {
        let before: Vec<_> =
            self.model.batches.iter().filter(|batch| batch.revision <= revision(at)).cloned().collect();
        let mut state = State::empty(revision(FIRST));
        before.iter().for_each(|batch| state.apply(batch));
        let read = Read { entry: state.get(&key(name)).cloned(), revision: revision(at) };
        self.operation(called, returned, Step::Get { key: key(name), result: Ok(read) });
    }

    fn check(&self) -> Result<(), Vec<Anomaly>> {
        let history = History::new(self.operations.clone());
        check(&history, &self.model.batches, &State::empty(revision(FIRST))).map(|_| ())
    }

    #[track_caller]
    fn is_stale(&self) {
        let found = self.check().unwrap_err();
        assert!(matches!(found[..], [Anomaly::Read(ReadAnomaly::Stale { .. })]), "{found:?}");
    }
}

/// S2: what a read saw of a commit in flight, no later read may miss.
#[test]
fn s2_reads_do_not_go_back() {
    let mut scene = Scene::new();
    scene.unanswered(1, scene.create("a"));
    scene.get(2, 3, "a", 101);
    scene.get(4, 5, "a", 100);
    scene.is_stale();
}

#[test]
fn s2_overlapping_reads_may_be_in_either_order() {
    let mut scene = Scene::new();
    scene.unanswered(1, scene.create("a"));
    scene.get(2, 4, "a", 101);
    scene.get(3, 5, "a", 100);
    scene.check().unwrap();
}

/// S2: a conflict tells of the commit that it conflicts with.
#[test]
fn s2_a_conflict_proves_what_it_conflicts_with() {
    let mut scene = Scene::new();
    scene.unanswered(1, scene.create("a"));
    scene.refused(2, 3, scene.create("a"), "a", Some(101));
    scene.get(4, 5, "a", 100);
    scene.is_stale();
}

#[test]
fn s2_a_commit_with_an_unclear_answer_proves_nothing() {
    let mut scene = Scene::new();
    scene.commit(1, 2, scene.create("b"));
    scene.unanswered(3, scene.create("a"));
    scene.get(6, 7, "a", 101);
    scene.get(8, 9, "a", 102);
    scene.check().unwrap();
}

/// S3: a conflict may refer to any moment of its call, but not to one after it, nor to one before it.
#[test]
fn s3_a_conflict_held_while_the_call_lasted() {
    let update = |scene: &Scene, at: u64| scene.txn().update(key("a"), Value::opaque("w"), revision(at));
    let run = |called: u64, returned: u64, current: u64| {
        let mut scene = Scene::new();
        scene.commit(10, 20, scene.create("a"));
        scene.commit(30, 40, update(&scene, 101));
        scene.commit(50, 60, update(&scene, 102));
        scene.refused(called, returned, scene.create("a"), "a", Some(current));
        scene.check()
    };
    let unjustified = |found: Result<(), Vec<Anomaly>>| {
        matches!(found.unwrap_err()[..], [Anomaly::Commit(CommitAnomaly::UnjustifiedRefusal { .. })])
    };
    assert!(run(32, 34, 101).is_ok() && run(32, 34, 102).is_ok());
    assert!(unjustified(run(32, 34, 103)), "it was not yet at 103");
    assert!(unjustified(run(45, 47, 101)), "it was no longer at 101");
    assert!(run(25, 55, 101).is_ok() && run(25, 55, 102).is_ok() && run(25, 55, 103).is_ok());
}

/// S3: the writes before the one that is named held at the same moment.
#[test]
fn s3_one_moment_must_explain_a_conflict() {
    let run = |returned: u64| {
        let mut scene = Scene::new();
        scene.commit(10, 20, scene.create("a"));
        scene.commit(30, 40, scene.txn().delete(key("a"), revision(101)));
        scene.commit(50, 60, scene.create("b"));
        // Before "b" there was an "a", until it was removed: never "a" absent and "b" there, but at the end.
        let txn = scene.txn().create(key("a"), Value::opaque("")).create(key("b"), Value::opaque(""));
        scene.refused(12, returned, txn, "b", Some(103));
        scene.check()
    };
    assert!(run(55).is_ok());
    assert!(run(45).is_err());
}

#[test]
fn s3_absence_is_a_reason_only_while_the_key_is_absent() {
    let run = |called: u64| {
        let mut scene = Scene::new();
        scene.commit(10, 20, scene.create("a"));
        scene.commit(30, 40, scene.txn().delete(key("a"), revision(101)));
        scene.commit(50, 60, scene.create("a"));
        let update = scene.txn().update(key("a"), Value::opaque("w"), revision(101));
        scene.refused(called, called + 3, update, "a", None);
        scene.check()
    };
    assert!(run(45).is_ok() && run(35).is_ok());
    assert!(run(22).is_err() && run(65).is_err());
}

/// S1: a revision can exist only once all revisions before it were asked for.
#[test]
fn s1_a_read_cannot_be_newer_than_a_commit_that_was_not_called() {
    let mut scene = Scene::new();
    scene.unanswered(10, scene.create("a"));
    scene.unanswered(2, scene.create("b"));
    scene.get(3, 5, "b", 102);
    let found = scene.check().unwrap_err();
    assert!(matches!(found[..], [Anomaly::Read(ReadAnomaly::FromFuture { newest, .. })] if newest == revision(FIRST)));
}

#[test]
fn an_empty_history_of_an_unchanged_store_is_correct() {
    Scene::new().check().unwrap();
    let mut scene = Scene::new();
    scene.get(1, 2, "a", FIRST);
    scene.check().unwrap();
}

/// What was called at the tick at which something else returned overlaps with it, and exists from then on.
#[test]
fn s1_calls_and_answers_at_one_tick_overlap() {
    let run = |called: u64, returned: u64| {
        let mut scene = Scene::new();
        scene.commit(5, 9, scene.create("a"));
        scene.commit(1, 5, scene.create("b"));
        scene.get(called, returned, "a", 101);
        scene.check()
    };
    run(4, 5).unwrap();
    let found = run(3, 4).unwrap_err();
    assert!(matches!(found[..], [Anomaly::Read(ReadAnomaly::FromFuture { .. })]), "{found:?}");
}
