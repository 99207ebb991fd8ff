//! The memory store in the suite that every backend must pass.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use roa_conformance::{Expected, Facility, FactoryError, FreshOptions, Made, StoreFactory};
use roa_core::{Capabilities, Store, SystemRandom};
use roa_runtime::SystemClock;
use roa_store_memory::{MemoryConfig, MemoryStore};

#[derive(Debug, Default)]
struct MemoryFactory(Made<MemoryStore>);

#[async_trait]
impl StoreFactory for MemoryFactory {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::volatile()
    }

    fn facilities(&self) -> &[Facility] {
        &[Facility::Opening, Facility::Closes]
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        // Only compactions make the log forget: how long a case takes must not decide what it finds.
        let mut config = MemoryConfig::default().log_max_batches(usize::MAX).log_max_bytes(usize::MAX);
        (config.min_retain, config.opening) = (options.min_retain, options.opening);
        Ok(self.0.keep(MemoryStore::new(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom))))
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.0.find(&**store)?.close();
        Ok(())
    }
}

fn main() -> ExitCode {
    roa_conformance::run_pinned(MemoryFactory::default(), Expected { run: 77, skipped: 7 })
}
