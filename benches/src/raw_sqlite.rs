//! The raw limit of SQLite: one thread that commits in groups, and plain queries.
//!
//! It checks expectations, keeps what was there before in the log, and syncs once for each group. It knows nothing of
//! transaction ids, epochs, bounds, other processes that watch, or objects.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::{Buf, Bytes};
use roa_core::{Key, Value};
use rusqlite::{Connection, OptionalExtension, Result, params};
use tokio::sync::oneshot;

use crate::Side;

/// How many requests share one sync at most.
const MAX_GROUP: usize = 256;
/// How many requests may wait.
const MAX_QUEUED: usize = 1_024;
/// How many prepared statements are kept; more than there are.
const STATEMENTS: usize = 16;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY, rev INTEGER NOT NULL);
    INSERT OR IGNORE INTO head VALUES (1, 0);
    CREATE TABLE IF NOT EXISTS object (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        create_rev INTEGER NOT NULL,
        mod_rev INTEGER NOT NULL,
        value BLOB NOT NULL
    );
    CREATE TABLE IF NOT EXISTS log (
        rev INTEGER PRIMARY KEY,
        keys BLOB NOT NULL,
        new BLOB NOT NULL,
        previous BLOB NOT NULL
    );
";

/// One write: a value, if the key is still at a revision.
#[derive(Debug, Clone)]
pub struct RawPut {
    /// Where.
    pub key: Key,
    /// What.
    pub value: Bytes,
    /// At which revision the key must be; `None`: absent.
    pub expect: Option<i64>,
}

/// One live row.
#[derive(Debug)]
pub struct RawRow {
    /// The encoded key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it was created, and when written last.
    pub revisions: [i64; 2],
}

/// One commit of the log; its pieces are framed, see [`RawReader::pieces`].
#[derive(Debug)]
pub struct RawCommit {
    /// Which.
    pub revision: i64,
    /// What it wrote.
    pub new: Bytes,
    /// What was there before.
    pub previous: Bytes,
}

struct Request {
    puts: Vec<RawPut>,
    reply: oneshot::Sender<Option<i64>>,
}

/// The thread that writes.
#[derive(Debug)]
pub struct RawSqlite {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl RawSqlite {
    /// Opens or makes the file; `synchronous` is `FULL` or `NORMAL`.
    ///
    /// # Errors
    /// Those of SQLite, and of the start of a thread.
    pub fn open(path: &Path, synchronous: &str) -> Result<Self> {
        let connection = connect(path)?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(TABLES)?;
        let (requests, queue) = sync_channel(MAX_QUEUED);
        let thread = std::thread::Builder::new().name("raw-writer".into()).spawn(move || write(&connection, &queue));
        let thread = thread.map_err(|why| rusqlite::Error::ToSqlConversionFailure(why.into()))?;
        Ok(Self { requests: Some(requests), thread: Some(thread) })
    }

    /// Does all writes in the next revision, or none: then it gives `None`.
    pub async fn commit(&self, puts: Vec<RawPut>) -> Option<i64> {
        let (reply, answer) = oneshot::channel();
        self.requests.as_ref()?.send(Request { puts, reply }).ok()?;
        answer.await.ok()?
    }
}

impl Side for Arc<RawSqlite> {
    type At = i64;

    #[expect(clippy::expect_used, reason = "a benchmark that can't write must stop")]
    async fn write(&self, keys: &[Key], value: &Value, expect: Option<i64>) -> i64 {
        let put = |key: &Key| RawPut { key: key.clone(), value: value.bytes.clone(), expect };
        self.commit(keys.iter().map(put).collect()).await.expect("a commit that nobody disturbs")
    }
}

impl Drop for RawSqlite {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // Its error was already seen as missing answers.
            let _ = thread.join();
        }
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    Ok(connection)
}

fn write(connection: &Connection, queue: &Receiver<Request>) -> Result<()> {
    while let Ok(first) = queue.recv() {
        let group = std::iter::once(first).chain(queue.try_iter()).take(MAX_GROUP);
        let answers = commit_group(connection, group)?;
        for (reply, answer) in answers {
            // Whoever asked may have gone.
            let _ = reply.send(answer);
        }
    }
    Ok(())
}

