//! [`Candidates`]: the workers of a lab's namespace.

use roa_core::{Context, ListOptions, Object, Result, Spec};

use crate::pool::LabWorkerPool;
use crate::worker::{LabWorker, Worker};

/// The workers that labs of a namespace can be placed on.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(super) workers: Vec<Worker>,
}

impl Candidates {
    /// From the caches, or from the store where there is none. `None` if the namespace has neither workers nor pools: its
    /// labs are the local worker's.
    pub(crate) async fn take(namespace: &str, cx: &Context) -> Result<Option<Self>> {
        let workers = all::<LabWorker>(namespace, cx).await?;
        if workers.is_empty() && all::<LabWorkerPool>(namespace, cx).await?.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { workers }))
    }

    /// Puts what is stored now in the place of what was seen before.
    pub(super) fn refresh(&mut self, name: &str, now: Option<Worker>) {
        self.workers.retain(|worker| worker.metadata.name != name);
        self.workers.extend(now);
    }
}

async fn all<S: Spec>(namespace: &str, cx: &Context) -> Result<Vec<Object<S>>> {
    if let Some(cache) = cx.cache::<S>().filter(|cache| cache.revision().is_some()) {
        return Ok(cache.list(Some(namespace)).iter().map(|object| (**object).clone()).collect());
    }
    Ok(cx.api::<S>()?.list(&ListOptions::namespace(namespace)).await?.0)
}
