//! The writer: one thread and one connection for all that changes the file.
//!
//! - `inbox`: what waits, and how long the writer waits for more
//! - `group`: transactions that share one commit of SQLite, and so one sync of the disk
//! - `apply`: one transaction among them
//! - `quota`: what is done when the files are full
//! - `change`: compactions and fences
//! - `upkeep`: what is done between groups, to keep the files bounded

mod apply;
mod change;
mod group;
mod inbox;
mod quota;
mod upkeep;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use roa_core::{Clock, CommitError, Epoch, Random, Revision, StoreState, Txn};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::SqliteConfig;
use crate::connect;
use crate::error::{OpenError, SqliteError};
use crate::feed::Feed;
use crate::follow::{self, FollowerHandle};
use crate::opening::{self, Opened};
use crate::place::FileId;
use crate::readers::Readers;
use crate::shared::{Shared, Trouble};
use crate::sidecar::Sidecar;

use self::inbox::Inbox;

/// How often the files are looked after.
const UPKEEP: Duration = Duration::from_secs(1);

/// What is asked of the writer.
pub(crate) enum Request {
    Commit(Pending),
    Compact { to: Revision, reply: oneshot::Sender<Result<Revision, SqliteError>> },
    Fence { expected: Epoch, highest: Revision, reply: oneshot::Sender<Result<StoreState, SqliteError>> },
    Close { reply: oneshot::Sender<()> },
}

/// A transaction that waits for its outcome.
pub(crate) struct Pending {
    pub(crate) txn: Txn,
    pub(crate) reply: oneshot::Sender<Result<Revision, CommitError>>,
}

/// A request, and its place in the queue.
struct Queued {
    request: Request,
    _place: Option<OwnedSemaphorePermit>,
}

/// How the store reaches its writer.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    queue: Sender<Queued>,
    /// As many requests may wait as it has permits. Closed when the store is.
    places: Arc<Semaphore>,
}

impl WriterHandle {
    /// Puts a request in the queue; waits while that is full.
    pub(crate) async fn send(&self, request: Request) -> Result<(), SqliteError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_closed| SqliteError::Closed)?;
        let queued = Queued { request, _place: Some(place) };
        self.queue.send(queued).map_err(|_ended| SqliteError::Closed)
    }

    /// Takes no more requests. What is given is ready when the file is closed, after all that was in the queue.
    pub(crate) fn close(&self) -> oneshot::Receiver<()> {
        self.places.close();
        let (reply, closed) = oneshot::channel();
        // If the thread has ended, so has what is given.
        let _ended = self.queue.send(Queued { request: Request::Close { reply }, _place: None });
        closed
    }
}

