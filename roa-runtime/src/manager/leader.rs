//! One of several processes works: it has the lease, and each of its writes is fenced by it.

use std::sync::Arc;

use roa_core::{Cancellation, CancellationSource, Ownership};

use super::{Manager, ManagerError};
use crate::{Lease, LeaseConfig, LeaseDriver, Tasks};

/// Works whenever this process has the lease, until `shutdown`; then gives the lease back.
pub(super) async fn run(
    manager: &Manager,
    lease: &str,
    holder: &str,
    config: &LeaseConfig,
    shutdown: &Cancellation,
) -> Result<(), ManagerError> {
    let (clock, random) = (Arc::clone(&manager.clocks.lease), Arc::clone(manager.resources.random()));
    let driver = LeaseDriver::new(Arc::clone(&manager.store), clock, random, lease, holder, config.clone())?;
    let (handle, stop) = (driver.lease(), CancellationSource::new());
    let (tasks, token) = (Tasks::new("lease", 1), stop.token());
    tasks.spawn_draining("lease", move |_| driver.run(token))?;
    let outcome = terms(manager, &handle, config, shutdown).await;
    stop.cancel();
    tasks.shutdown(&*manager.clocks.io, config.duration).await;
    outcome
}

/// One term after the other. The workers of a term are gone before the lease can be somebody else's (C12): they are
/// told when it is lost, and what they still write is refused.
async fn terms(
    manager: &Manager,
    lease: &Lease,
    config: &LeaseConfig,
    shutdown: &Cancellation,
) -> Result<(), ManagerError> {
    loop {
        let ownership = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            ownership = lease.acquired() => ownership,
        };
        tracing::info!(lease = lease.name(), token = %ownership.revision, "leading");
        let lost = CancellationSource::new();
        let workers = manager.start(Some(&ownership), &lost)?;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {
                drain(manager, lease, &ownership, &lost, &workers).await;
                return Ok(());
            }
            () = lease.lost(&ownership) => {
                tracing::warn!(lease = lease.name(), "leadership lost, standing by");
                lost.cancel();
                // Nobody else can have the lease before this has passed.
                workers.shutdown(&*manager.clocks.io, config.duration.saturating_sub(config.renew_deadline)).await;
            }
        }
    }
}

/// Lets running calls end, unless the lease is lost meanwhile.
async fn drain(manager: &Manager, lease: &Lease, ownership: &Ownership, lost: &CancellationSource, workers: &Tasks) {
    tokio::select! {
        () = manager.drain(workers) => {}
        () = lease.lost(ownership) => {
            lost.cancel();
            manager.drain(workers).await;
        }
    }
}
