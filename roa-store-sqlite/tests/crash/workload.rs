//! A process that writes without end: creations, updates, deletions, several at once, compactions, checkpoints.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use roa_core::{CommitError, KeyPrefix, ListRequest, RandomExt, Revision, SeededRandom, Store, Txn, Value};
use roa_store_sqlite::{SqliteConfig, SqliteStore};
use rusqlite::Connection;

use crate::child::{Line, Order, say};
use crate::{key, open, txn};

/// How many write at once in one process.
const WRITERS: u64 = 4;
/// How many keys each writer has for itself.
const OWN: u64 = 6;
/// How many keys all write.
const SHARED: u64 = 3;
/// What a compaction leaves: more than is committed between two looks at the file.
pub(crate) const RETAINED: u64 = 800;

/// What is written for a text: so large that the write-ahead log is moved now and then.
pub(crate) fn value(text: &str) -> Value {
    let pad = text.bytes().fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 6_007);
    Value::opaque(format!("{text}{}", ".".repeat(pad)))
}

/// Opens the file and writes until it is killed.
pub(crate) async fn run(order: &Order) {
    let config = SqliteConfig::new(&order.path).durability(order.durability).min_retain(RETAINED);
    let store = open(&config).await;
    say(Line::opened(store.state().await.unwrap()));
    let writers = (0..WRITERS).map(|number| Writer::new(&store, &config, order.seed, number));
    join_all(join_all(writers).await.into_iter().map(Writer::run)).await;
}

struct Writer<'a> {
    store: &'a SqliteStore,
    config: &'a SqliteConfig,
    name: String,
    /// Whose keys are its own: those of two processes with seeds that follow each other are not the same.
    owner: u64,
    random: SeededRandom,
    /// Its own keys, and those of all as it saw them last.
    known: BTreeMap<String, Revision>,
    written: u64,
}

impl<'a> Writer<'a> {
    async fn new(store: &'a SqliteStore, config: &'a SqliteConfig, seed: u64, number: u64) -> Self {
        let entries = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap().entries;
        let known = entries.iter().map(|entry| (entry.key.name().to_owned(), entry.revision)).collect();
        let random = SeededRandom::new(seed * WRITERS + number);
        let owner = seed % 2 * WRITERS + number;
        Self { store, config, name: format!("{seed}-{number}"), owner, random, known, written: 0 }
    }

    async fn run(mut self) {
        loop {
            match self.random.below(12) {
                0..6 => self.write_own(1).await,
                6..9 => {
                    let count = 2 + self.random.below(3);
                    self.write_own(count).await;
                }
                9..11 => self.write_shared().await,
                _ => self.maintain().await,
            }
        }
    }

    async fn write_own(&mut self, count: u64) {
        let first = self.random.below(OWN);
        let names: Vec<_> = (0..count).map(|step| format!("own-{}-{}", self.owner, (first + step) % OWN)).collect();
        assert!(self.write(&names).await, "nobody else writes these");
    }

    async fn write_shared(&mut self) {
        let name = format!("shared-{}", self.random.below(SHARED));
        while !self.write(std::slice::from_ref(&name)).await {
            let entry = self.store.get(&key(&name)).await.unwrap().entry;
            match entry {
                Some(entry) => self.known.insert(name.clone(), entry.revision),
                None => self.known.remove(&name),
            };
        }
    }

    /// Writes these in one commit, and says so. False if another was faster.
    async fn write(&mut self, names: &[String]) -> bool {
        let (mut txn, mut writes) = (txn(&self.name), Vec::new());
        for name in names {
            let text;
            (txn, text) = self.add(txn, name);
            writes.push((name.clone(), text));
        }
        let revision = match self.store.commit(txn).await {
            Ok(revision) => revision,
            Err(CommitError::Conflict { .. }) => return false,
            Err(other) => {
                say(Line::Unexpected(other.to_string()));
                std::process::exit(1);
            }
        };
        for (name, text) in &writes {
            match text {
                Some(_) => self.known.insert(name.clone(), revision),
                None => self.known.remove(name),
            };
        }
        say(Line::Acked { revision: revision.get(), writes });
        true
    }

    fn add(&mut self, txn: Txn, name: &str) -> (Txn, Option<String>) {
        self.written += 1;
        let text = format!("{}-{}", self.name, self.written);
        match self.known.get(name) {
            None => (txn.create(key(name), value(&text)), Some(text)),
            Some(at) if self.random.below(4) == 0 => (txn.delete(key(name), *at), None),
            Some(at) => (txn.update(key(name), value(&text), *at), Some(text)),
        }
    }

    /// Compacts, or moves the write-ahead log.
    async fn maintain(&mut self) {
        if self.random.below(2) == 0 {
            let head = self.store.state().await.unwrap().head;
            self.store.compact(head).await.unwrap();
        } else {
            let connection = Connection::open(&self.config.path).unwrap();
            // Where others are in the way, it moves less.
            connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        }
    }
}
