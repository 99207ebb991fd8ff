//! Processes that end at any moment, as by `kill -9`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use roa_core::{Epoch, RandomExt, Revision, SeededRandom, Store};
use roa_store_sqlite::{SqliteConfig, SqliteDurability};
use tempfile::TempDir;

use crate::child::{Line, Order, Role, Running};
use crate::history::{History, assert_whole};
use crate::workload::{RETAINED, value};
use crate::{PATIENCE, config, directory, key, open, txn};

const ROUNDS: u64 = 100;
/// How many rounds one file lasts.
const ROUNDS_OF_A_FILE: u64 = 25;
/// How many rounds may pass without a look at the file: all that they commit is kept by compactions.
const UNSEEN: u64 = 2;
const MAX_ACKS: u64 = 200;

/// More than it was to acknowledge, since it goes on until it is killed.
const ROUND: u64 = 2 * MAX_ACKS;

const _: () = assert!(UNSEEN * ROUND <= RETAINED);

pub(crate) type Ack = (u64, Vec<(String, Option<String>)>);

/// A file that processes are killed over.
struct Victim {
    directory: TempDir,
    /// Since a process has said that it opened the file.
    history: Option<History>,
    /// The commits that were acknowledged since the last look.
    acks: Vec<Ack>,
    unseen: u64,
    /// Up to where compactions had come at the last look.
    floor: u64,
}

impl Victim {
    fn new() -> Self {
        Self { directory: directory(), history: None, acks: Vec::new(), unseen: 0, floor: 0 }
    }

    fn config(&self) -> SqliteConfig {
        config(self.directory.path()).min_retain(RETAINED)
    }

    /// One process writes and is killed after so many acknowledged commits.
    fn round(&mut self, seed: u64, acks: u64) {
        let mut order = Order::new(Role::Writer, seed, &self.config().path);
        if seed.is_multiple_of(2) {
            order.durability = SqliteDurability::ProcessCrash;
        }
        let running = Running::start(&order);
        let mut heard = 0;
        while heard < acks {
            let line = running.next().unwrap();
            heard += u64::from(matches!(line, Line::Acked { .. }));
            self.take(line);
        }
        running.kill().into_iter().for_each(|line| self.take(line));
        self.unseen += 1;
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Opened { epoch, floor, head } => self.opened(epoch, floor, head),
            Line::Acked { revision, writes } => self.acks.push((revision, writes)),
            Line::Done | Line::Unexpected(_) => panic!("it was not to end"),
        }
    }

    fn opened(&mut self, epoch: Epoch, floor: u64, head: u64) {
        let highest = self.acks.iter().map(|(revision, _)| *revision).max();
        assert!(highest <= Some(head), "{highest:?} was acknowledged, but the file was opened at {head}");
        match &self.history {
            Some(history) => assert_eq!(epoch, history.epoch, "the end of a process is no break of the history"),
            None => {
                assert_eq!(floor, head, "a new file");
                self.history = Some(History::new(epoch, Revision::new(floor).unwrap()));
            }
        }
    }

    /// Opens the file as it was left, and compares it with all that is known of it.
    async fn look(&mut self) {
        self.unseen = 0;
        let store = open(&self.config()).await;
        let state = store.state().await.unwrap();
        self.floor = state.floor.get();
        let history = self.history.get_or_insert_with(|| History::new(state.epoch, state.floor));
        history.catch_up(&store).await;
        std::mem::take(&mut self.acks).iter().for_each(|ack| assert_committed(history, ack));
        assert_whole(&config(self.directory.path())).await;
        let (name, text) = ("looks", history.head().to_string());
        let looked = match history.entries.get(name) {
            Some(entry) => txn("parent").update(key(name), value(&text), entry.revision),
            None => txn("parent").create(key(name), value(&text)),
        };
        let next = history.head().next().unwrap();
        assert_eq!(store.commit(looked).await.unwrap(), next);
        history.catch_up(&store).await;
        store.close().await;
    }
}

/// A commit that was acknowledged is in the history, with all that it wrote and nothing else.
pub(crate) fn assert_committed(history: &History, (revision, writes): &Ack) {
    let batch = history.batches.get(revision);
    let batch = batch.unwrap_or_else(|| panic!("{revision} was acknowledged, the head is {}", history.head()));
    let found: Vec<_> = batch
        .changes
        .iter()
        .map(|change| (change.key().name().to_owned(), change.current().map(|entry| entry.value.clone())))
        .collect();
    let written: Vec<_> = writes.iter().map(|(name, text)| (name.clone(), text.as_deref().map(value))).collect();
    assert_eq!(found, written, "what was committed at {revision}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s4_s6_s14_a_hundred_killed_processes_lose_nothing_that_was_acknowledged() {
    let random = SeededRandom::new(9);
    let mut victim = Victim::new();
    let (mut commits, mut compacted) = (0, 0);
    for round in 0..ROUNDS {
        if round % ROUNDS_OF_A_FILE == 0 {
            victim = Victim::new();
        }
        // Some end while they open the file, or soon after.
        let acks = match random.below(10) {
            0 => 0,
            1..4 => random.below(10),
            _ => random.below(MAX_ACKS),
        };
        victim.round(round, acks);
        let last = round % ROUNDS_OF_A_FILE == ROUNDS_OF_A_FILE - 1;
        // Else the next process finds what this one has left, perhaps to be killed over it.
        if last || victim.unseen >= UNSEEN || random.below(2) == 0 {
            victim.look().await;
        }
        if last {
            let batches = &victim.history.as_ref().unwrap().batches;
            commits += batches.len();
            compacted += batches.range(..=victim.floor).count();
        }
    }
    assert!(commits > 1_000 && compacted > 100, "{commits} commits, {compacted} forgotten: it was no test");
}

/// What a process that makes a file has reached when it is killed.
const REACHED: [fn(&Path) -> bool; 5] = [
    |path| beside(path, "-head").exists(),
    |path| beside(path, "-new").exists(),
    |path| beside(path, "-new-journal").exists(),
    |path| beside(path, "-new").metadata().is_ok_and(|file| file.len() > 0),
    |path| path.exists(),
];

/// The last thing that it makes. All before it but `-head` is there for a moment only, and who looks may miss it.
fn made(path: &Path) -> bool {
    beside(path, "-wal").exists()
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s6_a_process_that_is_killed_while_it_makes_the_file_leaves_one_that_opens() {
    for round in 0..30 {
        let mut victim = Victim::new();
        let config = victim.config();
        let running = Running::start(&Order::new(Role::Writer, round, &config.path));
        let (reached, deadline) = (REACHED[usize::try_from(round).unwrap() % REACHED.len()], Instant::now() + PATIENCE);
        while !reached(&config.path) && !made(&config.path) {
            assert!(Instant::now() < deadline, "it made no file");
            std::thread::yield_now();
        }
        running.kill().into_iter().for_each(|line| victim.take(line));
        victim.look().await;
    }
}
