//! [`OutboxRelay`]: has effects done that were asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::join_all;
use roa_core::{
    Cause, Clock, ClockExt, Context, Effect, EffectState, Error, Key, ListRequest, ReconcileError, Result, Start,
};
use serde_json::Value as Json;

use super::OutboxMetrics;
use crate::{HubItem, Outcome, Priority, QueueConfig, Run, Runnable, RuntimeMetrics, Selection, WatchHub, WorkQueue};

/// Does one sort of effects.
///
/// ```
/// # use async_trait::async_trait;
/// # use roa_core::{Context, ReconcileError};
/// # use roa_runtime::EffectHandler;
/// # use serde_json::{Value, json};
/// struct Mail;
///
/// #[async_trait]
/// impl EffectHandler for Mail {
///     fn name(&self) -> &str {
///         "mail"
///     }
///
///     async fn perform(&self, id: &str, request: &Value, _cx: &Context) -> Result<Value, ReconcileError> {
///         println!("sends {request} under the id {id}, once");
///         Ok(json!("sent"))
///     }
/// }
/// ```
#[async_trait]
pub trait EffectHandler: Send + Sync + 'static {
    /// Its name: what [`ResourceStore::effect`](roa_core::ResourceStore::effect) asks by.
    fn name(&self) -> &str;

    /// Does an effect. It may be called again for one that was done, when that could not be noted: so whatever it does must
    /// be recognised by `id` where it is done.
    ///
    /// # Errors
    /// [`ReconcileError::Permanent`]: it can't be done, which is noted. All others: it is tried again with back-off.
    ///
    /// # Cancel safety
    /// It may be dropped at any await: by its time-out, or at shutdown.
    async fn perform(&self, id: &str, request: &Json, cx: &Context) -> Result<Json, ReconcileError>;
}

/// How effects are done.
///
/// ```
/// use roa_runtime::OutboxConfig;
/// let one_by_one = OutboxConfig { workers: 1, ..OutboxConfig::default() };
/// # drop(one_by_one);
/// ```
#[derive(Debug, Clone)]
pub struct OutboxConfig {
    /// How many at once; 8 by default.
    pub workers: usize,
    /// How long one may take, in real time; 60 s by default.
    pub timeout: Duration,
    /// How long what came of an effect is kept, in domain time; 24 h by default. The same effect asked for after that is
    /// done again.
    pub retention: Duration,
    /// How often what is too old is looked for, in domain time; 10 min by default.
    pub sweep_interval: Duration,
    /// The bounds and the back-off of its queue.
    pub queue: QueueConfig,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            workers: 8,
            timeout: Duration::from_secs(60),
            retention: Duration::from_secs(86_400),
            sweep_interval: Duration::from_secs(600),
            queue: QueueConfig::default(),
        }
    }
}

/// Has effects done that were asked for, each at least once, and notes what came of it. To be given to a manager, which
/// runs it where it runs controllers.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use async_trait::async_trait;
/// # use roa_core::{Context, ReconcileError};
/// # use roa_runtime::{EffectHandler, Manager, OutboxConfig, OutboxRelay, RuntimeMetrics, SystemClock};
/// # use serde_json::Value;
/// struct Mailer;
///
/// #[async_trait]
/// impl EffectHandler for Mailer {
///     fn name(&self) -> &str {
///         "mail"
///     }
///
///     async fn perform(&self, id: &str, request: &Value, _cx: &Context) -> Result<Value, ReconcileError> {
///         // ... sends it with `id` as its message id: a second one is recognised
///         # let (_, _) = (id, request);
///         Ok(Value::Null)
///     }
/// }
/// # fn add(manager: &mut Manager, metrics: &RuntimeMetrics) {
/// let clock = Arc::new(SystemClock::new());
/// let relay = OutboxRelay::new(manager.hub().clone(), clock, OutboxConfig::default(), metrics);
/// manager.add_runnable(Arc::new(relay.with(Arc::new(Mailer))));
/// # }
/// ```
pub struct OutboxRelay {
    hub: WatchHub,
    io: Arc<dyn Clock>,
    handlers: BTreeMap<String, Arc<dyn EffectHandler>>,
    config: OutboxConfig,
    metrics: OutboxMetrics,
}

/// How long to wait before looking for effects again.
const RETRY: Duration = Duration::from_secs(1);
const PAGE: NonZeroUsize = NonZeroUsize::new(500).unwrap();

impl OutboxRelay {
    /// A relay of the effects that `hub` sees; `io` is real time.
    #[must_use]
    pub fn new(hub: WatchHub, io: Arc<dyn Clock>, config: OutboxConfig, metrics: &RuntimeMetrics) -> Self {
        Self { hub, io, handlers: BTreeMap::new(), config, metrics: metrics.outbox().clone() }
    }

    /// The same with one more handler, in place of another of that name.
    #[must_use]
    pub fn with(mut self, handler: Arc<dyn EffectHandler>) -> Self {
        self.handlers.insert(handler.name().to_owned(), handler);
        self
    }

