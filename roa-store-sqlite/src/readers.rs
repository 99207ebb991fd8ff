//! [`Readers`]: threads that read, each on a connection of its own.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::SqliteConfig;
use crate::connect;
use crate::error::SqliteError;

/// How many steps of SQLite's machine pass between two looks at the time.
const STEPS: i32 = 10_000;

/// Runs on a reader's connection; says whether that is still good.
type Job = Box<dyn FnOnce(Result<&Connection, SqliteError>) -> bool + Send>;

/// Where the result of a read will be.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T, SqliteError>>;

/// Threads that read. Each read sees one snapshot, and has a time in which to end, since the write-ahead log can't begin
/// anew while a snapshot of it is held.
pub(crate) struct Readers {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(crate) fn start(config: &SqliteConfig) -> std::io::Result<Self> {
        let (sender, jobs) = mpsc::channel(config.max_queued.get());
        let jobs = Arc::new(Mutex::new(jobs));
        let start = |number| {
            let (jobs, config) = (Arc::clone(&jobs), config.clone());
            let name = format!("roa-sqlite-read-{number}");
            thread::Builder::new().name(name).spawn(move || Reader { config, connection: None }.run(&jobs))
        };
        let threads = (1..=config.readers.get()).map(start).collect::<Result<_, _>>()?;
        Ok(Self { jobs: Mutex::new(Some(sender)), threads: Mutex::new(threads) })
    }

    /// What `work` reads in one snapshot.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    ) -> Result<T, SqliteError> {
        let sender = lock(&self.jobs).clone().ok_or(SqliteError::Closed)?;
        let (job, answer) = job(work);
        sender.send(job).await.map_err(|_closed| SqliteError::Closed)?;
        drop(sender);
        answer.await.map_err(|_closed| SqliteError::Closed)?
    }

    /// Begins to read ahead, if nobody waits for a reader; the result is to be had later, or dropped.
    pub(crate) fn ahead<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    ) -> Option<Answer<T>> {
        let sender = lock(&self.jobs).clone()?;
        let (job, answer) = job(work);
        sender.try_send(job).is_ok().then_some(answer)
    }

    /// Takes no more jobs, and waits until those that were taken have ended.
    pub(crate) fn close(&self) {
        drop(lock(&self.jobs).take());
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            if thread.join().is_err() {
                tracing::error!("a reader of the SQLite store panicked");
            }
        }
    }
}

/// The bound of the queue and of the threads.
impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = NonZeroUsize::new(lock(&self.threads).len());
        f.debug_struct("Readers").field("threads", &threads).finish_non_exhaustive()
    }
}

/// None of the code under these locks can panic midway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work as a reader takes it, and where its result will be.
fn job<T: Send + 'static>(
    work: impl FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
) -> (Job, Answer<T>) {
    let (reply, answer) = oneshot::channel();
    let job = move |connection: Result<&Connection, SqliteError>| {
        if reply.is_closed() {
            return true;
        }
        let result = connection.and_then(|connection| in_snapshot(connection, work));
        let good = !matches!(result, Err(SqliteError::Failed(_) | SqliteError::Corrupt(_)));
        // Nobody waits any more: nothing was changed.
        let _unread = reply.send(result);
        good
    };
    (Box::new(job), answer)
}

fn in_snapshot<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = work(connection);
    connection.prepare_cached("ROLLBACK")?.execute([])?;
    result
}

struct Reader {
    config: SqliteConfig,
    connection: Option<Connection>,
}

impl Reader {
    fn run(mut self, jobs: &Mutex<mpsc::Receiver<Job>>) {
        loop {
            let Some(job) = lock(jobs).blocking_recv() else { return };
            let deadline = Instant::now() + self.config.read_limit;
            let good = job(self.connection(deadline).map(|connection| &*connection));
            if !good {
                self.connection = None;
            }
        }
    }

    /// The connection, on which all work is interrupted at the deadline.
    fn connection(&mut self, deadline: Instant) -> Result<&mut Connection, SqliteError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect::reader(&self.config)?,
        };
        connection.progress_handler(STEPS, Some(move || Instant::now() >= deadline))?;
        Ok(self.connection.insert(connection))
    }
}
