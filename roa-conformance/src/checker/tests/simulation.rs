//! Histories of clients that overlap at random, made on one thread: the same for the same seed.

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;
use roa_core::{
    At, CommitError, Expect, Key, KeyPrefix, ListRequest, Op, RandomExt, Revision, SeededRandom, Txn, TxnId, Value,
};

use super::model::Model;
use crate::checker::{ClientId, History, Operation, State, Step, Tick, check};

/// What a client is at.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Idle,
    /// Called, but the store has not done it.
    Called(usize),
    /// Done, but not returned.
    Done(usize),
}

pub(super) struct Simulation {
    pub(super) model: Model,
    pub(super) initial: State,
    pub(super) operations: Vec<Operation>,
    random: SeededRandom,
    phases: Vec<Phase>,
    /// Commits with an unclear answer that may still happen.
    late: Vec<usize>,
    keys: Vec<Key>,
    tick: u64,
}

impl Simulation {
    pub(super) fn run(seed: u64, clients: usize, operations: usize, keys: usize) -> Self {
        let mut model = Model::new(100);
        model.kept_states = 64;
        let key = |number| Key::new("g", "things", "n", &format!("{number:04}")).unwrap();
        let mut simulation = Self {
            initial: State::empty(model.head),
            model,
            operations: Vec::with_capacity(operations),
            random: SeededRandom::new(seed),
            phases: vec![Phase::Idle; clients],
            late: Vec::new(),
            keys: (0..keys).map(key).collect(),
            tick: 0,
        };
        while simulation.operations.len() < operations {
            simulation.advance(true);
        }
        while simulation.phases.iter().any(|phase| !matches!(phase, Phase::Idle)) {
            simulation.advance(false);
        }
        simulation
    }

    pub(super) fn history(&self) -> History {
        History::new(self.operations.clone())
    }

    fn one_in(&self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    fn index(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn advance(&mut self, begin: bool) {
        self.tick += 1;
        if self.one_in(8) && !self.late.is_empty() {
            let operation = self.late.swap_remove(self.index(self.late.len()));
            if let Step::Commit { txn, .. } = self.operations[operation].step.clone() {
                _ = self.model.commit(&txn);
            }
        }
        let client = self.index(self.phases.len());
        self.phases[client] = match self.phases[client] {
            Phase::Idle if begin => self.call(client),
            Phase::Idle => Phase::Idle,
            Phase::Called(operation) => self.act(operation),
            Phase::Done(operation) => {
                self.operations[operation].returned = Some(Tick(self.tick));
                Phase::Idle
            }
        };
    }

    fn call(&mut self, client: usize) -> Phase {
        let step = match self.random.below(10) {
            0..6 => Step::unanswered_commit(self.txn().into()),
            6..8 => Step::Get { key: self.key(), result: Err(self.model.expired()) },
            _ => Step::List { request: self.request(), result: Err(self.model.expired()) },
        };
        let client = ClientId(u32::try_from(client).unwrap());
        self.operations.push(Operation { client, called: Tick(self.tick), returned: None, step });
        Phase::Called(self.operations.len() - 1)
    }

    fn act(&mut self, operation: usize) -> Phase {
        match &mut self.operations[operation].step {
            Step::Commit { txn, result } => {
                let txn = Arc::clone(txn);
                match self.random.below(20) {
                    0 => self.late.push(operation),
                    1 => _ = self.model.commit(&txn),
                    _ => *result = self.model.commit(&txn),
                }
                // One in forty never comes back.
                if self.random.below(40) == 0 && matches!(result, Err(CommitError::Ambiguous { .. })) {
                    return Phase::Idle;
                }
            }
            Step::Get { key, result } => *result = Ok(self.model.get(key)),
            Step::List { request, result } => *result = self.model.list(request),
            _ => {}
        }
        Phase::Done(operation)
    }

    fn key(&self) -> Key {
        self.keys[self.index(self.keys.len())].clone()
    }

    fn txn(&self) -> Txn {
        let mut txn = Txn::new(TxnId::random(&self.random), "simulated");
        let (first, count) = (self.index(self.keys.len()), if self.one_in(4) { 2 } else { 1 });
        for offset in 0..count.min(self.keys.len()) {
            let key = self.keys[(first + offset) % self.keys.len()].clone();
            txn = txn.op(self.op(key));
        }
        match self.one_in(5) {
            true => {
                let key = self.key();
                let expect = self.expectation(&key);
                txn.guard(key, expect)
            }
            false => txn,
        }
    }

    fn op(&self, key: Key) -> Op {
        let expect = self.expectation(&key);
        match expect {
            Expect::At(expect) if self.one_in(3) => Op::Delete { key, expect },
            expect => Op::Put { key, value: Value::opaque(self.random.below(1 << 20).to_string()), expect },
        }
    }

    /// Mostly what is true when the commit is called.
    fn expectation(&self, key: &Key) -> Expect {
        let current = self.model.entries().get(key).map(|entry| entry.revision);
        match current {
            Some(_) if self.one_in(6) => Expect::Absent,
            _ if self.one_in(6) => Expect::At(self.past()),
            Some(revision) => Expect::At(revision),
            None => Expect::Absent,
        }
    }

    fn past(&self) -> Revision {
        let age = self.model.head.get() - self.initial.revision.get();
        Revision::new(self.model.head.get() - self.random.below(age.min(20) + 1)).unwrap()
    }

    fn request(&self) -> ListRequest {
        let request = ListRequest::new(KeyPrefix::resource("g", "things").unwrap());
        match self.random.below(4) {
            0 => request.at(At::Exact(self.past())),
            1 => request.limit(NonZeroUsize::new(2).unwrap()),
            _ => request,
        }
    }
}

/// A correct history passes: the sweep, the replay and the attribution refuse nothing that can have happened.
#[test]
fn histories_that_happened_pass() {
    proptest!(ProptestConfig::with_cases(200), |(seed: u64, clients in 1_usize..9, keys in 1_usize..7)| {
        let simulated = Simulation::run(seed, clients, 250, keys);
        let found = check(&simulated.history(), &simulated.model.batches, &simulated.initial);
        prop_assert!(found.is_ok(), "seed {}: {:?}", seed, found);
    });
}

#[test]
fn simulated_histories_have_what_is_to_be_checked() {
    let simulated = Simulation::run(3, 6, 2_000, 5);
    let report = check(&simulated.history(), &simulated.model.batches, &simulated.initial).unwrap();
    assert_eq!(report.operations, 2_000);
    assert!(report.acknowledged > 300 && report.refused > 100 && report.reads > 500, "{report}");
    assert!(report.ambiguous_applied > 10 && report.ambiguous_dropped > 10, "{report}");
}
