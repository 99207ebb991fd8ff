//! The memory store, with a connection that can be cut.

use std::sync::Arc;

use async_trait::async_trait;
use roa_conformance::{CommitFault, Facility, FactoryError, FaultPlan, FaultStore, FreshOptions, Made, StoreFactory};
use roa_core::{Capabilities, Store, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};

/// Makes memory stores behind connections that can be cut.
#[derive(Debug, Default)]
pub(crate) struct MemoryFactory {
    stores: Made<MemoryStore>,
    connections: Made<FaultStore>,
}

#[async_trait]
impl StoreFactory for MemoryFactory {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::volatile()
    }

    fn facilities(&self) -> &[Facility] {
        &[Facility::Opening, Facility::Closes, Facility::Cuts]
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        let mut config = MemoryConfig::default().min_retain(options.min_retain);
        config.opening = options.opening;
        let clock = Arc::new(SystemClock::new());
        let store = self.stores.keep(MemoryStore::new(config, clock.clone(), Arc::new(SystemRandom)));
        Ok(self.connections.keep(FaultStore::new(store, clock)))
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.stores.find(&**store)?.close();
        Ok(())
    }

    async fn cut_next_reply(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.connections.find(&**store)?.plan(FaultPlan::new().commit(1, CommitFault::LoseReply));
        Ok(())
    }
}
