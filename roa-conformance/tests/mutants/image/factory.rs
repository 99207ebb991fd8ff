//! [`ImageFactory`]: makes image stores, keeps copies of them, and opens them again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use roa_conformance::{Backup, Facility, FactoryError, Fixture, FreshOptions, Made, Opened, StoreFactory, fixture};
use roa_core::{Capabilities, Clock, Durability, Revision, Store};
use roa_runtime::SystemClock;

use super::data::{Image, SCHEMA};
use super::store::ImageStore;

/// Makes image stores.
#[derive(Debug, Default)]
pub(crate) struct ImageFactory {
    stores: Made<ImageStore>,
    backups: Mutex<HashMap<Backup, Image>>,
    made: AtomicU64,
}

impl ImageFactory {
    fn start(&self, image: Image, min_retain: u64) -> Arc<dyn Store> {
        self.stores.keep(ImageStore::new(image, min_retain, self.capabilities()))
    }

    fn open_image(&self, image: Image, min_retain: u64) -> Result<Arc<dyn Store>, FactoryError> {
        let image = image.open(SystemClock::new().now()).map_err(FactoryError::Failed)?;
        Ok(self.start(image, min_retain))
    }
}

fn new_image() -> Image {
    Image::new(Revision::opening(SystemClock::new().now()))
}

#[async_trait]
impl StoreFactory for ImageFactory {
    fn name(&self) -> &str {
        "image"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::volatile();
        capabilities.durability = Durability::ProcessCrash;
        capabilities.reopens = true;
        capabilities
    }

    fn facilities(&self) -> &[Facility] {
        &[Facility::Opening, Facility::Closes, Facility::Backups, Facility::Fixtures]
    }

    async fn fresh(&self, options: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
        let image = options.opening.map_or_else(new_image, Image::new);
        Ok(self.start(image, options.min_retain))
    }

    async fn close(&self, store: &Arc<dyn Store>) -> Result<(), FactoryError> {
        self.stores.find(&**store)?.close();
        Ok(())
    }

    async fn reopen(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let store = self.stores.find(&*store)?;
        self.open_image(store.close(), store.min_retain())
    }

    async fn crash(&self, store: Arc<dyn Store>) -> Result<Arc<dyn Store>, FactoryError> {
        let store = self.stores.find(&*store)?;
        self.open_image(store.copy(), store.min_retain())
    }

    async fn backup(&self, store: &Arc<dyn Store>) -> Result<Backup, FactoryError> {
        let mut image = self.stores.find(&**store)?.copy();
        image.copied = true;
        let backup = Backup(self.made.fetch_add(1, Ordering::SeqCst));
        self.backups.lock().unwrap_or_else(PoisonError::into_inner).insert(backup, image);
        Ok(backup)
    }

    async fn restore(&self, store: Arc<dyn Store>, backup: Backup) -> Result<Arc<dyn Store>, FactoryError> {
        let store = self.stores.find(&*store)?;
        store.close();
        let image = self.backups.lock().unwrap_or_else(PoisonError::into_inner).remove(&backup);
        let image = image.ok_or_else(|| FactoryError::failed(format!("{backup:?} was not made here")))?;
        self.open_image(image, store.min_retain())
    }

    async fn open(&self, fixture: Fixture) -> Result<Opened, FactoryError> {
        let mut image = new_image();
        match fixture {
            Fixture::NewerSchema => image.schema = SCHEMA + 1,
            Fixture::Foreign => image.magic += 1,
            Fixture::Version1 => {
                let first = ImageStore::new(image, 0, self.capabilities());
                fixture::write(&first).await.map_err(FactoryError::failed)?;
                image = first.close();
            }
            other => return Err(FactoryError::failed(format!("no image of {other:?}"))),
        }
        Ok(match image.open(SystemClock::new().now()) {
            Ok(image) => Opened::Store(self.start(image, 0)),
            Err(reason) => Opened::Refused(reason),
        })
    }
}
