//! The store against a model: a map, and a copy of it for each revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use roa_core::{At, Change, CommitError, Entry, Error, Expect, ListRequest, Op, Revision, Store, Txn};
use roa_store_sqlite::SqliteStore;

use crate::support::*;

const NAMES: [&str; 6] = ["a", "b", "c", "ca", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    Commit { guards: Vec<(usize, Guess)>, writes: Vec<(usize, Write, Guess)> },
    Compact { back: u64 },
    Fence,
    Reopen { close: bool },
}

#[derive(Debug, Clone, Copy)]
enum Write {
    Put,
    Delete,
}

/// What a transaction expects of a key: what is there, or something else.
#[derive(Debug, Clone, Copy)]
enum Guess {
    Right,
    Absent,
    Stale,
}

fn guess() -> impl Strategy<Value = Guess> {
    prop_oneof![8 => Just(Guess::Right), 1 => Just(Guess::Absent), 1 => Just(Guess::Stale)]
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let write = prop_oneof![2 => Just(Write::Put), 1 => Just(Write::Delete)];
    let writes = prop::collection::btree_map(name(), (write, guess()), 1..4);
    let writes =
        writes.prop_map(|writes| writes.into_iter().map(|(name, (write, guess))| (name, write, guess)).collect());
    let guards = prop::collection::vec((name(), guess()), 0..2);
    prop_oneof![
        30 => (guards, writes).prop_map(|(guards, writes)| Step::Commit { guards, writes }),
        2 => (0..20_u64).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Fence),
        2 => any::<bool>().prop_map(|close| Step::Reopen { close }),
    ]
}

/// A key's value, its revision, the begin of its life, and its version.
type Row = (String, Revision, Revision, u64);
type Rows = BTreeMap<String, Row>;

struct Model {
    place: Place,
    /// `None` only while it is opened again.
    store: Option<SqliteStore>,
    rows: Rows,
    floor: Revision,
    /// The rows at each revision since the last fence.
    history: BTreeMap<Revision, Rows>,
}

