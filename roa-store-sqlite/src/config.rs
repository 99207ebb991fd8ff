//! [`SqliteConfig`]: which file, how durable, and the bounds of what is kept.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use roa_core::{Durability, Revision};

/// How a [`SqliteStore`](crate::SqliteStore) keeps its file.
///
/// The log forgets its oldest batches when there are more than `log_max_batches` of them or when they have more than
/// `log_max_bytes` together. A batch younger than `log_min_age` stays nevertheless, until the log has twice as many
/// batches or bytes. The newest `min_retain` revisions always stay.
///
/// ```
/// use roa_store_sqlite::{SqliteConfig, SqliteDurability};
/// let config = SqliteConfig::new("roa.db").durability(SqliteDurability::ProcessCrash).max_bytes(1 << 30);
/// assert_eq!(config.readers.get(), 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// The database file. Others stand beside it, under its name with `-wal`, `-shm` and `-head`.
    pub path: PathBuf,
    /// When a commit is answered.
    pub durability: SqliteDurability,
    /// How large file and write-ahead log may grow together, in bytes, before what makes the store larger is refused: new
    /// objects, and those that become larger; 8 GiB by default. What keeps it going (heartbeats, the marks of deletions,
    /// finalizers that are removed) has a twentieth more, 16 MiB at least. Meanwhile the log keeps no more than `min_retain`.
    pub max_bytes: u64,
    /// How many batches the log keeps; 100,000 by default.
    pub log_max_batches: u64,
    /// How many bytes of changes the log keeps; 512 MiB by default.
    pub log_max_bytes: u64,
    /// How long a batch is kept beyond these bounds, by the injected clock; 75 s by default.
    pub log_min_age: Duration,
    /// How many of the newest revisions a compaction keeps; 1,000 by default.
    pub min_retain: u64,
    /// How many reads run at a time, each on a connection and a thread of its own; 4 by default.
    pub readers: NonZeroUsize,
    /// How long one read may hold its snapshot before it is interrupted; 1 s by default.
    pub read_limit: Duration,
    /// How long to wait for another process that is writing; 5 s by default.
    pub busy_timeout: Duration,
    /// How many requests may wait for the writer, and as many for the readers; 1,024 by default.
    pub max_queued: NonZeroUsize,
    /// How many transactions share one sync of the disk; 256 by default.
    pub max_group: NonZeroUsize,
    /// How many batches a change feed gives at a time at most; 1,024 by default.
    pub tail_chunk: NonZeroUsize,
    /// How many bytes of the newest batches change feeds find in memory; 16 MiB by default.
    pub recent_max_bytes: usize,
    /// How often to look for commits of other processes where the notification is lost; 25 ms by default.
    pub poll_interval: Duration,
    /// Where the history of a new file begins; by default at [`Revision::opening`]. For tests of what happens near the
    /// last revision.
    pub opening: Option<Revision>,
}

impl SqliteConfig {
    /// A store in this file, as durable as it can be.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let count = |count: usize| NonZeroUsize::MIN.saturating_add(count - 1);
        Self {
            path: path.into(),
            durability: SqliteDurability::PowerLoss,
            max_bytes: 8 << 30,
            log_max_batches: 100_000,
            log_max_bytes: 512 << 20,
            log_min_age: Duration::from_secs(75),
            min_retain: 1_000,
            readers: count(4),
            read_limit: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(5),
            max_queued: count(1_024),
            max_group: count(256),
            tail_chunk: count(1_024),
            recent_max_bytes: 16 << 20,
            poll_interval: Duration::from_millis(25),
            opening: None,
        }
    }

    /// When a commit is answered.
    #[must_use]
    pub const fn durability(mut self, durability: SqliteDurability) -> Self {
        self.durability = durability;
        self
    }

    /// How large file and write-ahead log may grow together, in bytes.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many batches the log keeps.
    #[must_use]
    pub const fn log_max_batches(mut self, batches: u64) -> Self {
        self.log_max_batches = batches;
        self
    }

    /// How many bytes of changes the log keeps.
    #[must_use]
    pub const fn log_max_bytes(mut self, bytes: u64) -> Self {
        self.log_max_bytes = bytes;
        self
    }

    /// How long a batch is kept beyond the bounds.
    #[must_use]
    pub const fn log_min_age(mut self, age: Duration) -> Self {
        self.log_min_age = age;
        self
    }

    /// How many of the newest revisions a compaction keeps.
    #[must_use]
    pub const fn min_retain(mut self, revisions: u64) -> Self {
        self.min_retain = revisions;
        self
    }

    /// How many reads run at a time.
    #[must_use]
    pub const fn readers(mut self, readers: NonZeroUsize) -> Self {
        self.readers = readers;
        self
    }

    /// How long one read may hold its snapshot.
    #[must_use]
    pub const fn read_limit(mut self, limit: Duration) -> Self {
        self.read_limit = limit;
        self
    }

    /// How long to wait for another process that is writing.
    #[must_use]
    pub const fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many transactions share one sync of the disk.
    #[must_use]
    pub const fn max_group(mut self, transactions: NonZeroUsize) -> Self {
        self.max_group = transactions;
        self
    }

    /// How many bytes of the newest batches change feeds find in memory.
    #[must_use]
    pub const fn recent_max_bytes(mut self, bytes: usize) -> Self {
        self.recent_max_bytes = bytes;
        self
    }

    /// How often to look for commits of other processes where the notification is lost.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Where the history of a new file begins.
    #[must_use]
    pub const fn opening(mut self, revision: Revision) -> Self {
        self.opening = Some(revision);
        self
    }

    /// The path of a file beside the database.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

/// When a commit is answered, and so what it survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SqliteDurability {
    /// When the disk has it (`synchronous = FULL`): it survives a power cut, if the disk keeps what it acknowledged.
    #[default]
    PowerLoss,
    /// When the operating system has it (`synchronous = NORMAL`): it survives the end of the process. A power cut may
    /// take the newest commits; that is noticed when the file is opened, and fenced.
    ProcessCrash,
}

impl SqliteDurability {
    /// The `synchronous` setting.
    pub(crate) const fn synchronous(self) -> &'static str {
        match self {
            Self::PowerLoss => "FULL",
            Self::ProcessCrash => "NORMAL",
        }
    }
}

impl From<SqliteDurability> for Durability {
    fn from(durability: SqliteDurability) -> Self {
        match durability {
            SqliteDurability::PowerLoss => Self::PowerLoss,
            SqliteDurability::ProcessCrash => Self::ProcessCrash,
        }
    }
}

impl fmt::Display for SqliteDurability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Durability::from(*self).fmt(f)
    }
}
