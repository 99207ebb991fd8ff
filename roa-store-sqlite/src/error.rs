//! [`OpenError`]: why a file is not opened. [`SqliteError`]: why a request is refused, before it is put in the terms of
//! the contract.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roa_core::{CommitError, Error, Revision, RevisionError, TailEnd, TxnId, Violations};
use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a file is not opened. It is left as it was.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another program's database, or no database.
    #[error("open {path}: it is no store of roa: {found}; expected a store, an empty file or none")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// Written by a later version.
    #[error(
        "open {path}: its schema is version {found}, expected at most {supported}; hint: use the newer roa that wrote it"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        supported: i64,
    },
    /// The SQLite library in this program can damage files that several connections use.
    #[error(
        "open a SQLite store: SQLite {version} can corrupt a database in WAL mode, expected 3.51.3 or later (or 3.50.7, 3.44.6); hint: build with the bundled SQLite"
    )]
    AffectedVersion {
        /// Which version.
        version: String,
    },
    /// On a disk of another machine, where locks can't be trusted.
    #[error(
        "open {path}: it lies on a network file system ({kind}), expected a local disk; hint: put the data directory on one"
    )]
    NetworkFileSystem {
        /// Which file.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// Its pages or its content contradict each other.
    #[error(
        "open {path}: it is damaged: {report}; hint: `roa store check` says more, `roa store restore` puts a backup in its place"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        report: String,
    },
    /// It could not be read or written.
    #[error("open {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// SQLite refused.
    #[error("open {path}: {reason}")]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source: Arc::new(source) }
    }

    /// Why the content of a file can't be used.
    pub(crate) fn unreadable(path: &Path, error: SqliteError) -> Self {
        match error {
            SqliteError::Corrupt(report) => Self::Damaged { path: path.to_owned(), report },
            SqliteError::NotADatabase => Self::Damaged { path: path.to_owned(), report: error.to_string() },
            other => Self::sqlite(path, &other),
        }
    }

    pub(crate) fn sqlite(path: impl Into<PathBuf>, error: &impl ToString) -> Self {
        Self::Sqlite { path: path.into(), reason: error.to_string() }
    }
}

/// Why a request is refused. Outcomes of transactions are [`CommitError`]s from the start.
#[derive(Debug, Clone, Error)]
pub(crate) enum SqliteError {
    #[error("the SQLite store was closed")]
    Closed,
    #[error("the log begins after {floor}, the head is {head}")]
    Expired { floor: Revision, head: Revision },
    #[error("revision {requested} has not been reached, the head is {head}")]
    TooLarge { requested: Revision, head: Revision },
    #[error("expected the latest, an exact or a least revision")]
    UnknownAt,
    #[error("another process kept the database locked for longer than the busy timeout")]
    Busy,
    #[error("a read took longer than its limit")]
    Interrupted,
    #[error("no space is left on the disk")]
    DiskFull,
    #[error(
        "the store has {bytes} bytes, expected less than {max}; hint: delete objects, compact it or raise max_bytes"
    )]
    Quota { bytes: u64, max: u64 },
    #[error("the file is not a database")]
    NotADatabase,
    #[error(
        "{path} was removed, or another file put in its place, while it was open; hint: stop all roa on it, then restore a backup"
    )]
    Replaced { path: PathBuf },
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    Failed(String),
}

impl SqliteError {
    /// A stored row that can't be read.
    pub(crate) fn row(what: &str, why: &impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {why}"))
    }

    /// The answer to a transaction that certainly changed nothing.
    pub(crate) fn refused(&self) -> CommitError {
        CommitError::Unavailable { reason: self.to_string().into() }
    }

    /// The answer to a transaction that may have been committed.
    pub(crate) fn unclear(&self, txn: TxnId) -> CommitError {
        CommitError::Ambiguous { txn, reason: self.to_string().into() }
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::OperationInterrupted) => Self::Interrupted,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<RevisionError> for SqliteError {
    fn from(error: RevisionError) -> Self {
        Self::row("revision", &error)
    }
}

impl From<io::Error> for SqliteError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SqliteError> for Error {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Expired { floor, head } => Self::Expired { floor, head },
            SqliteError::TooLarge { requested, head } => Self::TooLarge { requested, head },
            SqliteError::UnknownAt => Self::invalid("list request", Violations::one("at", error.to_string())),
            SqliteError::Corrupt(reason) => Self::corrupt(reason),
            SqliteError::NotADatabase => Self::corrupt(error.to_string()),
            other => Self::unavailable(other.to_string()),
        }
    }
}

impl From<SqliteError> for TailEnd {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Closed => Self::Closed,
            SqliteError::Expired { floor, head } => Self::Expired { floor, head },
            other => Self::Failed(Error::from(other).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(code: ErrorCode) -> SqliteError {
        let code = rusqlite::ffi::Error { code, extended_code: 0 };
        rusqlite::Error::SqliteFailure(code, None).into()
    }

    #[test]
    fn q4_q5_q6_q10_what_sqlite_says_is_put_in_the_terms_of_the_contract() {
        let reasons = [
            (ErrorCode::DatabaseBusy, "Unavailable"),
            (ErrorCode::DatabaseLocked, "Unavailable"),
            (ErrorCode::DiskFull, "Unavailable"),
            (ErrorCode::OperationInterrupted, "Unavailable"),
            (ErrorCode::ReadOnly, "Unavailable"),
            (ErrorCode::SystemIoFailure, "Unavailable"),
            (ErrorCode::DatabaseCorrupt, "Corrupt"),
            (ErrorCode::NotADatabase, "Corrupt"),
        ];
        for (code, reason) in reasons {
            assert_eq!(Error::from(sqlite(code)).reason(), reason, "{code:?}");
        }
        assert!(!sqlite(ErrorCode::DatabaseBusy).to_string().contains("is locked"), "it says who and how long");
    }

    #[test]
    fn w7_w9_a_feed_ends_with_the_reason_of_the_contract() {
        let revision = |number| Revision::new(number).unwrap();
        let expired = SqliteError::Expired { floor: revision(3), head: revision(9) };
        assert!(matches!(TailEnd::from(expired), TailEnd::Expired { floor, head } if floor < head));
        assert!(matches!(TailEnd::from(SqliteError::Closed), TailEnd::Closed));
        assert!(matches!(TailEnd::from(SqliteError::Busy), TailEnd::Failed(_)));
    }
}
