//! [`OscillationWatch`]: looks at every change of a store's objects, and tells of writers that work against each other.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Clock, ClockExt, Context, KeyPrefix, Start};
use serde_json::Value as Json;

use super::{Oscillation, OscillationConfig, OscillationDetector, OscillationMetrics};
use crate::{EventSlice, HubEvent, HubItem, Runnable, RuntimeMetrics, Selection, WatchHub, locks};

const RETRY: Duration = Duration::from_secs(1);

/// Looks at every change of a store's objects. A field that one writer changed and another changed back leads to an event
/// of the object, which names the field and both writers, and is counted.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use roa_runtime::{Manager, OscillationConfig, OscillationWatch, RuntimeMetrics};
/// # fn add(manager: &mut Manager, metrics: &RuntimeMetrics) {
/// let watch = OscillationWatch::new(manager.hub().clone(), OscillationConfig::default(), metrics);
/// manager.add_runnable(Arc::new(watch));
/// # }
/// ```
#[derive(Debug)]
pub struct OscillationWatch {
    hub: WatchHub,
    detector: Mutex<OscillationDetector>,
    metrics: OscillationMetrics,
}

impl OscillationWatch {
    /// One that looks at what `hub` sees.
    #[must_use]
    pub fn new(hub: WatchHub, config: OscillationConfig, metrics: &RuntimeMetrics) -> Self {
        Self { hub, detector: Mutex::new(OscillationDetector::new(config)), metrics: metrics.oscillations().clone() }
    }

    async fn follow(&self, cx: &Context) -> roa_core::Result<()> {
        let mut watch = self.hub.watch(Selection::prefix(KeyPrefix::everything()), Start::Now).await?;
        while let Some(Ok(item)) = watch.next().await {
            if let HubItem::Events(slice) = item {
                self.look(&slice, cx);
            }
        }
        Ok(())
    }

    fn look(&self, slice: &EventSlice, cx: &Context) {
        for event in slice.events().filter(|event| !event.entry.key.is_system()) {
            for found in self.find(&event, &**cx.clock()) {
                self.tell(&found, &event, cx);
            }
        }
    }

    fn find(&self, event: &HubEvent<'_>, clock: &dyn Clock) -> Vec<Oscillation> {
        let versions = event.previous.and_then(|previous| Some((tree(previous)?, tree(event.entry)?)));
        let Some((before, after)) = versions else { return Vec::new() };
        let mut detector = locks::lock(&self.detector);
        detector.observe(&event.entry.key, (&before, &after), &event.entry.writer, clock.monotonic())
    }

    fn tell(&self, found: &Oscillation, event: &HubEvent<'_>, cx: &Context) {
        self.metrics.note(found);
        let Oscillation { key, field, writers: [first, second] } = found;
        let message =
            format!("{field} was changed by {first} and changed back by {second}: they work against each other");
        if let Ok(object) = event.entry.object() {
            cx.warn(key.clone(), &object.metadata, "Oscillation", message);
        }
    }
}

/// A version as a tree; what is no object has no fields.
fn tree(entry: &roa_core::Entry) -> Option<Json> {
    serde_json::from_slice(entry.object().ok()?.stored()).ok()
}

#[async_trait]
impl Runnable for OscillationWatch {
    fn name(&self) -> &'static str {
        "oscillation-watch"
    }

    async fn run(&self, cx: &Context) {
        while !cx.is_cancelled() {
            let followed = tokio::select! {
                biased;
                () = cx.cancelled() => return,
                followed = self.follow(cx) => followed,
            };
            if let Err(error) = followed {
                tracing::warn!(%error, "changes can't be looked at, trying again");
            }
            tokio::select! {
                biased;
                () = cx.cancelled() => return,
                () = cx.clock().sleep(RETRY) => {}
            }
        }
    }
}