type Answers = Vec<(oneshot::Sender<Option<i64>>, Option<i64>)>;

fn commit_group(connection: &Connection, group: impl Iterator<Item = Request>) -> Result<Answers> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut head: i64 = connection.prepare_cached("SELECT rev FROM head")?.query_one([], |row| row.get(0))?;
    let mut answers = Vec::new();
    for request in group {
        let answer = apply(connection, head + 1, &request.puts)?;
        head = answer.unwrap_or(head);
        answers.push((request.reply, answer));
    }
    connection.prepare_cached("UPDATE head SET rev = ?")?.execute([head])?;
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(answers)
}

fn apply(connection: &Connection, revision: i64, puts: &[RawPut]) -> Result<Option<i64>> {
    let mut previous = Vec::with_capacity(puts.len());
    for put in puts {
        let row = current(connection, &put.key)?;
        if row.as_ref().map(|(mod_rev, _)| *mod_rev) != put.expect {
            return Ok(None);
        }
        previous.push(row.map(|(_, value)| value).unwrap_or_default());
    }
    for put in puts {
        store(connection, revision, put)?;
    }
    let keys = framed(puts.iter().map(|put| put.key.encoded().as_bytes()));
    let new = framed(puts.iter().map(|put| &*put.value));
    let previous = framed(previous.iter().map(Vec::as_slice));
    connection
        .prepare_cached("INSERT INTO log (rev, keys, new, previous) VALUES (?, ?, ?, ?)")?
        .execute(params![revision, keys, new, previous])?;
    Ok(Some(revision))
}

fn current(connection: &Connection, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
    connection
        .prepare_cached("SELECT mod_rev, value FROM object WHERE key = ?")?
        .query_one([key.encoded().as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn store(connection: &Connection, revision: i64, put: &RawPut) -> Result<()> {
    let (key, value) = (put.key.encoded().as_bytes(), &*put.value);
    if put.expect.is_some() {
        let sql = "UPDATE object SET mod_rev = ?, value = ? WHERE key = ?";
        connection.prepare_cached(sql)?.execute(params![revision, value, key])?;
    } else {
        let sql = "INSERT INTO object (key, create_rev, mod_rev, value) VALUES (?1, ?2, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![key, revision, value])?;
    }
    Ok(())
}

/// Each piece after its length.
fn framed<'a>(pieces: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pieces.clone().map(|piece| size_of::<u64>() + piece.len()).sum());
    for piece in pieces {
        bytes.extend_from_slice(&(piece.len() as u64).to_le_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}

/// A connection that reads.
#[derive(Debug)]
pub struct RawReader(Connection);

impl RawReader {
    /// Opens a file that [`RawSqlite`] made.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn open(path: &Path) -> Result<Self> {
        connect(path).map(Self)
    }

    /// All live rows, in key order.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn list(&self) -> Result<Vec<RawRow>> {
        let sql = "SELECT key, value, create_rev, mod_rev FROM object ORDER BY key";
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let [key, value] = [row.get::<_, Vec<u8>>(0)?, row.get(1)?].map(Bytes::from);
            Ok(RawRow { key, value, revisions: [row.get(2)?, row.get(3)?] })
        })?;
        rows.collect()
    }

    /// The commits after a revision, at most `count`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn log_after(&self, revision: i64, count: i64) -> Result<Vec<RawCommit>> {
        let sql = "SELECT rev, new, previous FROM log WHERE rev > ? ORDER BY rev LIMIT ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let rows = statement.query_map([revision, count], |row| {
            let [new, previous] = [row.get::<_, Vec<u8>>(1)?, row.get(2)?].map(Bytes::from);
            Ok(RawCommit { revision: row.get(0)?, new, previous })
        })?;
        rows.collect()
    }

    /// What changes when another connection commits.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn data_version(&self) -> Result<i64> {
        self.0.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
    }

    /// The pieces of one blob of a [`RawCommit`]; they share its bytes.
    #[must_use]
    pub fn pieces(mut framed: Bytes) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while framed.len() >= size_of::<u64>() {
            let length = usize::try_from(framed.get_u64_le()).unwrap_or(usize::MAX).min(framed.len());
            pieces.push(framed.split_to(length));
        }
        pieces
    }
}