/// Opens the file on a thread of its own, which writes from then on.
pub(crate) async fn start(
    config: SqliteConfig,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<(Arc<Shared>, WriterHandle), OpenError> {
    let path = config.path.clone();
    let places = Arc::new(Semaphore::new(config.max_queued.get()));
    let (queue, requests) = channel();
    let inbox = Inbox::new(requests, config.max_group.get());
    let (reply, opened) = oneshot::channel();
    let run = move || match Writer::open(config, clock, random, inbox) {
        Ok(writer) => {
            // If nobody waits for it any more, it closes again, since its queue has no sender.
            let _dropped = reply.send(Ok(Arc::clone(&writer.shared)));
            writer.run();
        }
        Err(error) => drop(reply.send(Err(error))),
    };
    thread::Builder::new().name("roa-sqlite-write".to_owned()).spawn(run).map_err(|why| OpenError::io(&path, why))?;
    let shared = opened.await.map_err(|_panicked| OpenError::sqlite(&path, &"its thread ended"))??;
    Ok((shared, WriterHandle { queue, places }))
}

/// The thread's own.
struct Writer {
    shared: Arc<Shared>,
    /// None after a failure that may have left it in an unknown state.
    connection: Option<Connection>,
    sidecar: Sidecar,
    /// The file that was opened.
    file: FileId,
    follower: Option<FollowerHandle>,
    boot: String,
    upkeep_at: Instant,
    /// Whether something was committed since the files were last looked after.
    busy: bool,
    /// Whether the file beside the database was written since the disk last had it.
    unsynced_mark: bool,
    /// Why nothing may be added, as of the last measurement.
    full: Option<SqliteError>,
    /// The bytes of changes in the log at that time.
    measured_at: u64,
    inbox: Inbox,
}

impl Writer {
    fn open(
        config: SqliteConfig,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        inbox: Inbox,
    ) -> Result<Self, OpenError> {
        let path = config.path.clone();
        let Opened { connection, sidecar, file, meta, boot } = opening::open(&config, &*clock, &*random)?;
        let readers = Readers::start(&config).map_err(|why| OpenError::io(&path, why))?;
        let feed = Feed::new(meta.state(), config.recent_max_bytes);
        let shared = Shared { id: meta.store, config, clock, random, feed, readers, trouble: Trouble::default() };
        let shared = Arc::new(shared);
        let follower = follow::start(Arc::clone(&shared)).map_err(|why| OpenError::io(&path, why))?;
        Ok(Self {
            shared,
            connection: Some(connection),
            sidecar,
            file,
            follower: Some(follower),
            boot,
            upkeep_at: Instant::now() + UPKEEP,
            busy: false,
            unsynced_mark: false,
            full: None,
            // Far from any: the first group is measured.
            measured_at: u64::MAX,
            inbox,
        })
    }

    fn run(mut self) {
        // Also if this thread panics, the feeds end.
        let _ends = EndsFeeds(Arc::clone(&self.shared));
        let mut replies = Vec::new();
        loop {
            match self.inbox.next(self.upkeep_at) {
                Ok(queued) => replies.extend(self.handle(queued)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !replies.is_empty() {
                break;
            }
            if Instant::now() >= self.upkeep_at {
                let more = self.upkeep();
                self.upkeep_at = Instant::now() + if more { Duration::ZERO } else { UPKEEP };
            }
        }
        self.close();
        replies.into_iter().for_each(|reply: oneshot::Sender<()>| {
            let _dropped = reply.send(());
        });
    }

    /// Does what is in the queue, commits together. Gives whom to tell of the end, if this is to be it.
    fn handle(&mut self, queued: VecDeque<Queued>) -> Option<oneshot::Sender<()>> {
        let mut group = Vec::with_capacity(queued.len());
        for Queued { request, _place } in queued {
            match request {
                Request::Commit(pending) => group.push(pending),
                other => {
                    self.commit(std::mem::take(&mut group));
                    if let Some(close) = self.change(other) {
                        return Some(close);
                    }
                }
            }
        }
        self.commit(group);
        None
    }

    /// The connection; a new one after a failure.
    fn connection(&mut self) -> Result<&Connection, SqliteError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect::writer(&self.shared.config)?,
        };
        // Whoever begins a transaction looks by itself until it may.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(self.connection.insert(connection))
    }

    /// What is written to a file that has no name any more is gone when it is closed.
    fn check_file(&self) -> Result<(), SqliteError> {
        let path = &self.shared.config.path;
        match FileId::at(path) {
            Ok(found) if found == self.file => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Err(SqliteError::Replaced { path: path.clone() }),
        }
    }

    /// Ends the transaction that has begun, without a trace. A connection that can't do that is not used again.
    fn rollback(&mut self) {
        let ended = self
            .connection
            .as_ref()
            .is_none_or(|connection| connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok());
        if !ended {
            self.connection = None;
        }
    }

    fn close(mut self) {
        self.shared.feed.end(SqliteError::Closed);
        self.shared.readers.close();
        if let Err(error) = self.settle() {
            tracing::warn!(store = %self.shared.id, %error, "failed to settle the SQLite store at its end");
        }
        if let Some(follower) = self.follower.take() {
            follower.close();
        }
    }
}

struct EndsFeeds(Arc<Shared>);

impl Drop for EndsFeeds {
    fn drop(&mut self) {
        self.0.feed.end(SqliteError::Closed);
    }
}
