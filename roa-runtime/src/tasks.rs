//! [`Tasks`]: every task of the engine has a name, an owner, a bound and a way to end. Nothing else spawns.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use roa_core::{Cancellation, CancellationSource, Clock, ClockExt};
use thiserror::Error;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::locks;

/// The tasks of one owner. A clone is the same owner; when the last one is dropped, the tasks are aborted.
///
/// ```
/// # use std::time::Duration;
/// # use roa_runtime::{SystemClock, Tasks};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tasks = Tasks::new("docs", 2);
/// tasks.spawn("endless", std::future::pending())?;
/// tasks.spawn_draining("careful", |stop| async move {
///     stop.cancelled().await;
///     // ... finishes what it has begun
/// })?;
/// let left = tasks.shutdown(&SystemClock::new(), Duration::from_secs(5)).await;
/// assert!(left.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tasks {
    owned: Arc<Owned>,
}

/// Aborts the tasks when their owner goes. The tasks themselves hold only what is in it.
struct Owned(Arc<Shared>);

struct Shared {
    owner: Arc<str>,
    max: usize,
    tracker: TaskTracker,
    cancellation: CancellationSource,
    running: Mutex<Running>,
    panics: AtomicU64,
}

#[derive(Default)]
struct Running {
    closed: bool,
    aborted: bool,
    next_id: u64,
    tasks: BTreeMap<u64, Registered>,
}

struct Registered {
    name: Arc<str>,
    /// `None` while the task is being started.
    abort: Option<AbortHandle>,
}

/// A task that was not started.
///
/// ```
/// use roa_runtime::{SpawnError, Tasks};
/// let none = Tasks::new("docs", 0);
/// assert!(matches!(none.spawn("one", async {}), Err(SpawnError::Full { max: 0, .. })));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The owner has as many tasks as it may.
    #[error("spawn {name}: {owner} has {max} tasks already, expected fewer")]
    Full {
        /// Whose task.
        owner: Arc<str>,
        /// Which.
        name: Arc<str>,
        /// How many tasks it may have.
        max: usize,
    },
    /// The owner is shutting down.
    #[error("spawn {name}: {owner} is shutting down")]
    ShutDown {
        /// Whose task.
        owner: Arc<str>,
        /// Which.
        name: Arc<str>,
    },
}

impl Tasks {
    /// No tasks yet, of `owner`, which may have at most `max` at once.
    pub fn new(owner: impl Into<Arc<str>>, max: usize) -> Self {
        let shared = Shared {
            owner: owner.into(),
            max,
            tracker: TaskTracker::new(),
            cancellation: CancellationSource::new(),
            running: Mutex::default(),
            panics: AtomicU64::new(0),
        };
        Self { owned: Arc::new(Owned(Arc::new(shared))) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owned.0
    }

    /// Starts a task that may end at any await: at shutdown it is dropped there.
    ///
    /// # Errors
    /// [`SpawnError`]; then the future is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn<F>(&self, name: impl Into<Arc<str>>, future: F) -> Result<(), SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_draining(name, |cancellation| async move {
            tokio::select! {
                biased;
                () = cancellation.cancelled() => {}
                () = future => {}
            }
        })
    }

    /// Starts a task that ends by itself: at shutdown it is given the sign, and aborted at the deadline if it has not
    /// ended by then.
    ///
    /// # Errors
    /// [`SpawnError`]; then `task` is not called.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn_draining<F>(
        &self,
        name: impl Into<Arc<str>>,
        task: impl FnOnce(Cancellation) -> F + Send + 'static,
    ) -> Result<(), SpawnError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (shared, name) = (self.shared(), name.into());
        let registration = shared.register(&name)?;
        let id = registration.id;
        let cancellation = shared.cancellation.token();
        // Not under the lock: a runtime that is ending drops the task at once, which takes it off the list.
        let handle = shared.tracker.spawn(run(registration, name, async move { task(cancellation).await }));
        shared.make_abortable(id, handle.abort_handle());
        Ok(())
    }

    /// The sign to stop, which the tasks are given.
    #[must_use]
    pub fn cancellation(&self) -> Cancellation {
        self.shared().cancellation.token()
    }

    /// How many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        locks::lock(&self.shared().running).tasks.len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the tasks that run, in the order in which they were started.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        let running = locks::lock(&self.shared().running);
        running.tasks.values().map(|task| Arc::clone(&task.name)).collect()
    }

    /// How many tasks ended by a panic.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.shared().panics.load(Ordering::Relaxed)
    }

    /// Starts nothing more, gives the sign, and waits for the tasks to end; those still running after `grace` are
    /// aborted, which takes effect at their next await. Gives their names.
    ///
    /// # Cancel safety
    /// Safe: the sign is given; calling it again goes on waiting.
    pub async fn shutdown(&self, clock: &dyn Clock, grace: Duration) -> Vec<Arc<str>> {
        let shared = self.shared();
        shared.close();
        tokio::select! {
            biased;
            () = shared.tracker.wait() => Vec::new(),
            () = clock.sleep(grace) => shared.abort_all(),
        }
    }
}

impl Shared {
    fn register(self: &Arc<Self>, name: &Arc<str>) -> Result<Registration, SpawnError> {
        let mut running = locks::lock(&self.running);
        let (owner, name) = (Arc::clone(&self.owner), Arc::clone(name));
        if running.closed {
            return Err(SpawnError::ShutDown { owner, name });
        }
        if running.tasks.len() >= self.max {
            return Err(SpawnError::Full { owner, name, max: self.max });
        }
        let id = running.next_id;
        running.next_id += 1;
        running.tasks.insert(id, Registered { name, abort: None });
        Ok(Registration { shared: Arc::clone(self), id })
    }

