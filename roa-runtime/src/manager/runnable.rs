//! [`Runnable`]: work of a process that belongs to no one kind.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use roa_core::{CancellationSource, ClockExt, Context, Ownership};

use super::component::Component;
use crate::Tasks;
use crate::tasks::SpawnError;

/// Work that belongs to no one kind: collecting garbage, deleting what is old, telling the world outside. A manager runs
/// it where it runs controllers: of several processes, on the one that leads.
#[async_trait]
pub trait Runnable: Send + Sync + 'static {
    /// Its name: the writer of its writes, and a label of its metrics.
    fn name(&self) -> &str;

    /// Runs until [`Context::cancelled`], and may be run again after that. Writes of the context's resources are fenced by
    /// what the process owns. If it ends before, or panics, it is run again after a while.
    ///
    /// # Cancel safety
    /// It is dropped at any await when leadership is lost, or when it does not end in time at shutdown.
    async fn run(&self, cx: &Context);
}

/// How long after the end of one that was not told to end it runs again, in domain time.
const AGAIN: Duration = Duration::from_secs(5);

/// A runnable and the sign that ends it.
pub(super) struct Running {
    runnable: Arc<dyn Runnable>,
    context: Context,
    stop: CancellationSource,
}

impl Running {
    pub(super) fn new(runnable: Arc<dyn Runnable>, context: Context) -> Self {
        Self { runnable, context, stop: CancellationSource::new() }
    }
}

/// Runs it until it is told to stop, also if it ends by itself: nobody else would begin it again.
async fn keep_running(runnable: &dyn Runnable, cx: &Context) {
    loop {
        let ended = AssertUnwindSafe(runnable.run(cx)).catch_unwind().await;
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
        1
    }

    fn start(
        &self,
        tasks: &Tasks,
        ownership: Option<&Ownership>,
        cancellation: &CancellationSource,
    ) -> Result<(), SpawnError> {
        let mut resources = self.context.resources().clone();
        if let Some(ownership) = ownership {
            resources = resources.fenced_by(ownership.clone());
        }
        let cx = self.context.clone().with_resources(resources).with_cancellation(self.stop.token());
        let (runnable, lost) = (Arc::clone(&self.runnable), cancellation.token());
        tasks.spawn_draining(self.runnable.name().to_owned(), move |_| async move {
            tokio::select! {
                () = lost.cancelled() => {}
                () = keep_running(&*runnable, &cx) => {}
            }
        })
    }

    fn shut_down(&self) {
        self.stop.cancel();
    }
}
