//! [`OpenError`]: why a store is not opened. [`RedisStoreError`]: why a request is refused, before it is put in the terms
//! of the contract.

use roa_core::{CommitError, Error, Revision, StoreId, TailEnd, TxnId, Violations};
use thiserror::Error;

/// Why a store is not opened. The server is left as it was. No message holds a password.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The configuration names nothing that could be reached.
    #[error("open a Redis store: {key}: {reason}")]
    Config {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection, or it was refused.
    #[error("open the store at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The server does not promise what a store needs.
    #[error("open the store at {address}: {found}, expected {expected}; hint: {hint}")]
    Unsuitable {
        /// Where.
        address: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// The user lacks a right.
    #[error(
        "open the store at {address}: {reason}; hint: the user needs `~{keys} +@connection +@scripting +@hash +@sortedset +@stream +@keyspace +info +wait`"
    )]
    NotPermitted {
        /// Where.
        address: String,
        /// What the server said.
        reason: String,
        /// Which keys.
        keys: String,
    },
    /// Its keys are another program's.
    #[error("open the store at {address}: {key} is no store of roa: {found}; hint: choose another name for the store")]
    Foreign {
        /// Where.
        address: String,
        /// Which key.
        key: String,
        /// What it is instead.
        found: String,
    },
    /// There is no store, and none is to be made.
    #[error(
        "open the store at {address}: there is no {key}, expected a store; hint: check the name, `roa run` makes one"
    )]
    Missing {
        /// Where.
        address: String,
        /// Which key.
        key: String,
    },
    /// Written by a later version.
    #[error(
        "open the store at {address}: its schema is version {found}, expected at most {supported}; hint: use the newer roa that wrote it"
    )]
    Newer {
        /// Where.
        address: String,
        /// Its version.
        found: u64,
        /// The newest version that this program knows.
        supported: u64,
    },
    /// What is stored contradicts itself.
    #[error("open the store at {address}: it is damaged: {reason}")]
    Damaged {
        /// Where.
        address: String,
        /// What was found.
        reason: String,
    },
}

impl OpenError {
    pub(crate) fn config(key: &'static str, reason: impl Into<String>) -> Self {
        Self::Config { key, reason: reason.into() }
    }

    /// Why a request that belongs to opening was refused.
    pub(crate) fn from_store(address: &str, key: &str, error: RedisStoreError) -> Self {
        let address = address.to_owned();
        match error {
            RedisStoreError::Foreign(found) => Self::Foreign { address, key: key.to_owned(), found },
            RedisStoreError::Missing => Self::Missing { address, key: key.to_owned() },
            RedisStoreError::NotPermitted(reason) => {
                Self::NotPermitted { address, reason, keys: key.replace(":meta", ":*") }
            }
            RedisStoreError::Corrupt(reason) => Self::Damaged { address, reason },
            other => Self::Unreachable { address, reason: other.to_string() },
        }
    }
}

/// Why a request is refused. Outcomes of transactions are [`CommitError`]s from the start.
#[derive(Debug, Clone, Error)]
pub(crate) enum RedisStoreError {
    #[error("the Redis store was closed")]
    Closed,
    #[error("the log begins after {floor}, the head is {head}")]
    Expired { floor: Revision, head: Revision },
    #[error("revision {requested} has not been reached, the head is {head}")]
    TooLarge { requested: Revision, head: Revision },
    #[error("expected the latest, an exact or a least revision")]
    UnknownAt,
    /// The connection, or a server that can't answer now. What was sent may have been done.
    #[error("{0}")]
    Connection(String),
    /// The server refused. Nothing was done.
    #[error("{0}")]
    Refused(String),
    /// An error of which it is not known what was done before.
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    NotPermitted(String),
    #[error("it is no store of roa: {0}")]
    Foreign(String),
    #[error("there is no store")]
    Missing,
    #[error("redis holds store {found} now, expected {expected}; hint: look at what stands behind the address")]
    OtherStore { expected: StoreId, found: StoreId },
    #[error("the history of the store is broken: {0}")]
    Broken(String),
    #[error("{0}")]
    Corrupt(String),
    #[error("redis answered what was not asked for: {0}")]
    Protocol(String),
}

impl RedisStoreError {
    /// A stored value that can't be read.
    pub(crate) fn corrupt(what: &str, why: &impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {why}"))
    }