    fn make_abortable(&self, id: u64, handle: AbortHandle) {
        let mut running = locks::lock(&self.running);
        if !running.aborted {
            if let Some(task) = running.tasks.get_mut(&id) {
                task.abort = Some(handle);
            }
            return;
        }
        drop(running);
        handle.abort();
    }

    fn close(&self) {
        locks::lock(&self.running).closed = true;
        self.tracker.close();
        self.cancellation.cancel();
    }

    fn abort_all(&self) -> Vec<Arc<str>> {
        let (names, handles): (Vec<_>, Vec<_>) = {
            let mut running = locks::lock(&self.running);
            running.aborted = true;
            running.tasks.values().map(|task| (Arc::clone(&task.name), task.abort.clone())).unzip()
        };
        for handle in handles.into_iter().flatten() {
            handle.abort();
        }
        names
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.close();
        self.0.abort_all();
    }
}

/// Takes a task off the list when it ends, however it ends.
struct Registration {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        locks::lock(&self.shared.running).tasks.remove(&self.id);
    }
}

async fn run(registration: Registration, name: Arc<str>, task: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
        let shared = &registration.shared;
        shared.panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(owner = %shared.owner, task = %name, panic = panic_message(&*panic), "task panicked");
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tasks(of {}: {:?})", self.shared().owner, self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::{ManualClock, Timestamp};
    use std::future::pending;
    use tokio::sync::oneshot;

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_unix_seconds(0).unwrap())
    }

    const GRACE: Duration = Duration::from_secs(10);

    /// Fails the test instead of hanging it.
    async fn bounded<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(10), future).await.expect("in time")
    }

    #[tokio::test]
    async fn the_number_of_tasks_is_bounded_and_the_refusal_says_by_what() {
        let tasks = Tasks::new("hub", 1);
        tasks.spawn("pump", pending()).unwrap();
        let refused = tasks.spawn("other", pending()).unwrap_err();
        assert_eq!(refused.to_string(), "spawn other: hub has 1 tasks already, expected fewer");
        assert_eq!((tasks.len(), tasks.names()), (1, vec!["pump".into()]));
    }

    #[tokio::test]
    async fn c11_a_panic_ends_its_task_alone_and_is_counted() {
        let tasks = Tasks::new("hub", 3);
        let (send, receive) = oneshot::channel();
        tasks.spawn("bad", async { panic!("boom") }).unwrap();
        tasks.spawn_draining("worse", |_| -> std::future::Ready<()> { panic!("before its first await") }).unwrap();
        tasks.spawn("good", async move { send.send(7).unwrap() }).unwrap();
        assert_eq!(bounded(receive).await, Ok(7));
        assert_eq!(bounded(tasks.shutdown(&clock(), GRACE)).await, Vec::<Arc<str>>::new());
        assert_eq!((tasks.panics(), tasks.len()), (2, 0));
    }

    #[tokio::test]
    async fn c8_shutdown_drops_what_may_end_anywhere_and_lets_the_rest_finish() {
        let tasks = Tasks::new("manager", 2);
        let (send, receive) = oneshot::channel();
        tasks.spawn("loop", pending()).unwrap();
        tasks
            .spawn_draining("worker", |stop| async move {
                stop.cancelled().await;
                send.send("finished").unwrap();
            })
            .unwrap();
        assert!(bounded(tasks.shutdown(&clock(), GRACE)).await.is_empty());
        assert_eq!(receive.await, Ok("finished"));
        let refused = tasks.spawn("late", pending()).unwrap_err();
        assert_eq!(refused, SpawnError::ShutDown { owner: "manager".into(), name: "late".into() });
    }

    #[tokio::test]
    async fn c8_what_outlasts_the_grace_is_named_and_aborted() {
        let (tasks, clock) = (Tasks::new("manager", 2), clock());
        let (send, receive) = oneshot::channel::<()>();
        tasks
            .spawn_draining("stubborn", |_| async move {
                let _held = send;
                pending::<()>().await;
            })
            .unwrap();
        let shutdown = tasks.shutdown(&clock, GRACE);
        let advance = async {
            clock.timers_pending(1).await;
            clock.advance(GRACE);
        };
        let (left, ()) = bounded(async { tokio::join!(shutdown, advance) }).await;
        assert_eq!(left, vec!["stubborn".into()]);
        assert!(bounded(receive).await.is_err(), "the task was dropped");
        assert!(bounded(tasks.shutdown(&clock, GRACE)).await.is_empty());
    }

    #[tokio::test]
    async fn tasks_do_not_outlive_their_owner() {
        let tasks = Tasks::new("manager", 1);
        let (send, receive) = oneshot::channel::<()>();
        tasks
            .spawn_draining("orphan", |_| async move {
                let _held = send;
                pending::<()>().await;
            })
            .unwrap();
        let clone = tasks.clone();
        drop(tasks);
        assert_eq!(clone.len(), 1, "a clone is the same owner");
        drop(clone);
        assert!(bounded(receive).await.is_err());
    }

    #[test]
    fn a_runtime_that_has_ended_runs_nothing_and_hangs_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        let tasks = Tasks::new("late", 1);
        tasks.spawn("never", pending()).unwrap();
        assert!(tasks.is_empty());
    }
}
