//! [`Shared`]: what the store, its threads and its change feeds have in common.

use std::sync::{Arc, Mutex, PoisonError};

use roa_core::{Clock, Health, Random, StoreId};

use crate::SqliteConfig;
use crate::feed::Feed;
use crate::readers::Readers;

/// What the store, its threads and its change feeds have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: StoreId,
    pub(crate) config: SqliteConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) feed: Feed,
    pub(crate) readers: Readers,
    pub(crate) trouble: Trouble,
}

/// What keeps the store from its work, by what would be wrong.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Mutex<Troubles>);

#[derive(Debug, Default)]
struct Troubles {
    writing: Option<String>,
    growing: Option<String>,
    following: Option<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Concern {
    /// Commits fail.
    Writing,
    /// The files grow beyond their bounds.
    Growing,
    /// Commits of other processes are seen late.
    Following,
}

impl Trouble {
    /// Notes what is wrong, or that nothing is any more. Logs each change.
    pub(crate) fn note(&self, concern: Concern, now: Option<String>) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match concern {
            Concern::Writing => &mut troubles.writing,
            Concern::Growing => &mut troubles.growing,
            Concern::Following => &mut troubles.following,
        };
        match (&*known, &now) {
            (None, Some(reason)) => tracing::warn!(?concern, %reason, "the SQLite store is in trouble"),
            (Some(_), None) => tracing::info!(?concern, "the SQLite store recovered"),
            _ => {}
        }
        *known = now;
    }

    /// Whether commits fail.
    pub(crate) fn writing(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).writing.is_some()
    }

    pub(crate) fn health(&self) -> Health {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&troubles.writing, troubles.growing.as_ref().or(troubles.following.as_ref())) {
            (Some(reason), _) => Health::Failing(reason.clone()),
            (None, Some(reason)) => Health::Degraded(reason.clone()),
            (None, None) => Health::Healthy,
        }
    }
}
