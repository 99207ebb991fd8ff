//! [`SqliteStore`]: the contract, over a thread that writes and some that read.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{
    Capabilities, Clock, CommitError, Epoch, Health, Key, ListRequest, Page, Random, Read, Result, Revision, Store,
    StoreId, StoreState, Tail, Txn,
};
use tokio::sync::oneshot;

use crate::backup;
use crate::error::{OpenError, SqliteError};
use crate::meta::Meta;
use crate::shared::Shared;
use crate::writer::{self, Pending, Request, WriterHandle};
use crate::{SqliteConfig, list, objects, tail};

/// A store in a file of SQLite. Share it as `Arc<SqliteStore>`.
///
/// Any number of processes of one machine can use the same file. When the store is dropped or
/// [closed](Self::close), its change feeds end with [`TailEnd::Closed`](roa_core::TailEnd).
///
/// ```
/// use std::sync::Arc;
/// use roa_core::{ManualClock, Store, SystemRandom};
/// use roa_store_sqlite::{SqliteConfig, SqliteStore};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let directory = tempfile::tempdir()?;
/// let clock = Arc::new(ManualClock::new("2027-01-02T03:04:05Z".parse()?));
/// let config = SqliteConfig::new(directory.path().join("roa.db"));
/// let store = SqliteStore::open(config, clock, Arc::new(SystemRandom)).await?;
/// assert_eq!(store.state().await?.floor, store.state().await?.head);
/// store.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    shared: Arc<Shared>,
    writer: WriterHandle,
    capabilities: Capabilities,
}

impl SqliteStore {
    /// Opens the file, or makes it. If its history may have been broken while it was closed, that is fenced: what was
    /// resumable before is answered with `Expired`.
    ///
    /// # Errors
    /// [`OpenError`]; the file is as it was.
    ///
    /// # Cancel safety
    /// Safe; the file is then opened and closed.
    pub async fn open(config: SqliteConfig, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        let durability = config.durability.into();
        let (shared, writer) = writer::start(config, clock, random).await?;
        let mut capabilities = Capabilities::volatile();
        (capabilities.durability, capabilities.reopens, capabilities.shared) = (durability, true, true);
        Ok(Self { shared, writer, capabilities })
    }

    /// Ends it, after what is under way: all is on the disk then, and no thread uses the file. A second call does
    /// nothing.
    ///
    /// # Cancel safety
    /// Safe; it ends nevertheless.
    pub async fn close(&self) {
        // An error says that it has ended already.
        let _ended = self.writer.close().await;
    }

    /// Writes a copy of the whole store, as of one revision, to a file that does not exist. Commits go on meanwhile.
    /// A store that is opened from the copy begins with a fence.
    ///
    /// # Errors
    /// [`Error::Unavailable`](roa_core::Error) if the copy can't be written; then there is none.
    ///
    /// # Cancel safety
    /// Safe; the copy is then made, or not.
    pub async fn backup(&self, to: &Path) -> Result<StoreState> {
        Ok(backup::backup(&self.shared.config, to).await?)
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, SqliteError>>) -> Request,
    ) -> Result<T, SqliteError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(request(reply)).await?;
        answer.await.map_err(|_ended| SqliteError::Closed)?
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn id(&self) -> StoreId {
        self.shared.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn get(&self, key: &Key) -> Result<Read> {
        let key = key.clone();
        let read = self.shared.readers.run(move |connection| {
            let revision = Meta::read(connection)?.head;
            Ok(Read { entry: objects::get(connection, &key)?, revision })
        });
        Ok(read.await?)
    }

    async fn list(&self, request: ListRequest) -> Result<Page> {
        list::list(&self.shared, request).await
    }

    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError> {
        txn.validate()?;
        let id = txn.id;
        let (reply, outcome) = oneshot::channel();
        let sent = self.writer.send(Request::Commit(Pending { txn, reply })).await;
        sent.map_err(|closed| closed.refused())?;
        outcome.await.map_err(|_ended| SqliteError::Closed.unclear(id))?
    }

    async fn tail(&self, after: Revision) -> Result<Tail> {
        Ok(tail::open(&self.shared, after).await?)
    }

    async fn compact(&self, to: Revision) -> Result<Revision> {
        Ok(self.request(|reply| Request::Compact { to, reply }).await?)
    }

    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState> {
        Ok(self.request(|reply| Request::Fence { expected, highest, reply }).await?)
    }

    async fn state(&self) -> Result<StoreState> {
        Ok(self.shared.readers.run(|connection| Ok(Meta::read(connection)?.state())).await?)
    }

    async fn health(&self) -> Health {
        if self.shared.feed.ended() {
            return Health::Failing(SqliteError::Closed.to_string());
        }
        match self.shared.trouble.health() {
            Health::Healthy => Health::of_head(self.shared.feed.newest().1),
            trouble => trouble,
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        // The thread closes the file by itself.
        drop(self.writer.close());
    }
}

impl fmt::Display for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLite store {} in {}", self.shared.id, self.shared.config.path.display())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("id", &self.shared.id)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
