//! CloudEvents, as configured.

use std::sync::Arc;

use anyhow::Context as _;
use roa_core::{KindDescriptor, Scope};
use roa_runtime::{Clocks, CloudEventRelay, CloudEventRelayConfig, CloudEventSink, HttpSink, LineSink, Manager};

use super::post::Post;
use crate::config::settings::{CloudEventsConfig, CloudEventsSink};

/// Adds what tells the sink of every change of objects, if there is a sink.
///
/// # Errors
/// The sink can't be used.
pub(super) fn add(manager: &mut Manager, config: &CloudEventsConfig, clocks: &Clocks) -> anyhow::Result<()> {
    let Some(sink) = sink(config)? else { return Ok(()) };
    let relay = CloudEventRelayConfig::new(config.source.as_str());
    let kinds: Vec<KindDescriptor> =
        super::kinds().iter().filter(|kind| is_told(kind)).map(|kind| (**kind).clone()).collect();
    let relay = CloudEventRelay::new(manager.hub().clone(), Arc::clone(&clocks.io), sink, relay, &kinds)?;
    manager.add_runnable(Arc::new(relay));
    Ok(())
}

/// All objects; but not what is itself told of them.
fn is_told(kind: &KindDescriptor) -> bool {
    !(kind.group.is_empty() && &*kind.plural == "events" && kind.scope == Scope::Namespaced)
}

fn sink(config: &CloudEventsConfig) -> anyhow::Result<Option<Arc<dyn CloudEventSink>>> {
    Ok(match config.sink {
        CloudEventsSink::None => None,
        CloudEventsSink::Stdout => Some(Arc::new(LineSink::stdout())),
        CloudEventsSink::File => {
            let path = config.path.as_deref().context("cloudevents.path is missing, expected a file")?;
            let sink = LineSink::append(path)
                .with_context(|| format!("failed to open cloudevents.path {}", path.display()))?;
            Some(Arc::new(sink))
        }
        CloudEventsSink::Http => {
            let url = config.url.as_ref().context("cloudevents.url is missing, expected an address")?;
            let post = Post::to(url.expose()).map_err(|reason| anyhow::anyhow!("cloudevents.url {reason}"))?;
            Some(Arc::new(HttpSink::new(post)))
        }
    })
}
