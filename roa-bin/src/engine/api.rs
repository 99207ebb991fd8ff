//! The API, while the engine runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{Cancellation, ResourceStore, SystemRandom};
use roa_runtime::{Clocks, Tasks, WatchHub};
use roa_server::{ApiConfig, ApiListener, ApiMetrics, ApiParts, ApiServer, HealthCheck, HealthChecks};

use crate::admin::Readiness;
use crate::config::settings::ServerConfig;

/// How long the server may take to end, beyond what it gives its own connections.
const GRACE: Duration = Duration::from_secs(15);

/// The server, until it is stopped.
pub(super) struct Api(Tasks);

/// What is served.
pub(super) struct Served {
    pub(super) resources: ResourceStore,
    pub(super) hub: WatchHub,
    pub(super) metrics: ApiMetrics,
    pub(super) readiness: Readiness,
}

/// Takes the address that is configured, if one is.
///
/// # Errors
/// Somebody else has it.
pub(super) async fn listen(config: &ServerConfig) -> anyhow::Result<Option<ApiListener>> {
    if config.listen.is_empty() {
        return Ok(None);
    }
    let address: SocketAddr = config.listen.parse().context("failed to read server.listen")?;
    let listener = ApiListener::bind(address).await;
    let listener =
        listener.context("failed to start the API; hint: set `server.listen` to another address, or to \"\"")?;
    Ok(Some(listener))
}

/// Serves the API until `stop`.
pub(super) fn start(
    config: &ServerConfig,
    listener: Option<ApiListener>,
    served: Served,
    clocks: &Clocks,
    stop: Cancellation,
) -> Api {
    let tasks = Tasks::new("api", 1);
    let Some(listener) = listener else { return Api(tasks) };
    let Served { resources, hub, metrics, readiness } = served;
    let health = HealthChecks::new(move || {
        let checks = readiness.all().into_iter();
        checks.map(|(name, failure)| HealthCheck { name: name.to_owned(), failure }).collect()
    });
    let (clock, random) = (Arc::clone(&clocks.io), Arc::new(SystemRandom));
    let parts = ApiParts { resources, hub, clock, random, health, metrics };
    let server = ApiServer::new(parts, ApiConfig::default().strict_namespaces(config.strict_namespaces));
    tracing::info!(address = %listener.address(), "serving the API");
    let serving = tasks.spawn_draining("server", move |_| async move { server.serve(listener, stop).await });
    if let Err(error) = serving {
        tracing::error!(%error, "the API is not served");
    }
    Api(tasks)
}

impl Api {
    /// Waits for what is under way.
    pub(super) async fn stop(self, clocks: &Clocks) {
        self.0.shutdown(&*clocks.io, GRACE).await;
    }
}
