//! [`Freshness`]: how far all caches of a process are that somebody reads.

use std::any::TypeId;
use std::sync::Arc;

use roa_core::{Clock, Monotonic, Position, Resource, Result, Revision};
use tokio::sync::watch;

use super::{Cache, wait_until};

/// The caches that a controller may read. It sees none of them as it was before a revision that it must know of.
#[derive(Clone, Default)]
pub(crate) struct Freshness {
    caches: Arc<[(TypeId, watch::Receiver<Option<Position>>)]>,
}

impl Freshness {
    pub(crate) fn with<R: Resource>(self, cache: &Cache<R>) -> Self {
        let added = (TypeId::of::<R>(), cache.shared.position.subscribe());
        Self { caches: self.caches.iter().cloned().chain([added]).collect() }
    }

    /// The same without the cache of one kind.
    pub(crate) fn without<R: Resource>(self) -> Self {
        Self { caches: self.caches.iter().filter(|(kind, _)| *kind != TypeId::of::<R>()).cloned().collect() }
    }

    /// Waits until all are true at `revision`.
    ///
    /// # Errors
    /// As [`Cache::wait_for`].
    pub(crate) async fn wait_for(&self, revision: Revision, clock: &dyn Clock, deadline: Monotonic) -> Result<()> {
        for (_, position) in &*self.caches {
            let reached = position.borrow().is_some_and(|at| at.revision >= revision);
            if !reached {
                wait_until(position.clone(), revision, clock, deadline).await?;
            }
        }
        Ok(())
    }
}
