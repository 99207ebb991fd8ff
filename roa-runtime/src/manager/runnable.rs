//! [`Runnable`]: work of a process that belongs to no one kind.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use roa_core::{Cancellation, CancellationSource, ClockExt, Context, Key};

use super::component::Component;
use crate::lease::Permit;
use crate::tasks::SpawnError;
use crate::{Tasks, Territory};

/// Work that belongs to no one kind: collecting garbage, deleting what is old, telling the world outside. A manager runs
/// it where it runs controllers: of several processes, in the one that leads, or in the one that has the shard of the
/// runnable's name.
///
/// ```
/// # use std::time::Duration;
/// # use async_trait::async_trait;
/// # use roa_core::{ClockExt, Context};
/// # use roa_runtime::Runnable;
/// struct Ticker;
///
/// #[async_trait]
/// impl Runnable for Ticker {
///     fn name(&self) -> &str {
///         "ticker"
///     }
///
///     async fn run(&self, cx: &Context) {
///         while !cx.is_cancelled() {
///             println!("it is {}", cx.now());
///             tokio::select! {
///                 () = cx.cancelled() => {}
///                 () = cx.clock().sleep(Duration::from_secs(60)) => {}
///             }
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Runnable: Send + Sync + 'static {
    /// Its name: the writer of its writes, a label of its metrics, and what decides which process runs it.
    fn name(&self) -> &str;

    /// Runs until [`Context::cancelled`], and may be run again after that. Writes of the context's resources are fenced by
    /// what the process owns. If it ends before, or panics, it is run again after a while.
    ///
    /// # Cancel safety
    /// It is dropped at any await when leadership is lost, or when it does not end in time at shutdown.
    async fn run(&self, cx: &Context);

    /// The part that each process runs for itself from its start to its end, also one that stands by: nothing, unless it
    /// says so. Its writes are under no fence: each needs a condition of its own, such as that the object is as it was read.
    ///
    /// # Cancel safety
    /// It is dropped at any await when it does not end in time at shutdown.
    async fn run_in_each(&self, cx: &Context) {
        cx.cancelled().await;
    }
}

/// How long after the end of one that was not told to end it runs again, in domain time.
const AGAIN: Duration = Duration::from_secs(5);

/// A runnable and the sign that ends it.
pub(super) struct Running {
    runnable: Arc<dyn Runnable>,
    context: Context,
    territory: Territory,
    stop: CancellationSource,
}

/// Which part of a runnable.
#[derive(Debug, Clone, Copy)]
enum Part {
    One,
    Each,
}

impl Running {
    pub(super) fn new(runnable: Arc<dyn Runnable>, context: Context, territory: Territory) -> Self {
        Self { runnable, context, territory, stop: CancellationSource::new() }
    }

    fn spawn(&self, part: Part, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError> {
        let (runnable, territory, stop) = (Arc::clone(&self.runnable), self.territory.clone(), self.stop.child());
        let (context, lost) = (self.context.clone(), cancellation.token());
        let name = match part {
            Part::One => self.runnable.name().to_owned(),
            Part::Each => format!("{} in each", self.runnable.name()),
        };
        tasks.spawn_draining(name, move |_| async move {
            let work = async {
                match part {
                    Part::One => run_terms(&*runnable, &context, &territory, &stop).await,
                    Part::Each => keep_running(&*runnable, part, &context.with_cancellation(stop.token())).await,
                }
            };
            tokio::select! {
                () = lost.cancelled() => {}
                () = work => {}
            }
        })
    }
}

/// Runs it whenever this process has the right to, until it is told to stop.
async fn run_terms(runnable: &dyn Runnable, context: &Context, territory: &Territory, stop: &CancellationSource) {
    while let Some(permit) = permit(runnable.name(), territory, &stop.token()).await {
        let end = stop.child();
        let resources = permit.fence(context.resources().clone());
        let cx = context.clone().with_resources(resources).with_cancellation(end.token());
        let (leaving, over) = (permit.leaving(), permit.cancellation());
        let mut work = pin!(keep_running(runnable, Part::One, &cx));
        tokio::select! {
            biased;
            () = over.cancelled() => continue,
            () = &mut work => continue,
            () = leaving.cancelled() => end.cancel(),
        }
        tokio::select! {
            biased;
            () = over.cancelled() => {}
            () = work => {}
        }
    }
}

/// Waits for the right to run; `None` when it is told to stop.
async fn permit(name: &str, territory: &Territory, stop: &Cancellation) -> Option<Permit> {
    let begin = || match Key::system("runnables", name) {
        Ok(key) => territory.begin(&key),
        // A name that makes no key: all processes agree on the first slot.
        Err(_) => territory.begin_slot(0),
    };
    let mut changes = territory.changes();
    while !stop.is_cancelled() {
        changes.mark_unchanged();
        if let Some(permit) = begin() {
            return Some(permit);
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            // The sender lives in the territory, so that there is always another change to wait for.
            _ = changes.changed() => {}
        }
    }
    None
}

/// Runs it until it is told to stop, also if it ends by itself: nobody else would begin it again.
async fn keep_running(runnable: &dyn Runnable, part: Part, cx: &Context) {
    loop {
        let run = match part {
            Part::One => runnable.run(cx),
            Part::Each => runnable.run_in_each(cx),
        };
        let ended = AssertUnwindSafe(run).catch_unwind().await;
        if cx.is_cancelled() {
            return;
        }
        let panic = ended.err().map(|panic| crate::tasks::panic_message(&*panic).to_owned());
        tracing::error!(
            runnable = runnable.name(),
            ?panic,
            "ended before it was told to; it runs again after {AGAIN:?}"
        );
        tokio::select! {
            biased;
            () = cx.cancelled() => return,
            () = cx.clock().sleep(AGAIN) => {}
        }
    }
}

impl Component for Running {
    fn tasks(&self) -> usize {
        2
    }

    fn start(&self, tasks: &Tasks, cancellation: &CancellationSource) -> Result<(), SpawnError> {
        self.spawn(Part::One, tasks, cancellation)?;
        self.spawn(Part::Each, tasks, cancellation)
    }

    // It watches what the process has by itself.
    fn adopt(&self, _: &HashSet<usize>) {}

    fn disown(&self, _: &HashSet<usize>) {}

    fn shut_down(&self) {
        self.stop.cancel();
    }
}
