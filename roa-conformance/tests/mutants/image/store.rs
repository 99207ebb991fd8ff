//! [`ImageStore`]: an [`Image`] behind a lock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{
    Batch, Capabilities, Clock, CommitError, Epoch, Error, Health, Key, ListRequest, Page, Read, Result, Revision,
    Store, StoreId, StoreState, Tail, TailEnd, Txn,
};
use roa_runtime::SystemClock;
use tokio::sync::Notify;

use super::data::Image;

/// A store that is an image.
#[derive(Debug)]
pub(super) struct ImageStore {
    shared: Arc<Shared>,
    capabilities: Capabilities,
}

#[derive(Debug)]
struct Shared {
    id: StoreId,
    min_retain: u64,
    clock: SystemClock,
    image: Mutex<Held>,
    changed: Notify,
}

/// What it holds, and whether it was closed: then what is in it can still be read by feeds.
#[derive(Debug)]
struct Held {
    image: Image,
    closed: bool,
}

impl ImageStore {
    pub(super) fn new(image: Image, min_retain: u64, capabilities: Capabilities) -> Self {
        let (id, clock, changed) = (image.id, SystemClock::new(), Notify::new());
        Self {
            shared: Arc::new(Shared {
                id,
                min_retain,
                clock,
                image: Mutex::new(Held { image, closed: false }),
                changed,
            }),
            capabilities,
        }
    }

    /// Ends it and gives what it held.
    pub(super) fn close(&self) -> Image {
        let image = {
            let mut held = self.shared.lock();
            held.closed = true;
            held.image.clone()
        };
        self.shared.changed.notify_waiters();
        image
    }

    /// What it holds now.
    pub(super) fn copy(&self) -> Image {
        self.shared.lock().image.clone()
    }

    pub(super) fn min_retain(&self) -> u64 {
        self.shared.min_retain
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Image) -> T) -> Result<T> {
        let mut held = self.lock();
        if held.closed { Err(Error::unavailable("the image was closed")) } else { Ok(act(&mut held.image)) }
    }

    fn change<T>(&self, act: impl FnOnce(&mut Image) -> T) -> Result<T> {
        let changed = self.with(act)?;
        self.changed.notify_waiters();
        Ok(changed)
    }

    /// The batches after a revision of an epoch; none if there are none yet.
    fn look(&self, epoch: Epoch, after: Revision) -> Result<Vec<Arc<Batch>>, TailEnd> {
        let held = self.lock();
        let StoreState { floor, head, epoch: current } = held.image.state();
        match held.image.after(after) {
            Ok((batches, _)) if current == epoch && batches.is_empty() && held.closed => Err(TailEnd::Closed),
            Ok((batches, _)) if current == epoch => Ok(batches),
            _ => Err(TailEnd::Expired { floor, head }),
        }
    }
}

/// A reader of the log, and where it is.
struct Reader {
    shared: Arc<Shared>,
    epoch: Epoch,
    at: Revision,
}

impl Reader {
    async fn next(&mut self) -> Result<Vec<Arc<Batch>>, TailEnd> {
        loop {
            let changed = self.shared.changed.notified();
            let batches = self.shared.look(self.epoch, self.at)?;
            if let Some(last) = batches.last() {
                self.at = last.revision;
                return Ok(batches);
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Store for ImageStore {
    fn id(&self) -> StoreId {
        self.shared.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        self.shared.with(|image| Read { entry: image.get(key), revision: image.state().head })
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        self.shared.with(|image| image.list(&request))?
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        let committed = self.shared.change(|image| image.commit(&txn, self.shared.clock.now()));
        committed.unwrap_or_else(|closed| Err(CommitError::Unavailable { reason: closed.to_string().into() }))
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        let (epoch, before) = self.shared.with(|image| (image.state().epoch, image.after(after)))?;
        let (_, after_txn) = before?;
        let reader = Reader { shared: Arc::clone(&self.shared), epoch, at: after };
        let stream = unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(batches) => Some((Ok(batches), Some(reader))),
                Err(end) => Some((Err(end), None)),
            }
        });
        Ok(Tail::new(self.shared.id, epoch, (after, Some(after_txn)), stream.fuse().boxed()))
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        self.shared.change(|image| image.compact(to, self.shared.min_retain))?
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        self.shared.change(|image| image.fence(expected, highest, self.shared.clock.now()))
    }

    async fn state(&self) -> Result<StoreState> {
        self.shared.with(|image| image.state())
    }

    async fn health(&self) -> Health {
        self.state().await.map_or_else(|error| Health::Failing(error.to_string()), |state| Health::of_head(state.head))
    }
}

impl fmt::Display for ImageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image {}", self.shared.id)
    }
}
