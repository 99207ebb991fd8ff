//! Logs of which a stretch was forgotten before it was recorded: what happened in it is not judged, the rest is.

use std::sync::Arc;

use roa_core::{
    Batch, CommitError, Entry, Key, Linearizable, RandomExt, Read, Revision, SeededRandom, Txn, TxnId, Value,
};

use super::model::Model;
use super::{moved, revision};
use crate::checker::{
    Anomaly, ClientId, CommitAnomaly, Failure, History, LogAnomaly, Operation, Recording, Report, Selection, State,
    Step, Tick, WatchHistory, WatchItem, WatchSession,
};

/// Commits of "a" to "f" at 101 to 106, of which only 101, 102 and 106 were recorded.
struct Scene {
    recording: Recording,
    /// All of them.
    batches: Vec<Arc<Batch>>,
}

fn key(name: &str) -> Key {
    Key::new("g", "things", "n", name).unwrap()
}

fn txn_id(number: u64) -> TxnId {
    TxnId(SeededRandom::new(number).uuid())
}

fn create(name: &str) -> Txn {
    let id = u64::from(name.as_bytes()[0]);
    Txn::new(txn_id(id), "scene").create(key(name), Value::opaque("v"))
}

impl Scene {
    fn new() -> Self {
        let mut model = Model::new(100);
        let initial = State::empty(model.head);
        for name in ["a", "b", "c", "d", "e", "f"] {
            model.commit(&create(name)).unwrap();
        }
        let batches = model.batches;
        let mut resync = initial.clone();
        batches[..5].iter().for_each(|batch| resync.apply(batch));
        let log = [0, 1, 5].map(|place| Arc::clone(&batches[place])).to_vec();
        let (history, resyncs) = (History::new(Vec::new()), vec![resync]);
        let mut scene =
            Self { recording: Recording { seed: 0, initial, history, log, resyncs, watches: Vec::new() }, batches };
        for (number, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
            let (called, result) = (10 + 10 * number as u64, Ok(scene.batches[number].revision));
            scene.operation(called, called + 5, Step::Commit { txn: Arc::new(create(name)), result });
        }
        scene
    }

    fn operation(&mut self, called: u64, returned: u64, step: Step) {
        let (called, returned) = (Tick(called), Some(Tick(returned)));
        self.recording.history.operations.push(Operation { client: ClientId(0), called, returned, step });
    }

    fn get(&mut self, called: u64, returned: u64, name: &str, at: u64) {
        let mut state = self.recording.initial.clone();
        self.batches.iter().filter(|batch| batch.revision <= revision(at)).for_each(|batch| state.apply(batch));
        let read = Read { entry: state.get(&key(name)).cloned(), revision: revision(at) };
        self.operation(called, returned, Step::Get { key: key(name), result: Ok(read) });
    }

    fn refused(&mut self, called: u64, returned: u64, name: &str, current: Option<Revision>) {
        let txn = Txn::new(txn_id(called), "scene").create(key(name), Value::opaque("w"));
        let result = Err(CommitError::Conflict { key: key(name), current });
        self.operation(called, returned, Step::Commit { txn: Arc::new(txn), result });
    }

    fn check(&self) -> Result<Report, Vec<Anomaly>> {
        self.recording.check().map_err(|failure| match failure {
            Failure::Anomalies { anomalies, .. } => anomalies,
            other => panic!("{other}"),
        })
    }
}

#[test]
fn what_lies_in_the_stretch_is_counted_but_not_judged() {
    let mut scene = Scene::new();
    scene.get(42, 43, "c", 103);
    scene.refused(44, 45, "c", Some(revision(103)));
    let report = scene.check().unwrap();
    // The commits of "c", "d" and "e", the read and the refusal.
    assert_eq!((report.unrecorded, report.acknowledged), (5, 6));
}

#[test]
fn what_lies_before_and_after_the_stretch_is_judged() {
    let mut scene = Scene::new();
    scene.get(21, 22, "a", 101);
    scene.get(71, 72, "c", 106);
    scene.refused(71, 72, "e", Some(revision(105)));
    scene.check().unwrap();
    let unjustified = |called: u64, name: &str, current: u64| {
        let mut scene = Scene::new();
        scene.refused(called, called + 1, name, Some(revision(current)));
        let found = scene.check().unwrap_err();
        assert!(matches!(found[..], [Anomaly::Commit(CommitAnomaly::UnjustifiedRefusal { .. })]), "{found:?}");
    };
    unjustified(16, "a", 103);
    unjustified(71, "e", 104);
}

#[test]
fn a_read_after_the_stretch_is_compared_with_the_state_after_it() {
    let mut scene = Scene::new();
    scene.get(71, 72, "d", 106);
    let Step::Get { result: Ok(read), .. } = &mut scene.recording.history.operations[6].step else { panic!() };
    read.entry = None;
    let found = scene.check().unwrap_err();
    assert!(matches!(found[..], [Anomaly::Read(_)]), "{found:?}");
}

/// S14: a key that no commit of the stretch can have touched is what it was before.
#[test]
fn s14_what_nobody_touched_is_there_after_the_stretch() {
    let without_a = |scene: &mut Scene| {
        let resync = &scene.recording.resyncs[0];
        let entries: Vec<Arc<Entry>> = resync.entries().filter(|entry| entry.key != key("a")).cloned().collect();
        scene.recording.resyncs = vec![State::new(resync.revision, None, entries)];
    };
    let mut scene = Scene::new();
    without_a(&mut scene);
    let found = scene.check().unwrap_err();
    assert!(
        matches!(&found[..], [Anomaly::Log(LogAnomaly::LostAtJump { key: lost, .. })] if *lost == key("a")),
        "{found:?}"
    );

    let mut may_lose = Scene::new();
    without_a(&mut may_lose);
    may_lose.recording.history.linearizable = Linearizable::UnlessFailover;
    may_lose.check().unwrap();

    let mut open = Scene::new();
    without_a(&mut open);
    let delete = Txn::new(txn_id(999), "scene").delete(key("a"), revision(101));
    open.operation(31, 32, Step::unanswered_commit(Arc::new(delete)));
    open.check().unwrap();
}

#[test]
fn s1_a_stretch_without_a_state_after_it_is_a_gap() {
    let mut scene = Scene::new();
    scene.recording.resyncs.clear();
    let found = scene.check().unwrap_err();
    assert!(matches!(found[0], Anomaly::Log(LogAnomaly::NotDense { .. })), "{found:?}");
}

#[test]
fn a_state_that_was_read_anew_where_nothing_is_missing_changes_nothing() {
    let mut scene = Scene::new();
    let batches = scene.batches.clone();
    scene.recording.log = batches;
    let report = scene.check().unwrap();
    assert_eq!(report.unrecorded, 0);
}

#[test]
fn watches_may_deliver_what_was_not_recorded() {
    let watch = |scene: &Scene, places: &[usize]| {
        let mut session = WatchSession::new(scene.recording.initial.revision);
        session.items = places.iter().map(|place| WatchItem::Batch(Arc::clone(&scene.batches[*place]))).collect();
        vec![WatchHistory { sessions: vec![session], ..WatchHistory::new(ClientId(3), Selection::Everything) }]
    };
    let mut scene = Scene::new();
    scene.recording.watches = watch(&scene, &[0, 1, 2, 3, 4, 5]);
    assert_eq!(scene.check().unwrap().delivered, 6);
    scene.recording.watches = watch(&scene, &[0, 2]);
    assert!(scene.check().is_err(), "the second one was left out");
    assert_eq!(moved(scene.recording.log[2].revision, -1), scene.recording.resyncs[0].revision);
}