    /// Queues what is asked for; from the begin each time, for what is done is known.
    async fn follow(&self, queue: &WorkQueue<Key>) -> Result<()> {
        let mut watch = self.hub.watch(Selection::prefix(Effect::prefix()?), Start::Snapshot).await?;
        while let Some(Ok(item)) = watch.next().await {
            let HubItem::Events(slice) = item else { continue };
            for event in slice.events() {
                match Effect::decode(event.entry) {
                    Ok(Effect { state: EffectState::Pending, .. }) => {
                        // Refused only when the queue is shut down: the next run finds it again.
                        let _ = queue.add(&event.entry.key, Priority::User, Cause::Changed).await;
                    }
                    Ok(_) => {}
                    Err(error) => tracing::error!(%error, "an effect can't be read; others go on"),
                }
            }
        }
        Ok(())
    }

    async fn feed(&self, queue: &WorkQueue<Key>) {
        loop {
            if let Err(error) = self.follow(queue).await {
                tracing::warn!(%error, "effects can't be watched, trying again");
            }
            self.io.sleep(RETRY).await;
        }
    }

    async fn work(&self, queue: &WorkQueue<Key>, cx: &Context) {
        while let Some(run) = queue.next().await {
            let outcome = match self.handle(&run, cx).await {
                Ok(outcome) => outcome,
                // Somebody else noted something, or nobody knows: look again.
                Err(Error::Conflict { .. } | Error::Ambiguous { .. }) => Outcome::Requeue,
                Err(Error::Fenced(_)) => Outcome::Drop,
                Err(error) => {
                    tracing::warn!(key = %run.key(), %error, "an effect can't be noted, trying again");
                    Outcome::Failed
                }
            };
            run.finish(outcome);
        }
    }

    async fn handle(&self, run: &Run<Key>, cx: &Context) -> Result<Outcome> {
        let (Some(entry), _) = cx.resources().entry(run.key()).await? else { return Ok(Outcome::Done) };
        let effect = Effect::decode(&entry)?;
        if effect.state != EffectState::Pending {
            return Ok(Outcome::Done);
        }
        let Some(handler) = self.handlers.get(&effect.handler) else {
            tracing::warn!(handler = effect.handler, id = effect.id, "nobody does this effect; it stays");
            return Ok(Outcome::Drop);
        };
        let performed = self.perform(&**handler, &effect, cx).await;
        let (result, state) = match performed {
            Ok(answer) => ("success", EffectState::Done(answer)),
            Err(error @ ReconcileError::Permanent { .. }) => {
                let (reason, message) = (error.reason().to_owned(), error.to_string());
                ("refused", EffectState::Failed { reason, message })
            }
            Err(error) => {
                self.metrics.note(&effect.handler, "error");
                tracing::warn!(handler = effect.handler, id = effect.id, %error, "an effect failed, trying again");
                return Ok(match error {
                    ReconcileError::Deferred { after, .. } => Outcome::Defer(after),
                    _ => Outcome::Failed,
                });
            }
        };
        self.metrics.note(&effect.handler, result);
        cx.resources().settle_effect(&effect, state).await?;
        Ok(Outcome::Done)
    }

    async fn perform(
        &self,
        handler: &dyn EffectHandler,
        effect: &Effect,
        cx: &Context,
    ) -> Result<Json, ReconcileError> {
        let failed = |reason, message| Err(ReconcileError::Transient { reason, message });
        tokio::select! {
            biased;
            done = AssertUnwindSafe(handler.perform(&effect.id, &effect.request, cx)).catch_unwind() => match done {
                Ok(done) => done,
                Err(panic) => failed("Panicked", crate::tasks::panic_message(&*panic).to_owned()),
            },
            () = self.io.sleep(self.config.timeout) => {
                failed("TimedOut", format!("took longer than {:?}", self.config.timeout))
            }
        }
    }

    async fn sweep(&self, cx: &Context) {
        loop {
            cx.clock().sleep(self.config.sweep_interval).await;
            if let Err(error) = self.forget_old(cx).await {
                tracing::warn!(%error, "old effects can't be forgotten, trying again");
            }
        }
    }

    async fn forget_old(&self, cx: &Context) -> Result<()> {
        let mut request = ListRequest::new(Effect::prefix()?).limit(PAGE);
        loop {
            let page = self.hub.store().list(request.clone()).await?;
            for entry in &page.entries {
                let effect = match Effect::decode(entry) {
                    Ok(effect) => effect,
                    Err(error) => {
                        tracing::error!(%error, "an effect can't be read and stays; others are forgotten");
                        continue;
                    }
                };
                let old = effect.at.saturating_add(self.config.retention) <= cx.now();
                if old && effect.state != EffectState::Pending {
                    match cx.resources().forget_effect(&effect).await {
                        Ok(()) | Err(Error::Conflict { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            match page.next {
                Some(next) => request = request.resume(next),
                None => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Runnable for OutboxRelay {
    fn name(&self) -> &'static str {
        "outbox"
    }

    async fn run(&self, cx: &Context) {
        let queue = WorkQueue::new(self.config.queue.clone(), Arc::clone(cx.clock()), Arc::clone(cx.random()));
        let workers = (0..self.config.workers.max(1)).map(|_| self.work(&queue, cx));
        let stop = async {
            tokio::select! {
                biased;
                () = cx.cancelled() => {}
                ((), ()) = async { tokio::join!(self.feed(&queue), self.sweep(cx)) } => {}
            }
            queue.shut_down();
        };
        tokio::join!(stop, join_all(workers));
    }
}

impl fmt::Debug for OutboxRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboxRelay({:?})", self.handlers.keys().collect::<Vec<_>>())
    }
}