impl Model {
    async fn new(place: Place) -> Self {
        let store = place.open().await;
        let head = state(&store).await.head;
        let history = BTreeMap::from([(head, Rows::new())]);
        Self { place, store: Some(store), rows: Rows::new(), floor: head, history }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn head(&self) -> Revision {
        *self.history.last_key_value().unwrap().0
    }

    async fn step(&mut self, number: usize, step: &Step) {
        match step {
            Step::Commit { guards, writes } => self.commit(number, guards, writes).await,
            Step::Compact { back } => {
                let to = revision(self.head().get() - back);
                self.floor = self.floor.max(to);
                assert_eq!(self.store().compact(to).await.unwrap(), self.floor);
            }
            Step::Fence => self.fence().await,
            Step::Reopen { close } => self.reopen(*close).await,
        }
        let state = state(self.store()).await;
        assert_eq!((state.head, state.floor), (self.head(), self.floor));
    }

    async fn fence(&mut self) {
        let before = state(self.store()).await;
        let after = self.store().fence(before.epoch, self.head()).await.unwrap();
        self.floor = after.head;
        self.history = BTreeMap::from([(after.head, self.rows.clone())]);
    }

    /// No history is broken by that.
    async fn reopen(&mut self, close: bool) {
        let store = self.store.take().unwrap();
        let before = state(&store).await;
        if close {
            store.close().await;
        }
        drop(store);
        let store = self.place.open().await;
        assert_eq!(state(&store).await, before);
        self.store = Some(store);
    }

    fn current(&self, name: &str) -> Option<Revision> {
        self.rows.get(name).map(|row| row.1)
    }

    fn expectation(&self, name: &str, guess: Guess) -> Expect {
        match (guess, self.current(name)) {
            (Guess::Stale, Some(current)) => Expect::At(revision(current.get() - 1)),
            (Guess::Stale, None) => Expect::At(self.head()),
            (Guess::Right, Some(current)) => Expect::At(current),
            (Guess::Absent, _) | (Guess::Right, None) => Expect::Absent,
        }
    }

    async fn commit(&mut self, number: usize, guards: &[(usize, Guess)], writes: &[(usize, Write, Guess)]) {
        let (mut txn, mut after) = (txn(), self.rows.clone());
        let next = later(self.head(), 1);
        let mut refusal = None;
        for (name, guess) in guards.iter().map(|(name, guess)| (NAMES[*name], *guess)) {
            let expect = self.expectation(name, guess);
            txn = txn.guard(key(name), expect);
            refusal = refusal.or((!expect.holds(self.current(name))).then_some(("GuardFailed", name)));
        }
        for (name, write, guess) in writes.iter().map(|(name, write, guess)| (NAMES[*name], *write, *guess)) {
            let expect = self.expectation(name, guess);
            txn = self.write(txn, &mut after, (name, write, expect), (&number.to_string(), next));
            let holds = txn.ops.last().unwrap().expect().holds(self.current(name));
            refusal = refusal.or((!holds).then_some(("Conflict", name)));
        }
        let outcome = self.store().commit(txn).await;
        self.expect_outcome(outcome, refusal, after, next);
    }

    fn write(&self, txn: Txn, after: &mut Rows, op: (&str, Write, Expect), write: (&str, Revision)) -> Txn {
        let ((name, kind, expect), (value, next)) = (op, write);
        match kind {
            Write::Put => {
                let (begin, version) = after.get(name).map_or((next, 1), |row| (row.2, row.3 + 1));
                after.insert(name.to_owned(), (value.to_owned(), next, begin, version));
                txn.op(Op::Put { key: key(name), value: roa_core::Value::opaque(value.to_owned()), expect })
            }
            Write::Delete => {
                after.remove(name);
                let expect = if let Expect::At(revision) = expect { revision } else { self.head() };
                txn.delete(key(name), expect)
            }
        }
    }

    fn expect_outcome(
        &mut self,
        outcome: Result<Revision, CommitError>,
        refusal: Option<(&str, &str)>,
        after: Rows,
        next: Revision,
    ) {
        match (outcome, refusal) {
            (Ok(committed), None) => {
                assert_eq!(committed, next);
                self.rows = after;
                self.history.insert(next, self.rows.clone());
            }
            (Err(error), Some((reason, name))) => {
                assert_eq!(error.reason(), reason);
                let (CommitError::Conflict { key: found, current } | CommitError::GuardFailed { key: found, current }) =
                    error
                else {
                    panic!("{error}")
                };
                assert_eq!((found, current), (key(name), self.current(name)));
            }
            (outcome, refusal) => panic!("found {outcome:?}, expected {refusal:?}"),
        }
    }

    /// Each revision lists as it was, in pages of any size; below the floor, none does.
    async fn check_lists(&self, limit: usize) {
        for (at, rows) in &self.history {
            let request = || ListRequest::new(things()).limit(count(limit));
            let mut page = self.store().list(request().at(At::Exact(*at))).await;
            if *at < self.floor {
                assert!(matches!(page, Err(Error::Expired { .. })), "{at:?} is below {:?}", self.floor);
                continue;
            }
            let mut found = Vec::new();
            loop {
                let part = page.unwrap();
                assert!(part.revision == *at && part.entries.len() <= limit);
                found.extend(part.entries.iter().map(row));
                let Some(next) = part.next else { break };
                page = self.store().list(request().resume(next)).await;
            }
            assert_eq!(found, rows.clone().into_iter().collect::<Vec<_>>(), "at {at:?}");
        }
    }

    /// The log leads from each revision to the present.
    async fn check_log(&self) {
        for (at, rows) in self.history.range(self.floor..) {
            let (mut folded, mut last) = (rows.clone(), *at);
            for batch in pull_until(&mut self.store().tail(*at).await.unwrap(), self.head()).await {
                assert_eq!(batch.revision, later(last, 1));
                last = batch.revision;
                batch.changes.iter().for_each(|change| fold(&mut folded, change));
            }
            assert_eq!((folded, last), (self.rows.clone(), self.head()));
        }
    }
}

fn row(entry: &Arc<Entry>) -> (String, Row) {
    let value = String::from_utf8(entry.value.bytes.to_vec()).unwrap();
    (entry.key.name().to_owned(), (value, entry.revision, entry.create_revision, entry.version))
}

fn fold(rows: &mut Rows, change: &Change) {
    let name = change.key().name();
    assert_eq!(change.previous().map(|previous| row(previous).1), rows.remove(name), "what {name} was before");
    rows.extend(change.current().map(row));
}

async fn run(steps: &[Step], limit: usize, recent: usize) {
    let mut model = Model::new(Place::fast().with(|config| config.recent_max_bytes(recent))).await;
    for (number, step) in steps.iter().enumerate() {
        model.step(number, step).await;
    }
    model.check_lists(limit).await;
    model.check_log().await;
    model.place.assert_whole().await;
    model.reopen(true).await;
    model.check_lists(limit).await;
    model.check_log().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn s1_s8_any_history_lists_and_replays_as_the_model_also_after_the_store_was_opened_again(
        steps in prop::collection::vec(step(), 0..60),
        limit in 1..8_usize,
        recent in prop_oneof![Just(0), Just(2_000), Just(16 << 20)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(&steps, limit, recent));
    }
}
