//! [`History`]: a store's past, made by seeded choices and kept beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::{Entry, Key, KeyPrefix, RandomExt, Revision, SeededRandom, Txn};

use crate::client::{Client, key_in, text};
use crate::failure::Outcome;

/// The namespaces that the keys are in.
const NAMESPACES: [&str; 2] = ["m", "n"];
/// How many keys each has.
const KEYS: u64 = 12;

/// An entry as a model has it: key, value, revision, revision of its creation.
pub(super) type Row = (Key, String, Revision, Revision);

/// What a store holds at one revision.
#[derive(Debug, Clone, Default)]
pub(super) struct Model(BTreeMap<Key, Row>);

impl Model {
    /// What a list of a prefix must give.
    pub(super) fn rows(&self, prefix: &KeyPrefix) -> Vec<Row> {
        self.0.values().filter(|row| prefix.contains(&row.0)).cloned().collect()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Row> {
        self.0.get(key)
    }
}

/// Entries as a model has them.
pub(super) fn rows(entries: &[Arc<Entry>]) -> Vec<Row> {
    entries.iter().map(|entry| row(entry)).collect()
}

/// An entry as a model has it.
pub(super) fn row(entry: &Entry) -> Row {
    let value = String::from_utf8_lossy(&entry.value.bytes).into_owned();
    (entry.key.clone(), value, entry.revision, entry.create_revision)
}

/// A store's past.
#[derive(Debug)]
pub(super) struct History {
    client: Client,
    random: SeededRandom,
    steps: u64,
    /// What the store held at each revision, oldest first.
    pub(super) past: Vec<(Revision, Model)>,
}

impl History {
    /// That of a store which nobody else writes.
    pub(super) async fn new(client: &Client, seed: u64) -> Outcome<Self> {
        let begin = (client.head().await?, Model::default());
        Ok(Self { client: client.clone(), random: SeededRandom::new(seed), steps: 0, past: vec![begin] })
    }

    /// What the store holds now.
    pub(super) fn now(&self) -> (Revision, Model) {
        self.past.last().cloned().unwrap_or_else(|| unreachable!("a past begins with one state"))
    }

    /// Commits some transactions.
    pub(super) async fn run(&mut self, steps: usize) -> Outcome {
        for _ in 0..steps {
            self.step().await?;
        }
        Ok(())
    }

    /// Commits a transaction of one write, or of two.
    pub(super) async fn step(&mut self) -> Outcome<Revision> {
        self.steps += 1;
        let (_, mut model) = self.now();
        let first = self.random.below(KEYS);
        let mut chosen = vec![self.key(first)];
        if self.steps.is_multiple_of(5) {
            chosen.push(self.key((first + 1) % KEYS));
        }
        let mut txn = self.client.txn();
        let mut written = Vec::new();
        for key in chosen {
            let value = format!("{}", self.steps);
            let deletes = self.random.below(3) == 0;
            let current = model.get(&key).map(|row| (row.2, row.3));
            txn = write(txn, &key, &value, current.map(|(revision, _)| revision), deletes);
            written.push((key, value, current.map(|(_, created)| created), deletes && current.is_some()));
        }
        let revision = self.client.commit(txn).await?;
        for (key, value, created, deleted) in written {
            match deleted {
                true => model.0.remove(&key),
                false => model.0.insert(key.clone(), (key, value, revision, created.unwrap_or(revision))),
            };
        }
        self.past.push((revision, model));
        Ok(revision)
    }

    fn key(&self, number: u64) -> Key {
        let namespace = NAMESPACES[usize::from(number % 2 == 1)];
        key_in(namespace, &format!("k{number}"))
    }
}

fn write(txn: Txn, key: &Key, value: &str, current: Option<Revision>, deletes: bool) -> Txn {
    match current {
        None => txn.create(key.clone(), text(value)),
        Some(revision) if deletes => txn.delete(key.clone(), revision),
        Some(revision) => txn.update(key.clone(), text(value), revision),
    }
}