    /// Whether the connection is to be given up.
    pub(crate) const fn disconnects(&self) -> bool {
        matches!(self, Self::Connection(_) | Self::Protocol(_))
    }

    /// The answer to a transaction that certainly changed nothing.
    pub(crate) fn refused(&self) -> CommitError {
        CommitError::Unavailable { reason: self.to_string().into() }
    }

    /// The answer to a transaction that was sent.
    pub(crate) fn after_sending(&self, txn: TxnId) -> CommitError {
        match self {
            // A right can be missing in the midst of a script.
            Self::Connection(_) | Self::Protocol(_) | Self::Failed(_) | Self::NotPermitted(_) => {
                CommitError::Ambiguous { txn, reason: self.to_string().into() }
            }
            refused => refused.refused(),
        }
    }
}

/// Codes with which a server refuses before it does anything. A script writes with `XADD` first: what fails for want of
/// memory or replicas fails there.
const REFUSALS: [&str; 16] = [
    "OOM",
    "MISCONF",
    "READONLY",
    "NOREPLICAS",
    "LOADING",
    "MASTERDOWN",
    "BUSY",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "NOSCRIPT",
    "NOAUTH",
    "WRONGPASS",
    "DENIED",
];
/// Codes after which another server is to be looked for.
const ELSEWHERE: [&str; 7] = ["READONLY", "LOADING", "MASTERDOWN", "MOVED", "ASK", "CLUSTERDOWN", "NOAUTH"];

impl RedisStoreError {
    /// Whether the server that answers is the wrong one.
    pub(crate) fn is_elsewhere(&self) -> bool {
        match self {
            Self::Refused(reason) => ELSEWHERE.iter().any(|code| reason.starts_with(code)),
            _ => false,
        }
    }

    /// Whether the server does not know the script.
    pub(crate) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Refused(reason) if reason.starts_with("NOSCRIPT"))
    }
}

impl From<redis::RedisError> for RedisStoreError {
    fn from(error: redis::RedisError) -> Self {
        if error.is_io_error() || error.is_unrecoverable_error() && error.code().is_none() {
            let reason = if error.is_timeout() { "redis did not answer in time".to_owned() } else { error.to_string() };
            return Self::Connection(reason);
        }
        let detail = error.detail().unwrap_or_default();
        // An error inside a script is reported as the script's, with the code of the command at the begin.
        let code = error.code().unwrap_or("ERR");
        let said = if detail.is_empty() { error.to_string() } else { format!("{code} {detail}") };
        let found = REFUSALS.iter().find(|refusal| code == **refusal || detail.starts_with(**refusal));
        match found {
            Some(refusal) if code != *refusal => Self::Refused(detail.to_owned()),
            Some(_) => Self::Refused(said),
            None if is_permission(code, &said) => Self::NotPermitted(said),
            None if code == "WRONGTYPE" || detail.contains("WRONGTYPE") => {
                Self::Foreign("it holds a value of another type".to_owned())
            }
            None if said.contains("equal or smaller than the target stream top item") => {
                Self::Broken("the log is ahead of the head".to_owned())
            }
            None => Self::Failed(said),
        }
    }
}

/// What servers say of a missing right, by themselves and from within a script, in versions 6.2 to 8.
fn is_permission(code: &str, said: &str) -> bool {
    code == "NOPERM"
        || ["NOPERM", "ACL failure", "The user executing the script can't"].iter().any(|part| said.contains(part))
}

impl From<crate::codec::CodecError> for RedisStoreError {
    fn from(error: crate::codec::CodecError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<RedisStoreError> for Error {
    fn from(error: RedisStoreError) -> Self {
        match error {
            RedisStoreError::Expired { floor, head } => Self::Expired { floor, head },
            RedisStoreError::TooLarge { requested, head } => Self::TooLarge { requested, head },
            RedisStoreError::UnknownAt => Self::invalid("list request", Violations::one("at", error.to_string())),
            RedisStoreError::Corrupt(reason) => Self::corrupt(reason),
            other => Self::unavailable(other.to_string()),
        }
    }
}

impl From<RedisStoreError> for TailEnd {
    fn from(error: RedisStoreError) -> Self {
        match error {
            RedisStoreError::Closed => Self::Closed,
            RedisStoreError::Expired { floor, head } => Self::Expired { floor, head },
            other => Self::Failed(Error::from(other).into()),
        }
    }
}
