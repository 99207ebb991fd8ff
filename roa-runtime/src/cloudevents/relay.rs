//! [`CloudEventRelay`]: tells a sink of every change of some kinds, at least once.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use roa_core::{Clock, Context, DynamicObject, KindDescriptor, ReconcileError, Result, WatchEvent};

use super::CloudEvent;
use crate::{Bookmarks, EventHandler, HandlerRunner, Runnable, Selection, StreamWatcher, WatchHub};

/// Where CloudEvents go.
///
/// ```
/// # use async_trait::async_trait;
/// # use roa_core::ReconcileError;
/// # use roa_runtime::{CloudEvent, CloudEventSink};
/// #[derive(Debug)]
/// struct Printed;
///
/// #[async_trait]
/// impl CloudEventSink for Printed {
///     fn name(&self) -> &str {
///         "printed"
///     }
///
///     async fn send(&self, event: &CloudEvent) -> Result<(), ReconcileError> {
///         println!("{} {}", event.kind, event.subject);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait CloudEventSink: Debug + Send + Sync + 'static {
    /// Its name: bookmarks are kept under it.
    fn name(&self) -> &str;

    /// Takes an event. It is given again until it is taken, and nothing of its kind before that.
    ///
    /// # Errors
    /// [`ReconcileError`]: why it was not taken.
    async fn send(&self, event: &CloudEvent) -> Result<(), ReconcileError>;
}

/// What is told, and how.
///
/// ```
/// # use std::time::Duration;
/// use roa_runtime::CloudEventRelayConfig;
/// let patient = CloudEventRelayConfig { retry: Duration::from_secs(30), ..CloudEventRelayConfig::new("/roa/main") };
/// # drop(patient);
/// ```
#[derive(Debug, Clone)]
pub struct CloudEventRelayConfig {
    /// The events' `source`: an URI reference. It should differ from store to store.
    pub source: Arc<str>,
    /// How long to wait before an event that was not taken is given again; 1 s by default.
    pub retry: Duration,
}

impl CloudEventRelayConfig {
    /// Events of this source.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), retry: Duration::from_secs(1) }
    }
}

/// Tells a sink of every change of some kinds, at least once, in the order of the store within each kind: so in order for
/// each object. How far it is, is kept in the store, for each sink and kind: a restart goes on there.
///
/// If the history was lost from where it stopped, it begins with the objects that are there; deletions in between are not
/// told then. To be given to a manager, which runs it where it runs controllers.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use roa_runtime::{CloudEventRelay, CloudEventRelayConfig, LineSink, Manager, SystemClock, event_kind};
/// # fn tell(manager: &mut Manager) -> roa_core::Result<()> {
/// let config = CloudEventRelayConfig::new("/roa/main");
/// let (hub, clock) = (manager.hub().clone(), Arc::new(SystemClock::new()));
/// let relay = CloudEventRelay::new(hub, clock, Arc::new(LineSink::stdout()), config, &[event_kind()])?;
/// manager.add_runnable(Arc::new(relay));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CloudEventRelay {
    hub: WatchHub,
    io: Arc<dyn Clock>,
    sink: Arc<dyn CloudEventSink>,
    config: CloudEventRelayConfig,
    /// What is told, each with the name of its bookmark.
    told: Vec<(String, Selection)>,
}

impl CloudEventRelay {
    /// A relay of the changes of `kinds` that `hub` sees; `io` is real time.
    ///
    /// # Errors
    /// [`roa_core::Error::Invalid`] if a kind makes no key.
    pub fn new(
        hub: WatchHub,
        io: Arc<dyn Clock>,
        sink: Arc<dyn CloudEventSink>,
        config: CloudEventRelayConfig,
        kinds: &[KindDescriptor],
    ) -> Result<Self> {
        let told = |kind: &KindDescriptor| {
            let name = format!("cloudevents.{}.{}.{}", sink.name(), kind.plural, kind.group);
            Ok((name, Selection::prefix(kind.prefix(None)?)))
        };
        let told = kinds.iter().map(told).collect::<Result<_>>()?;
        Ok(Self { hub, io, sink, config, told })
    }

    fn runner(&self, (name, selection): &(String, Selection), cx: &Context) -> HandlerRunner<DynamicObject> {
        let watcher = Arc::new(StreamWatcher::new(self.hub.clone(), selection.clone()));
        let (sink, source) = (Arc::clone(&self.sink), Arc::clone(&self.config.source));
        let teller = Arc::new(Teller { name: name.clone(), sink, source });
        let bookmarks = Bookmarks::under(cx.resources().clone());
        HandlerRunner::new(watcher, teller, bookmarks, Arc::clone(&self.io), self.config.retry)
    }
}

/// Tells of one kind.
struct Teller {
    name: String,
    sink: Arc<dyn CloudEventSink>,
    source: Arc<str>,
}

#[async_trait]
impl EventHandler<DynamicObject> for Teller {
    fn name(&self) -> &str {
        &self.name
    }

    async fn handle(&self, event: &WatchEvent<DynamicObject>) -> Result<(), ReconcileError> {
        match CloudEvent::of(&*self.source, event) {
            Ok(event) => self.sink.send(&event).await,
            Err(error) => {
                tracing::warn!(key = %event.key, %error, "an object that can't be read is not told of");
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Runnable for CloudEventRelay {
    fn name(&self) -> &'static str {
        "cloud-events"
    }

    async fn run(&self, cx: &Context) {
        let runners: Vec<_> = self.told.iter().map(|told| self.runner(told, cx)).collect();
        tokio::select! {
            biased;
            () = cx.cancelled() => {}
            _ = join_all(runners.iter().map(HandlerRunner::run)) => {}
        }
    }
}
