//! The queue under interleavings that a scheduler chooses: at each lock and each wake-up another task may come in
//! between, and a wake-up that is lost is a deadlock, which ends the test.
//!
//! What is switched is the queue itself. Its lock is never held across a switch, and its notifications are single steps,
//! so the standard types serve here as they do in earnest.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;

use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use super::*;
use crate::locks;

thread_local! {
    static CHECKED: Cell<bool> = const { Cell::new(false) };
}

/// Lets another task come in between, inside of [`check`]; elsewhere nothing.
pub fn step() {
    if CHECKED.get() {
        shuttle::thread::yield_now();
    }
}

/// Runs `scenario` under schedules at random, and under such as find bugs that need few switches at the right places.
fn check<F: Future<Output = ()> + 'static>(scenario: fn() -> F) {
    const RUNS: usize = 1_500;
    let run = move || {
        CHECKED.set(true);
        block_on(scenario());
        CHECKED.set(false);
    };
    Runner::new(RandomScheduler::new_from_seed(1, RUNS), Config::new()).run(run);
    Runner::new(PctScheduler::new_from_seed(1, 3, RUNS), Config::new()).run(run);
}

/// What tasks of a scenario share: the queue, and what happened.
struct Scene {
    queue: WorkQueue<&'static str>,
    clock: ManualClock,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    running: Vec<&'static str>,
    asked: HashMap<&'static str, u32>,
    /// How much of what was asked the last run that went well began after.
    served: HashMap<&'static str, u32>,
    runs: u32,
}

impl Scene {
    fn new(max_keys: usize) -> Arc<Self> {
        let (queue, clock) = queue_with(QueueConfig { max_keys, ..config() });
        Arc::new(Self { queue, clock, seen: Mutex::default() })
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut locks::lock(&self.seen))
    }

    async fn add(self: Arc<Self>, keys: &'static [&'static str]) {
        for key in keys {
            self.seen(|seen| *seen.asked.entry(key).or_default() += 1);
            self.queue.add(key, Priority::User, Cause::Changed).await.unwrap();
        }
    }

    /// Works until the queue is shut down; the first `failures` runs of each key fail.
    async fn work(self: Arc<Self>, failures: u32) {
        while let Some(run) = self.queue.next().await {
            let mut next = self.serve(run, failures);
            while let Some(run) = next {
                next = self.serve(run, failures);
            }
        }
    }

    /// Every other run that goes well ends as the next one is taken, if there is one.
    fn serve(&self, run: Run<&'static str>, failures: u32) -> Option<Run<&'static str>> {
        let key = *run.key();
        let asked = self.seen(|seen| {
            assert!(!seen.running.contains(&key), "C4: two workers have {key}");
            seen.running.push(key);
            seen.runs += 1;
            seen.asked.get(key).copied().unwrap_or(0)
        });
        step();
        let fails = run.failures() < failures;
        self.seen(|seen| {
            seen.running.retain(|running| *running != key);
            if !fails {
                seen.served.insert(key, asked);
            }
        });
        if fails {
            drop(run);
        } else if self.seen(|seen| seen.runs.is_multiple_of(2)) {
            return run.finish_and_next(Outcome::Done);
        } else {
            run.finish(Outcome::Done);
        }
        None
    }

    fn workers(self: &Arc<Self>, failures: [u32; 2]) -> Vec<JoinHandle<()>> {
        failures.map(|failures| spawn(Arc::clone(self).work(failures))).into()
    }

    async fn end(&self, workers: Vec<JoinHandle<()>>) {
        self.queue.idle().await;
        self.queue.shut_down();
        self.queue.drained().await;
        for worker in workers {
            worker.await.unwrap();
        }
    }
}

async fn c4_c5_c6() {
    let scene = Scene::new(2);
    let workers = scene.workers([0, 0]);
    let adders = [spawn(Arc::clone(&scene).add(&["a", "b", "a"])), spawn(Arc::clone(&scene).add(&["a", "c"]))];
    for adder in adders {
        adder.await.unwrap();
    }
    scene.end(workers).await;
    scene.seen(|seen| {
        assert_eq!(seen.served, seen.asked, "C5: after the last add of each key a run began");
        assert!(seen.runs <= 5, "C6: {} runs for 5 adds", seen.runs);
    });
}

#[test]
fn c4_c5_c6_in_any_order_no_add_is_lost_and_no_key_runs_twice_at_once() {
    check(c4_c5_c6);
}

async fn c7() {
    let scene = Scene::new(10);
    let workers = scene.workers([1, 1]);
    Arc::clone(&scene).add(&["a", "b"]).await;
    let time = spawn({
        let scene = Arc::clone(&scene);
        async move {
            while !scene.queue.is_empty() {
                scene.clock.advance_to_next_timer();
                step();
            }
        }
    });
    time.await.unwrap();
    scene.end(workers).await;
    scene.seen(|seen| assert_eq!((seen.runs, &seen.served), (4, &seen.asked), "each key ran, failed, and ran again"));
}

#[test]
fn c7_in_any_order_a_key_that_failed_runs_again_when_its_time_has_come() {
    check(c7);
}

/// Looks for work once, and gives up if there is none: what a worker does that is told to stop.
async fn look_once(queue: &WorkQueue<&'static str>) -> Option<Run<&'static str>> {
    let mut next = pin!(queue.next());
    let mut polls = 0;
    poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(run) => Poll::Ready(run),
        Poll::Pending if polls == 1 => Poll::Ready(None),
        Poll::Pending => {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

async fn leaving_workers() {
    let scene = Scene::new(10);
    let leaver = spawn({
        let scene = Arc::clone(&scene);
        async move {
            let mut next = look_once(&scene.queue).await;
            while let Some(run) = next {
                next = scene.serve(run, 0);
            }
        }
    });
    let workers = scene.workers([0, 0]);
    scene.queue.try_add_after(&"late", secs(1), Priority::User, Cause::Changed).unwrap();
    scene.seen(|seen| _ = seen.asked.insert("late", 1));
    Arc::clone(&scene).add(&["a"]).await;
    leaver.await.unwrap();
    // Of those who stay, one watches the clock.
    while scene.clock.advance_to_next_timer().is_none() && !scene.queue.is_empty() {
        step();
    }
    scene.end(workers).await;
    scene.seen(|seen| assert_eq!(seen.served, seen.asked));
}

#[test]
fn c5_c7_in_any_order_a_worker_that_leaves_takes_no_wake_up_with_it() {
    check(leaving_workers);
}

async fn c8() {
    let scene = Scene::new(1);
    let workers = scene.workers([0, 0]);
    let adder = spawn({
        let queue = scene.queue.clone();
        async move {
            for key in ["a", "b", "c"] {
                if queue.add(&key, Priority::User, Cause::Changed).await.is_err() {
                    return;
                }
            }
        }
    });
    step();
    scene.queue.shut_down();
    let drained = scene.queue.drained();
    drained.await;
    scene.seen(|seen| assert!(seen.running.is_empty(), "C8: drained while {:?} ran", seen.running));
    assert_eq!(scene.queue.try_add(&"late", Priority::User, Cause::Changed), Err(AddError::ShutDown));
    adder.await.unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(scene.queue.is_empty());
}

#[test]
fn c8_in_any_order_shut_down_ends_every_wait_and_drains_what_runs() {
    check(c8);
}
