//! The handover from the feed to those who wait, under interleavings that a scheduler chooses: what is appended is seen by
//! each, whoever comes in between. A wake-up that is lost is a deadlock, which ends the test.
//!
//! These are the ring and the wakers themselves, in the steps in which the hub and its watches take them. Between any two
//! steps another task may come in; no lock is held there.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::task::Poll;

use roa_core::{Batch, Change, Entry, Key, Revision, Timestamp, TxnId, Value};
use shuttle::future::{block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::ring::{Found, Ring};
use super::wakers::Wakers;
use crate::locks;

const FIRST: u64 = 100;
const LAST: u64 = 106;

fn step() {
    shuttle::thread::yield_now();
}

fn revision(number: u64) -> Revision {
    Revision::new(number).unwrap()
}

fn batch(number: u64) -> Arc<Batch> {
    let key = Key::new("g", "things", "n", "a").unwrap();
    let entry = Entry::created(key, Value::opaque("v"), revision(number), TxnId::none(), "t".into());
    Arc::new(Batch {
        revision: revision(number),
        txn: TxnId::none(),
        previous_txn: TxnId::none(),
        committed_at: Timestamp::from_unix_seconds(0).unwrap(),
        changes: Change::Put { entry: entry.into(), previous: None }.into(),
    })
}

struct Scene {
    ring: RwLock<Ring>,
    newest: AtomicU64,
    wakers: Wakers,
    seen: Mutex<Vec<Vec<u64>>>,
}

impl Scene {
    fn new(max_batches: usize) -> Arc<Self> {
        Arc::new(Self {
            ring: RwLock::new(Ring::new(revision(FIRST), max_batches, usize::MAX)),
            newest: AtomicU64::new(FIRST),
            wakers: Wakers::new(4),
            seen: Mutex::default(),
        })
    }

    /// As the pump does: into the ring, then the head, then the wake-up.
    async fn feed(self: Arc<Self>) {
        for number in FIRST + 1..=LAST {
            let evicted = locks::write(&self.ring).append(vec![batch(number)]);
            step();
            self.newest.store(number, Ordering::Release);
            step();
            self.wakers.wake_all();
            step();
            drop(evicted);
        }
    }

    /// As a watch does: reads on, and at the head registers and looks once more. Ends with the last batch, or when it is
    /// told that it fell behind.
    async fn watch(self: Arc<Self>) {
        let slot = self.wakers.take().unwrap();
        let (mut cursor, mut seen) = (FIRST, Vec::new());
        while cursor < LAST {
            step();
            let found = locks::read(&self.ring).read(revision(cursor));
            match found {
                Found::Segment(segment, from) => {
                    step();
                    seen.extend(segment.range(from..segment.len()).map(|batch| batch.revision.get()));
                    cursor = *seen.last().unwrap();
                }
                Found::Behind => break,
                Found::AtHead => self.next(slot, cursor).await,
            }
        }
        self.wakers.release(slot);
        locks::lock(&self.seen).push(seen);
    }

    async fn next(&self, slot: usize, cursor: u64) {
        poll_fn(|cx| {
            self.wakers.register(slot, cx.waker());
            step();
            if self.newest.load(Ordering::Acquire) <= cursor { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Waits once, and gives up: its slot is taken by others.
    async fn leave(self: Arc<Self>) {
        let slot = self.wakers.take().unwrap();
        let mut polled = false;
        poll_fn(|cx| {
            self.wakers.register(slot, cx.waker());
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        step();
        self.wakers.release(slot);
    }
}

async fn handover(max_batches: usize) -> Vec<Vec<u64>> {
    let scene = Scene::new(max_batches);
    let mut tasks: Vec<_> = (0..2).map(|_| spawn(Arc::clone(&scene).watch())).collect();
    tasks.push(spawn(Arc::clone(&scene).leave()));
    tasks.push(spawn(Arc::clone(&scene).feed()));
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(scene.wakers.len(), 0, "each gave its slot back");
    locks::lock(&scene.seen).clone()
}

/// Under schedules at random, and under such as find bugs that need few switches at the right places.
fn check(scenario: fn()) {
    const RUNS: usize = 1_000;
    Runner::new(RandomScheduler::new_from_seed(1, RUNS), Config::new()).run(scenario);
    Runner::new(PctScheduler::new_from_seed(1, 3, RUNS), Config::new()).run(scenario);
}

#[test]
fn w4_w11_in_any_order_each_who_waits_sees_each_batch_once_and_no_wake_up_is_lost() {
    check(|| {
        let all: Vec<u64> = (FIRST + 1..=LAST).collect();
        assert_eq!(block_on(handover(1_000)), [all.clone(), all]);
    });
}

#[test]
fn w4_w14_in_any_order_who_falls_behind_is_told_and_saw_all_before_without_a_gap() {
    check(|| {
        for seen in block_on(handover(2)) {
            let dense = (FIRST + 1..).take(seen.len()).collect::<BTreeSet<_>>();
            assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), dense, "{seen:?}");
        }
    });
}
