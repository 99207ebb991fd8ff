//! Many workers and adders at once, and who wakes whom.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Wake as StdWake, Waker};

use roa_core::{RandomExt, SystemRandom};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::*;
use crate::{SystemClock, Tasks};

/// Fails the test instead of hanging it.
async fn bounded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(secs(60), future).await.expect("in time")
}

#[derive(Default)]
struct Slot {
    active: AtomicBool,
    asked: AtomicU64,
    served: AtomicU64,
}

/// What workers and adders share.
struct Field {
    queue: WorkQueue<usize>,
    slots: [Slot; 16],
    runs: AtomicU64,
    /// Runs that ended so that another had to follow.
    repeats: AtomicU64,
}

impl Field {
    fn new() -> Arc<Self> {
        let backoff =
            BackoffPolicy { base: Duration::from_micros(100), max: Duration::from_millis(1), jitter_percent: 50 };
        // Fewer places than keys: adders wait, too.
        let config = QueueConfig { max_keys: 12, backoff, ..config() };
        let queue = WorkQueue::new(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        Arc::new(Self { queue, slots: Default::default(), runs: AtomicU64::new(0), repeats: AtomicU64::new(0) })
    }

    async fn add_many(self: Arc<Self>, adds: usize, seed: u64) {
        let random = SeededRandom::new(seed);
        for _ in 0..adds {
            let key = usize::try_from(random.below(16)).unwrap();
            self.slots[key].asked.fetch_add(1, Ordering::SeqCst);
            self.queue.add(&key, Priority::User, Cause::Changed).await.unwrap();
        }
    }

    async fn work(self: Arc<Self>, seed: u64) {
        let random = SeededRandom::new(seed);
        loop {
            let next = tokio::select! {
                biased;
                next = self.queue.next() => next,
                // Every now and then the wait is given up.
                () = yield_now() => continue,
            };
            let Some(run) = next else { return };
            self.serve(run, &random).await;
        }
    }

    async fn serve(&self, run: Run<usize>, random: &SeededRandom) {
        let slot = &self.slots[*run.key()];
        assert!(!slot.active.swap(true, Ordering::SeqCst), "C4: two workers have one key");
        self.runs.fetch_add(1, Ordering::SeqCst);
        let asked = slot.asked.load(Ordering::SeqCst);
        yield_now().await;
        let outcome = match random.below(8) {
            0 => None,
            1 => Some(Outcome::Failed),
            2 => Some(Outcome::RequeueAfter(Duration::from_micros(50))),
            _ => Some(Outcome::Done),
        };
        match outcome {
            Some(Outcome::Done) => slot.served.store(asked, Ordering::SeqCst),
            _ => _ = self.repeats.fetch_add(1, Ordering::SeqCst),
        }
        slot.active.store(false, Ordering::SeqCst);
        match outcome {
            Some(outcome) => _ = run.finish(outcome),
            None => drop(run),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c4_c5_c6_hold_among_many_workers_and_adders() {
    const ADDS: usize = 3_000;
    let (field, adders, workers) = (Field::new(), Tasks::new("adders", 4), Tasks::new("workers", 8));
    for seed in 0..8 {
        workers
            .spawn_draining(format!("worker {seed}"), {
                let field = Arc::clone(&field);
                move |_| field.work(seed)
            })
            .unwrap();
    }
    for seed in 100..104 {
        adders
            .spawn_draining(format!("adder {seed}"), {
                let field = Arc::clone(&field);
                move |_| field.add_many(ADDS, seed)
            })
            .unwrap();
    }
    let clock = SystemClock::new();
    assert_eq!(adders.shutdown(&clock, secs(60)).await, Vec::<Arc<str>>::new());
    bounded(field.queue.idle()).await;
    field.queue.shut_down();
    bounded(field.queue.drained()).await;
    assert_eq!(workers.shutdown(&clock, secs(60)).await, Vec::<Arc<str>>::new());
    assert_eq!((adders.panics(), workers.panics()), (0, 0));
    for slot in &field.slots {
        assert_eq!(
            slot.served.load(Ordering::SeqCst),
            slot.asked.load(Ordering::SeqCst),
            "C5: the last add was served"
        );
    }
    let (runs, repeats) = (field.runs.load(Ordering::SeqCst), field.repeats.load(Ordering::SeqCst));
    assert!(runs <= 4 * ADDS as u64 + repeats, "C6: {runs} runs, {repeats} of them to be repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_looking_and_waiting() {
    let queue = WorkQueue::<u64>::new(config(), Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let (send, mut served) = mpsc::channel(1);
    let workers = Tasks::new("workers", 4);
    for name in 0..4 {
        let (queue, send) = (queue.clone(), send.clone());
        let work = async move {
            while let Some(run) = queue.next().await {
                let key = *run.key();
                run.finish(Outcome::Done);
                send.send(key).await.unwrap();
            }
        };
        workers.spawn(format!("worker {name}"), work).unwrap();
    }
    for key in 0..5_000 {
        let delay = Duration::from_micros(if key % 16 == 0 { 200 } else { 0 });
        queue.try_add_after(&key, delay, Priority::User, Cause::Changed).unwrap();
        assert_eq!(bounded(served.recv()).await, Some(key));
    }
}

fn hold_runs(queue: &WorkQueue<&'static str>, workers: &Tasks, count: usize) -> mpsc::Receiver<Run<&'static str>> {
    let (send, receive) = mpsc::channel(count);
    for _ in 0..count {
        let (queue, send) = (queue.clone(), send.clone());
        let work = async move { _ = send.send(queue.next().await.expect("not shut down")).await };
        workers.spawn("worker", work).unwrap();
    }
    receive
}

#[tokio::test]
async fn keys_that_are_due_at_once_wake_as_many_workers() {
    let (queue, clock) = queue();
    let workers = Tasks::new("workers", 3);
    let mut runs = hold_runs(&queue, &workers, 3);
    for key in ["a", "b", "c"] {
        queue.try_add_after(&key, secs(5), Priority::User, Cause::Changed).unwrap();
    }
    bounded(clock.timers_pending(1)).await;
    clock.advance(secs(5));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(bounded(runs.recv()).await.unwrap());
    }
    assert_eq!(queue.in_flight(), 3);
}

#[test]
fn one_worker_watches_the_clock_for_all_and_hears_of_earlier_times() {
    let (queue, clock) = queue();
    let (mut first, mut second) = (Box::pin(queue.next()), Box::pin(queue.next()));
    let (count, waker) = counting_waker();
    let mut cx = Context::from_waker(&waker);
    for (key, due, wake_ups) in [("late", 50, 1), ("early", 5, 2), ("later", 99, 2)] {
        assert!(first.as_mut().poll(&mut cx).is_pending() && (&mut second).now_or_never().is_none());
        assert!(clock.pending_timers() <= 1, "of all that wait one has a timer");
        queue.try_add_after(&key, secs(due), Priority::User, Cause::Changed).unwrap();
        assert_eq!(count.0.load(Ordering::SeqCst), wake_ups, "{key}");
    }
    assert_eq!(clock.advance_to_next_timer(), Some(secs(5)));
    assert_eq!(*first.now_or_never().unwrap().unwrap().key(), "early");
}

#[test]
fn when_the_worker_that_watches_the_clock_leaves_another_takes_its_place() {
    let (queue, clock) = queue();
    queue.try_add_after(&"a", secs(5), Priority::User, Cause::Changed).unwrap();
    let (mut first, mut second) = (Box::pin(queue.next()), Box::pin(queue.next()));
    assert!((&mut first).now_or_never().is_none());
    let (count, waker) = counting_waker();
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    assert_eq!((count.0.load(Ordering::SeqCst), clock.pending_timers()), (1, 0), "the second is told");
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(clock.pending_timers(), 1);
    clock.advance(secs(5));
    assert!(second.now_or_never().is_some());
}

struct Count(AtomicUsize);

impl StdWake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting_waker() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    (Arc::clone(&count), Waker::from(count))
}

#[test]
fn a_worker_with_nothing_to_do_does_not_spin() {
    let (queue, _) = queue();
    for _ in 0..3 {
        add(&queue, "a");
        take(&queue).unwrap().finish(Outcome::Done);
        assert!(take(&queue).is_none());
    }
    queue.try_add_after(&"later", secs(5), Priority::User, Cause::Changed).unwrap();
    let (count, waker) = counting_waker();
    let mut next = Box::pin(queue.next());
    for polls in 0.. {
        assert!(polls < 10, "it wakes itself again and again");
        let before = count.0.load(Ordering::SeqCst);
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        if count.0.load(Ordering::SeqCst) == before {
            break;
        }
    }
}
