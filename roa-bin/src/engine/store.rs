//! Which store: the one place that names them all.

use std::sync::Arc;

use roa_core::{Random, Store};
use roa_runtime::Clocks;
use roa_store_memory::{MemoryConfig, MemoryStore};

use crate::config::settings::{Config, StoreBackend};

pub(super) fn open(config: &Config, clocks: &Clocks, random: Arc<dyn Random>) -> Arc<dyn Store> {
    match config.store.backend {
        StoreBackend::Memory => {
            let memory = &config.store.memory;
            let bounds = MemoryConfig::default()
                .log_max_batches(memory.log_max_batches)
                .log_max_bytes(memory.log_max_bytes)
                .log_min_age(memory.log_min_age.0);
            Arc::new(MemoryStore::new(bounds, Arc::clone(&clocks.io), random))
        }
    }
}
