//! [`Side`]: one of those that are compared, as writers see it; and [`Client`], a writer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_core::{Key, Revision, SeededRandom, Store, Txn, TxnId, Value};
use tokio::runtime::Runtime;

use crate::{Group, key, object_value};

/// One of those that are compared.
pub trait Side: Clone + Send + Sync + 'static {
    /// How it says where a key is.
    type At: Copy + Send;

    /// Writes a value under some keys that were written together at `expect`, in one transaction.
    fn write(&self, keys: &[Key], value: &Value, expect: Option<Self::At>) -> impl Future<Output = Self::At> + Send;

    /// Ends it, where dropping it is not enough.
    fn close(&self, _runtime: &Runtime) {}
}

/// ROA: any of its stores.
#[derive(Debug, Clone)]
pub struct Roa {
    /// The store.
    pub store: Arc<dyn Store>,
    random: Arc<SeededRandom>,
    writer: Arc<str>,
}

impl Roa {
    /// Writes to this store.
    #[must_use]
    pub fn over(store: Arc<dyn Store>) -> Self {
        Self { store, random: Arc::new(SeededRandom::new(1)), writer: "bench".into() }
    }
}

impl Side for Roa {
    type At = Revision;

    #[expect(clippy::expect_used, reason = "a benchmark that can't write must stop")]
    async fn write(&self, keys: &[Key], value: &Value, expect: Option<Revision>) -> Revision {
        let txn = Txn::new(TxnId::random(&*self.random), Arc::clone(&self.writer));
        let txn = keys.iter().fold(txn, |txn, key| match expect {
            None => txn.create(key.clone(), value.clone()),
            Some(at) => txn.update(key.clone(), value.clone(), at),
        });
        self.store.commit(txn).await.expect("a commit that nobody disturbs")
    }
}

/// A writer that updates its groups of keys in turn, each group in one transaction.
#[derive(Debug)]
pub struct Client<S: Side> {
    /// Where it writes.
    pub side: S,
    groups: Vec<(Vec<Key>, Option<S::At>)>,
    value: Value,
    turn: usize,
}

impl<S: Side> Client<S> {
    /// `count` of them that share no key, with `slots` groups of `size` keys each.
    pub fn several(side: &S, count: usize, slots: usize, size: usize) -> Vec<Self> {
        let group = |number: usize| ((0..size).map(|at| key(number * size + at)).collect(), None);
        let client = |number: usize| Self {
            side: side.clone(),
            groups: (0..slots).map(|slot| group(number * slots + slot)).collect(),
            value: object_value(1),
            turn: 0,
        };
        (0..count).map(client).collect()
    }

    /// One of one key at a time.
    pub fn one(side: &S, slots: usize) -> Self {
        Self::several(side, 1, slots, 1).remove(0)
    }

    /// The same with another value.
    #[must_use]
    pub fn with_value(mut self, value: Value) -> Self {
        self.value = value;
        self
    }

    /// One transaction.
    pub async fn step(&mut self) -> S::At {
        let turn = self.turn % self.groups.len();
        let (keys, at) = &mut self.groups[turn];
        let written = self.side.write(keys, &self.value, *at).await;
        *at = Some(written);
        self.turn += 1;
        written
    }

    /// Each client does `rounds` steps, in a task of its own.
    ///
    /// # Panics
    /// If one of them does.
    #[expect(clippy::expect_used, reason = "a benchmark whose task panicked must stop")]
    pub fn run_all(runtime: &Runtime, clients: Vec<Self>, rounds: u64) -> Vec<Self> {
        let run = |mut client: Self| async move {
            for _ in 0..rounds {
                client.step().await;
            }
            client
        };
        let tasks: Vec<_> = clients.into_iter().map(|client| runtime.spawn(run(client))).collect();
        tasks.into_iter().map(|task| runtime.block_on(task).expect("a client that does not panic")).collect()
    }
}

/// Measures steps of several clients at once; all keys are there before. `make` is called when they are first asked for.
pub fn measure<S: Side>(group: &mut Group<'_>, name: &str, runtime: &Runtime, make: impl Fn() -> Vec<Client<S>>) {
    let mut clients = Vec::new();
    group.bench_function(name, |bencher| {
        if clients.is_empty() {
            let made = make();
            let slots = made.first().map_or(0, |client| client.groups.len());
            clients = Client::run_all(runtime, made, slots as u64);
        }
        bencher.iter_custom(|rounds| {
            let started = Instant::now();
            clients = Client::run_all(runtime, std::mem::take(&mut clients), rounds);
            started.elapsed()
        });
    });
    if let Some(client) = clients.first() {
        client.side.close(runtime);
    }
}

/// A quantile of many times, which is told to criterion as if each had taken so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// Half are shorter.
    P50,
    /// One in a hundred is longer.
    P99,
}

impl Quantile {
    /// Both, and how ids name them.
    pub const ALL: [(Self, &'static str); 2] = [(Self::P50, "p50"), (Self::P99, "p99")];

    /// Of these; they are sorted by it.
    ///
    /// # Panics
    /// Without any.
    #[must_use]
    pub fn of(self, times: &mut [Duration]) -> Duration {
        times.sort_unstable();
        let last = times.len() - 1;
        match self {
            Self::P50 => times[last / 2],
            Self::P99 => times[last * 99 / 100],
        }
    }
}
