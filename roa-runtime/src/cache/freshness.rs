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

    /// Whether all are true at `revision`.
    pub(crate) fn is_at(&self, revision: Revision) -> bool {
        self.caches.iter().all(|(_, position)| position.borrow().is_some_and(|at| at.revision >= revision))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;
    use roa_core::{DynamicObject, Epoch, ManualClock, RandomExt, SeededRandom, StoreId, Timestamp};

    use super::*;

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn reach(cache: &Cache<DynamicObject>, number: u64) {
        let random = SeededRandom::new(1);
        let (store, epoch) = (StoreId(random.uuid()), Epoch::first(&random));
        cache.reached(Position { store, epoch, revision: revision(number) }, Monotonic::default());
    }

    /// Of a predecessor's writes none is missed, whichever cache shows it.
    #[test]
    fn c10_all_caches_are_waited_for_and_the_slowest_decides() {
        let clock = ManualClock::new(Timestamp::from_unix_seconds(0).unwrap());
        let deadline = clock.monotonic() + Duration::from_secs(5);
        let (one, other) = (Cache::<DynamicObject>::new(), Cache::<DynamicObject>::new());
        let both = Freshness::default().with(&one).with(&other);
        let mut waited = Box::pin(both.wait_for(revision(7), &clock, deadline));
        reach(&one, 9);
        reach(&other, 6);
        assert!((&mut waited).now_or_never().is_none());
        reach(&other, 7);
        assert!(waited.now_or_never().unwrap().is_ok());
        let late = both.wait_for(revision(8), &clock, deadline);
        clock.advance(Duration::from_secs(5));
        let error = late.now_or_never().unwrap().unwrap_err();
        assert!(matches!(error, roa_core::Error::TooLarge { .. }), "{error}");
        assert!(
            both.without::<DynamicObject>().wait_for(revision(8), &clock, deadline).now_or_never().unwrap().is_ok()
        );
    }
}
