//! [`ProvisionError`]: why a provisioner could not do or say something.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use roa_core::{CallOutcome, Violations};
use thiserror::Error;

use super::LabIdentity;

/// Why a provisioner failed. Never holds a value of a lab's environment.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// The lab or its template asks for what can't be.
    #[error("start lab {lab}: {violations}")]
    Invalid {
        /// Which lab.
        lab: LabIdentity,
        /// All that is wrong.
        violations: Violations,
    },
    /// A uid that can't name a directory.
    #[error("use uid {uid:?}: expected 1 to 63 letters, digits and '-'")]
    Uid {
        /// What was given.
        uid: String,
    },
    /// As many labs as there may be.
    #[error("start lab {lab}: all {limit} places are taken")]
    AtCapacity {
        /// Which lab.
        lab: LabIdentity,
        /// How many there may be.
        limit: usize,
    },
    /// Files or processes did not do as asked.
    #[error("{action} {}: {error}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It took too long. What was begun goes on; trying again finds it.
    #[error("{action} within {limit:?}")]
    Deadline {
        /// What was tried.
        action: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// It does as much at once as it may. Nothing was asked of it.
    #[error("{message}")]
    Busy {
        /// Who is busy.
        message: String,
        /// When to come again.
        after: Duration,
    },
    /// The program is ending.
    #[error("{action}: the runtime is shutting down")]
    ShuttingDown {
        /// What was tried.
        action: &'static str,
    },
    /// This system can't say which processes run.
    #[error("read /proc: {error}")]
    Unsupported {
        /// What the system says.
        error: io::Error,
    },
}

impl ProvisionError {
    /// A word for conditions and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid { .. } | Self::Uid { .. } => "Invalid",
            Self::AtCapacity { .. } => "AtCapacity",
            Self::Io { .. } => "SystemError",
            Self::Deadline { .. } => "DeadlineExceeded",
            Self::Busy { .. } => "ProvisionerBusy",
            Self::ShuttingDown { .. } => "ShuttingDown",
            Self::Unsupported { .. } => "Unsupported",
        }
    }

    /// Whether the same again can succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Invalid { .. } | Self::Uid { .. } | Self::Unsupported { .. })
    }

    /// What it says of the provisioner: that it failed, or nothing, where the lab or its number is what is wrong.
    pub(crate) const fn outcome(&self) -> CallOutcome {
        match self {
            Self::Io { .. } | Self::Deadline { .. } | Self::Unsupported { .. } => CallOutcome::Failed,
            Self::Invalid { .. }
            | Self::Uid { .. }
            | Self::AtCapacity { .. }
            | Self::Busy { .. }
            | Self::ShuttingDown { .. } => CallOutcome::Unknown,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::AtCapacity { .. } => Some("delete labs, or raise the maximum of labs"),
            Self::Unsupported { .. } => Some("labs that are processes need Linux; use another provisioner here"),
            _ => None,
        }
    }

    /// For `map_err`, where `action` was tried with `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { action, path: path.to_owned(), error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_retry_can_mend_is_permanent() {
        let io = ProvisionError::io("open", Path::new("/x"))(io::Error::from(io::ErrorKind::NotFound));
        assert!(io.is_retryable());
        assert!(io.to_string().starts_with("open /x: "), "{io}");
        let uid = ProvisionError::Uid { uid: "../x".into() };
        assert!(!uid.is_retryable());
        assert_eq!(uid.reason(), "Invalid");
        assert_eq!((io.outcome(), uid.outcome()), (CallOutcome::Failed, CallOutcome::Unknown));
    }
}
