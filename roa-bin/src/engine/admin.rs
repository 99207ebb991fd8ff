//! Health and metrics, while the engine runs.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use roa_core::{CancellationSource, Clock, ClockExt, Health, Store};
use roa_runtime::{Membership, Tasks};

use crate::admin::{AdminError, AdminSocket, Check, Limits, Readiness, routes, serve};
use crate::config::settings::Config;

/// How often the store is asked for its health.
const HEALTH_INTERVAL: Duration = Duration::from_secs(2);
/// How often it is looked whether this process still lives in the eyes of the others.
const MEMBERSHIP_INTERVAL: Duration = Duration::from_millis(200);
/// How long requests may go on at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// The admin server, until it is stopped.
pub(super) struct Admin {
    tasks: Tasks,
    stop: CancellationSource,
    clock: Arc<dyn Clock>,
}

/// What readiness depends on while the engine runs.
pub(super) struct Watched {
    pub(super) store: Arc<dyn Store>,
    /// `None` for a process that is alone.
    pub(super) membership: Option<Membership>,
}

pub(super) async fn start(
    config: &Config,
    registry: Registry,
    readiness: Readiness,
    watched: Watched,
    clock: Arc<dyn Clock>,
) -> Result<Admin, AdminError> {
    let socket = AdminSocket::bind(&config.admin.socket).await?;
    let (tasks, stop) = (Tasks::new("admin", 3), CancellationSource::new());
    let health = readiness.check("store");
    health.fail("not asked yet");
    let (routes, stopped) = (routes(readiness.clone(), Arc::new(registry)), stop.token());
    let server = tasks.spawn_draining("admin server", move |_| async move {
        serve(socket, routes, Limits::default(), stopped.cancelled()).await;
    });
    let (store, io) = (watched.store, Arc::clone(&clock));
    let watch = tasks.spawn("store health", async move { watch_health(&*store, &health, &*io).await });
    let member = watched.membership.map_or(Ok(()), |membership| {
        let (check, io) = (readiness.check("membership"), Arc::clone(&clock));
        tasks.spawn("membership", async move { watch_membership(&membership, &check, &*io).await })
    });
    for outcome in [server, watch, member] {
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

/// A process whose heartbeat is not renewed does nothing and is not waited for: it is not ready. One that lives and has
/// nothing stands by, and is.
async fn watch_membership(membership: &Membership, check: &Check, clock: &dyn Clock) {
    loop {
        match (membership.is_live(), membership.heartbeat_age()) {
            (true, _) => check.pass(),
            (false, Some(age)) => check.fail(format!("the heartbeat was last renewed {} s ago", age.as_secs())),
            (false, None) => check.fail("no heartbeat yet"),
        }
        clock.sleep(MEMBERSHIP_INTERVAL).await;
    }
}

impl Admin {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.shutdown(&*self.clock, GRACE).await;
    }
}
