//! Histories that break again and again, as a seed chooses, under clients that write and follow all the time.
//!
//! Whatever breaks: no revision stands for two transactions, no transaction for two revisions; what was refused is never
//! seen; what one client sees never goes back; and who follows, and begins anew where it must, has what the store has.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use roa_core::{
    Batch, CommitError, Entry, KeyPrefix, ListRequest, Random, RandomExt, Revision, SeededRandom, Store, TailEnd,
    TxnId, Value,
};
use roa_store_redis::RedisStore;
use roa_store_redis::test_util::{Proxy, RedisServer};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{BOUND, config, create_again, key, open, txn, until, within};

const CLIENTS: u64 = 3;
const KEYS: u64 = 12;
const ROUNDS: u64 = 7;

/// All that any client was told.
#[derive(Default)]
struct Told {
    history: Mutex<History>,
    /// How many commits were acknowledged.
    acknowledged: watch::Sender<u64>,
    ending: AtomicBool,
    /// What happened last, for who waits in vain.
    newest: Mutex<String>,
}

#[derive(Default)]
struct History {
    by_revision: BTreeMap<Revision, TxnId>,
    by_txn: HashMap<TxnId, Revision>,
    refused: HashSet<TxnId>,
}

impl Told {
    /// What another task has found wrong is told by it alone.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, revision: Revision, txn: TxnId) {
        let mut history = self.history();
        assert_eq!(*history.by_revision.entry(revision).or_insert(txn), txn, "what {revision} stands for");
        assert_eq!(*history.by_txn.entry(txn).or_insert(revision), revision, "when {txn} was done");
        assert!(!history.refused.contains(&txn), "{txn} was refused, and done at {revision}");
    }

    fn refused(&self, txn: TxnId) {
        let mut history = self.history();
        assert!(!history.by_txn.contains_key(&txn), "{txn} was done, and refused");
        history.refused.insert(txn);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Waits until so many more were acknowledged.
    async fn more(&self, count: u64) {
        let mut acknowledged = self.acknowledged.subscribe();
        let enough = *acknowledged.borrow() + count;
        let waiting = acknowledged.wait_for(|acknowledged| *acknowledged >= enough);
        let in_vain = tokio::time::timeout(BOUND, waiting).await.is_err();
        assert!(!in_vain, "no {count} commits within {BOUND:?}, after {}", self.newest.lock().unwrap());
    }
}

/// Writes one of the keys after the other, as it finds them.
async fn write(store: Arc<RedisStore>, told: Arc<Told>, random: SeededRandom) {
    let mut last = Revision::new(1).unwrap();
    while !told.is_ending() {
        let key = key(&format!("k{}", random.below(KEYS)));
        let read = match store.get(&key).await {
            Ok(read) => read,
            Err(error) => {
                *told.newest.lock().unwrap() = format!("a read: {error}");
                continue;
            }
        };
        assert!(read.revision >= last, "{} was read after {last}", read.revision);
        last = read.revision;
        let value = Value::opaque(format!("{:x}", random.next_u64()));
        let wanted = match read.entry {
            None => txn().create(key, value),
            Some(entry) if random.below(4) == 0 => txn().delete(key, entry.revision),
            Some(entry) => txn().update(key, value, entry.revision),
        };
        let id = wanted.id;
        match store.commit(wanted).await {
            Ok(revision) => {
                assert!(revision > last, "{revision} was committed after {last}");
                last = revision;
                told.seen(revision, id);
                told.acknowledged.send_modify(|count| *count += 1);
            }
            Err(CommitError::Ambiguous { .. }) => {}
            Err(other) => {
                *told.newest.lock().unwrap() = format!("a commit: {other}");
                told.refused(id);
            }
        }
    }
}

type Entries = BTreeMap<String, Arc<Entry>>;

/// What a client that follows has.
#[derive(Debug, Clone)]
struct Model {
    at: Revision,
    entries: Entries,
}

impl Model {
    async fn list(store: &RedisStore) -> Option<Self> {
        let page = store.list(ListRequest::new(KeyPrefix::everything())).await.ok()?;
        let entries = page.entries.into_iter().map(|entry| (entry.key.name().to_owned(), entry)).collect();
        Some(Self { at: page.revision, entries })
    }

    fn apply(&mut self, batch: &Batch) {
        assert_eq!(batch.revision, self.at.next().unwrap(), "none is left out, none comes twice");
        self.at = batch.revision;
        for change in batch.changes.iter() {
            let name = change.key().name().to_owned();
            assert_eq!(change.previous(), self.entries.get(&name), "what {name} was before {}", batch.revision);
            match change.current() {
                Some(entry) => self.entries.insert(name, Arc::clone(entry)),
                None => self.entries.remove(&name),
            };
        }
    }
}

