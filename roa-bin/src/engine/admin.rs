//! Health and metrics, while the engine runs.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use roa_core::{CancellationSource, Clock, ClockExt, Health, Store};
use roa_runtime::Tasks;

use crate::admin::{AdminError, AdminSocket, Check, Limits, Readiness, routes, serve};
use crate::config::settings::Config;

/// How often the store is asked for its health.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// How long requests may go on at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// The admin server, until it is stopped.
pub(super) struct Admin {
    tasks: Tasks,
    stop: CancellationSource,
    clock: Arc<dyn Clock>,
}

pub(super) async fn start(
    config: &Config,
    registry: Registry,
    readiness: Readiness,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Admin, AdminError> {
    let socket = AdminSocket::bind(&config.admin.socket).await?;
    let (tasks, stop) = (Tasks::new("admin", 2), CancellationSource::new());
    let health = readiness.check("store");
    health.fail("not asked yet");
    let (routes, stopped) = (routes(readiness, Arc::new(registry)), stop.token());
    let server = tasks.spawn_draining("admin server", move |_| async move {
        serve(socket, routes, Limits::default(), stopped.cancelled()).await;
    });
    let watched = Arc::clone(&clock);
    let watch = tasks.spawn("store health", async move { watch_health(&*store, &health, &*watched).await });
    for outcome in [server, watch] {
        if let Err(error) = outcome {
            tracing::error!(%error, "the admin server is incomplete");
        }
    }
    Ok(Admin { tasks, stop, clock })
}

async fn watch_health(store: &dyn Store, check: &Check, clock: &dyn Clock) {
    loop {
        match store.health().await {
            Health::Failing(reason) => check.fail(reason),
            Health::Degraded(reason) => {
                tracing::warn!(%store, reason, "store is degraded");
                check.pass();
            }
            _ => check.pass(),
        }
        clock.sleep(HEALTH_INTERVAL).await;
    }
}

impl Admin {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.shutdown(&*self.clock, GRACE).await;
    }
}
