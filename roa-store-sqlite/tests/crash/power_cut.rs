//! Write-ahead logs that end at any byte, as a power cut leaves them: what opens is what was committed up to some
//! revision, and if that is not the last, the history goes on after a fence.

use std::fs;
use std::path::Path;
use std::process::Command;

use roa_core::{Epoch, Error, RandomExt, Revision, SeededRandom, Store, StoreState};
use roa_store_sqlite::{SqliteDurability, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::history::{Entries, assert_whole, entries};
use crate::kill9::beside;
use crate::workload::value;
use crate::{FILE, config, directory, key, open, txn};

const COMMITS: u64 = 30;
const RANDOM_CUTS: usize = 60;
/// The lengths of the headers in a write-ahead log: that of the file and that of each frame.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// What the file beside the database says.
#[derive(Debug, Clone, Copy)]
enum Marked {
    /// The last commit.
    Last,
    /// What it said before the first.
    First,
}

/// A store as it was while it was open, copied before anything was moved out of its write-ahead log.
struct Recorded {
    directory: TempDir,
    before: StoreState,
    /// What it held before the first commit, and after each.
    states: Vec<(Revision, Entries)>,
    log: Vec<u8>,
    /// Where the transactions in the write-ahead log end, in bytes.
    ends: Vec<usize>,
    boundaries: Vec<usize>,
}

impl Recorded {
    async fn new(durability: SqliteDurability) -> Self {
        let (original, directory) = (directory(), directory());
        let config = config(original.path()).durability(durability);
        let store = open(&config).await;
        let before = store.state().await.unwrap();
        // As long as its snapshot is held, nothing is moved.
        let snapshot = Connection::open(&config.path).unwrap();
        snapshot.execute_batch("BEGIN; SELECT * FROM meta").unwrap();
        copy(&[beside(&config.path, "-head").as_path()], &directory.path().join("first-mark"));
        let states = write(&store, before.head).await;
        copy(&["", "-wal", "-head"].map(|suffix| beside(&config.path, suffix)), directory.path());
        drop(snapshot);
        store.close().await;
        let log = fs::read(directory.path().join(format!("{FILE}-wal"))).unwrap();
        let (boundaries, ends) = frames(&log);
        Self { directory, before, states, log, ends, boundaries }
    }

    /// What is left if the write-ahead log ends there.
    fn left(&self, cut: usize) -> &(Revision, Entries) {
        let transactions = self.ends.iter().filter(|end| **end <= cut).count();
        // The first may be the one that notes that the disk may miss commits.
        let others = self.ends.len() + 1 - self.states.len();
        &self.states[transactions.saturating_sub(others)]
    }

    fn last(&self) -> Revision {
        self.states.last().unwrap().0
    }

    /// Where to cut: at all boundaries of frames, and anywhere.
    fn cuts(&self) -> Vec<usize> {
        let random = SeededRandom::new(4);
        let bytes = u64::try_from(self.log.len()).unwrap();
        let anywhere = (0..RANDOM_CUTS).map(|_| usize::try_from(random.below(bytes)).unwrap());
        self.boundaries.iter().copied().chain(anywhere).collect()
    }

    /// The files as a machine that lost power leaves them. After the cut there is nothing, or whatever the disk had.
    fn cut(&self, cut: usize, marked: Marked) -> TempDir {
        let (from, to) = (self.directory.path(), directory());
        let mut log = self.log[..cut].to_vec();
        if cut % 2 == 1 {
            log.resize(self.log.len(), 0xa5);
        }
        let mark = match marked {
            Marked::Last => from.join(format!("{FILE}-head")),
            Marked::First => from.join("first-mark"),
        };
        fs::copy(from.join(FILE), to.path().join(FILE)).unwrap();
        fs::copy(mark, to.path().join(format!("{FILE}-head"))).unwrap();
        fs::write(to.path().join(format!("{FILE}-wal")), log).unwrap();
        to
    }
}

/// Copies files in another process: closing a database file drops the locks that this process has on it.
fn copy(from: &[impl AsRef<Path>], to: &Path) {
    let from = from.iter().map(AsRef::as_ref);
    assert!(Command::new("cp").args(from).arg(to).status().unwrap().success());
}

async fn write(store: &SqliteStore, opening: Revision) -> Vec<(Revision, Entries)> {
    let random = SeededRandom::new(5);
    let mut states = vec![(opening, Entries::new())];
    for number in 0..COMMITS {
        let known = &states.last().unwrap().1;
        let mut wanted = txn("test");
        for step in 0..=number % 3 {
            let name = format!("k{}", (number * 5 + step) % 7);
            let text = value(&format!("{name}-{number}"));
            wanted = match known.get(&name) {
                None => wanted.create(key(&name), text),
                Some(entry) if random.below(3) == 0 => wanted.delete(key(&name), entry.revision),
                Some(entry) => wanted.update(key(&name), text, entry.revision),
            };
        }
        let revision = store.commit(wanted).await.unwrap();
        states.push((revision, entries(store).await));
    }
    states
}

/// Where the frames of a write-ahead log begin and end, and where those end that end a transaction.
fn frames(log: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let number = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame = FRAME + usize::try_from(number(8)).unwrap();
    let begins = (HEADER..log.len()).step_by(frame);
    let ends = begins.clone().filter(|begin| number(begin + 4) != 0).map(|begin| begin + frame).collect();
    ([0].into_iter().chain(begins).chain([log.len()]).collect(), ends)
}

/// Opens what is left after a cut, and looks whether it is that, and whether it was fenced.
async fn assert_left(recorded: &Recorded, cut: usize, left: &TempDir, fenced: bool) {
    let (head, held) = recorded.left(cut);
    let store = open(&config(left.path())).await;
    let (state, Epoch { counter, .. }) = (store.state().await.unwrap(), recorded.before.epoch);
    assert_eq!(entries(&store).await, *held, "cut at {cut}");
    if fenced {
        assert_eq!((state.epoch.counter, state.floor), (counter + 1, state.head), "cut at {cut}");
        assert!(state.head > recorded.last(), "cut at {cut}: {state:?} could give a lost revision again");
        assert!(matches!(store.tail(*head).await, Err(Error::Expired { .. })));
    } else {
        assert_eq!(state, StoreState { head: *head, ..recorded.before }, "cut at {cut}");
    }
    let next = store.commit(txn("test").create(key("next"), value("next"))).await.unwrap();
    assert_eq!(next, state.head.next().unwrap(), "cut at {cut}");
    assert_whole(&config(left.path())).await;
    store.close().await;
}

async fn assert_prefixes(durability: SqliteDurability) {
    let recorded = Recorded::new(durability).await;
    let mut heads = std::collections::BTreeSet::new();
    for cut in recorded.cuts() {
        let (head, _) = recorded.left(cut);
        heads.insert(*head);
        assert_left(&recorded, cut, &recorded.cut(cut, Marked::Last), *head < recorded.last()).await;
        assert_left(&recorded, cut, &recorded.cut(cut, Marked::First), false).await;
    }
    assert_eq!(heads.len(), recorded.states.len(), "each prefix was seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s4_s14_a_log_that_was_cut_is_a_prefix_and_fenced_if_commits_were_lost() {
    assert_prefixes(SqliteDurability::PowerLoss).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_s4_s14_a_log_that_was_not_synced_and_cut_is_a_prefix_and_fenced_if_commits_were_lost() {
    assert_prefixes(SqliteDurability::ProcessCrash).await;
}

/// The file beside the database is not synced with each commit: it may have lost as much as the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s14_after_the_machine_stopped_what_was_not_synced_is_fenced_whatever_is_left() {
    let recorded = Recorded::new(SqliteDurability::ProcessCrash).await;
    // Before the first commit is acknowledged, the disk has it that it may miss commits.
    let noted = recorded.ends[0];
    for cut in recorded.cuts().into_iter().filter(|cut| *cut >= noted) {
        let left = recorded.cut(cut, Marked::First);
        let other_boot = "UPDATE meta SET unsynced_boot = 'other' WHERE unsynced_boot IS NOT NULL";
        let connection = Connection::open(left.path().join(FILE)).unwrap();
        assert_eq!(connection.execute(other_boot, []).unwrap(), 1, "cut at {cut}");
        drop(connection);
        assert_left(&recorded, cut, &left, true).await;
    }
}