/// Lists and follows, and begins anew when the history is broken.
async fn follow(store: Arc<RedisStore>, told: Arc<Told>, followed: watch::Sender<Option<Model>>) {
    let mut last = Revision::new(1).unwrap();
    loop {
        let Some(mut model) = Model::list(&store).await else { continue };
        assert!(model.at >= last, "{} was listed after {last}", model.at);
        followed.send_replace(Some(model.clone()));
        last = model.at;
        let Ok(mut tail) = store.tail(model.at).await else { continue };
        loop {
            match tail.next().await {
                Some(Ok(batches)) => {
                    for batch in &batches {
                        model.apply(batch);
                        told.seen(batch.revision, batch.txn);
                    }
                    last = model.at;
                    followed.send_replace(Some(model.clone()));
                }
                Some(Err(TailEnd::Expired { .. })) => break,
                Some(Err(TailEnd::Closed)) => return,
                other => panic!("a feed gave {other:?}"),
            }
        }
    }
}

struct World {
    primary: RedisServer,
    spare: RedisServer,
    proxy: Proxy,
    told: Arc<Told>,
    random: SeededRandom,
}

impl World {
    async fn break_somehow(&mut self) {
        let fault = self.random.below(7);
        *self.told.newest.lock().unwrap() = format!("fault {fault}");
        match fault {
            0 => self.primary.restart(),
            1 => {
                self.primary.stop();
                self.primary.start_again();
            }
            2 => self.lose_the_end(),
            3 => self.primary.command::<()>(&["FLUSHALL"]),
            4 => self.proxy.cut(),
            5 => self.proxy.freeze(),
            _ => self.fail_over().await,
        }
    }

    /// A power cut takes the end of the append-only file.
    fn lose_the_end(&self) {
        self.primary.kill();
        let files = std::fs::read_dir(self.primary.directory().join("appendonlydir")).unwrap();
        let files = files.map(|file| file.unwrap().path()).filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
        let newest = files.max_by_key(|path| std::fs::metadata(path).unwrap().modified().unwrap()).unwrap();
        let length = std::fs::metadata(&newest).unwrap().len().saturating_sub(self.random.below(3_000));
        std::fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(length).unwrap();
        self.primary.start_again();
    }

    /// The primary acknowledges what the replica never gets, then the replica takes its place.
    async fn fail_over(&mut self) {
        let Self { primary, spare, .. } = self;
        spare.command::<()>(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
        until("the replica has it", || spare.command::<String>(&["INFO"]).contains("master_link_status:up"));
        spare.command::<()>(&["REPLICAOF", "NO", "ONE"]);
        self.told.more(20).await;
        self.proxy.retarget(self.spare.port());
        self.primary.kill();
        self.primary.start_again();
        std::mem::swap(&mut self.primary, &mut self.spare);
    }
}

async fn run(seed: u64) {
    let (primary, spare) = (RedisServer::start(), RedisServer::start());
    let (proxy, told) = (Proxy::start(primary.port()).await, Arc::new(Told::default()));
    let mut world = World { primary, spare, proxy, told: Arc::clone(&told), random: SeededRandom::new(seed) };
    let (mut tasks, mut clients) = (JoinSet::new(), Vec::new());
    for number in 0..CLIENTS {
        let store = Arc::new(open(config(world.proxy.url())).await);
        let (followed, model) = watch::channel(None);
        tasks.spawn(write(Arc::clone(&store), Arc::clone(&told), SeededRandom::new(seed * 100 + number)));
        tasks.spawn(follow(Arc::clone(&store), Arc::clone(&told), followed));
        clients.push((store, model));
    }
    // One that follows nothing, and so knows of nothing but its own commits.
    let lone = Arc::new(open(config(world.proxy.url()).block(Duration::from_secs(60))).await);
    tasks.spawn(write(lone, Arc::clone(&told), SeededRandom::new(seed * 100 + CLIENTS)));
    for _ in 0..ROUNDS {
        told.more(50).await;
        world.break_somehow().await;
    }
    told.more(50).await;
    told.ending.store(true, Ordering::SeqCst);
    for _ in 0..=CLIENTS {
        within(tasks.join_next()).await.unwrap().unwrap();
    }
    let last = create_again(&clients[0].0, "last").await;
    let direct = open(config(world.primary.url())).await;
    let found = Model::list(&direct).await.unwrap();
    for (store, mut model) in clients {
        let reached = |model: &Option<Model>| model.as_ref().is_some_and(|model| model.at >= last);
        let model = within(model.wait_for(reached)).await.unwrap().clone().unwrap();
        assert_eq!((model.at, &model.entries), (found.at, &found.entries));
        store.close().await;
    }
    within(tasks.join_all()).await;
    assert_told(&direct, &told).await;
}

/// All that was told of the stretch of history that is there is in its log.
async fn assert_told(store: &RedisStore, told: &Told) {
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    let state = store.state().await.unwrap();
    let (mut tail, mut logged) = (store.tail(state.floor).await.unwrap(), BTreeMap::new());
    while !logged.contains_key(&state.head) {
        let batches = within(tail.next()).await.unwrap().unwrap();
        logged.extend(batches.iter().map(|batch| (batch.revision, batch.txn)));
    }
    let history = told.history();
    for (revision, txn) in history.by_revision.range(state.floor.next().unwrap()..) {
        assert_eq!(logged.get(revision), Some(txn), "{revision} was told");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s5_s9_s14_w9_whatever_breaks_no_revision_is_used_twice_and_all_followers_agree() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s5_s9_s14_w9_whatever_breaks_in_another_order_all_followers_agree() {
    run(2).await;
}
