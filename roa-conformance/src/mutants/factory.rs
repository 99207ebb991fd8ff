//! [`MutantFactory`]: makes mutants of the stores of another factory.

use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{Capabilities, Store};

use super::{LifecycleMutation, Mutant, Mutation};
use crate::{Backup, Facility, FactoryError, Fixture, FreshOptions, Opened, StoreFactory};

/// Makes mutants of the stores of another factory.
#[derive(Debug, Clone)]
pub struct MutantFactory {
    inner: Arc<dyn StoreFactory>,
    mutation: Mutation,
}

impl MutantFactory {
    /// Mutants of the stores of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn StoreFactory>, mutation: Mutation) -> Self {
        Self { inner, mutation }
    }

    fn mutant(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(Mutant::new(store, self.mutation))
    }

    async fn reopened(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        Ok(Arc::new(Mutant::reopened(store, self.mutation).await?))
    }
}

#[async_trait]
impl StoreFactory for MutantFactory {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn facilities(&self) -> &[Facility] {
        self.inner.facilities()
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        Ok(self.mutant(self.inner.fresh(options).await?))
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.inner.close(store).await
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        self.reopened(self.inner.reopen(store).await?).await
    }

    async fn crash(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        self.reopened(self.inner.crash(store).await?).await
    }

    async fn backup(&self, store: &Arc<dyn Store>) -> Result<Backup, FactoryError> {
        self.inner.backup(store).await
    }

    async fn restore(&self, store: Arc<dyn Store>, backup: Backup) -> Result<Arc<dyn Store>, FactoryError> {
        self.reopened(self.inner.restore(store, backup).await?).await
    }

    async fn open(&self, fixture: Fixture) -> Result<Opened, FactoryError> {
        let Mutation::Lifecycle(mutation) = self.mutation else { return self.inner.open(fixture).await };
        match (mutation, fixture) {
            (LifecycleMutation::OpensNewerSchemas, Fixture::NewerSchema)
            | (LifecycleMutation::OpensForeignFiles, Fixture::Foreign)
            | (LifecycleMutation::OldStoresAreEmpty, Fixture::Version1) => {
                Ok(Opened::Store(self.inner.fresh(FreshOptions::default()).await?))
            }
            _ => self.inner.open(fixture).await,
        }
    }

    async fn cut_next_reply(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.inner.cut_next_reply(store).await
    }
}
