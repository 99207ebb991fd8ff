//! [`AuditConfig`]: where the audit log goes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use roa_core::{HumanDuration, Violations};
use serde::{Deserialize, Serialize};

/// `[server.audit]`: where the audit log goes, and what happens when the disk is slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct AuditConfig {
    /// The file that lines are appended to, `-` for the standard output; without it there is no audit log.
    pub path: Option<PathBuf>,
    /// How many records may wait to be written.
    pub max_queued: NonZeroUsize,
    /// How long a request waits for a place among them; after that its record is dropped and counted.
    pub wait: HumanDuration,
    /// Whether the file is synced after each group of records that is written. Without it a record survives the end of the
    /// process, but not a power cut right after it.
    pub sync: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        let max_queued = NonZeroUsize::new(4096).unwrap_or(NonZeroUsize::MIN);
        Self { path: None, max_queued, wait: HumanDuration(Duration::from_secs(1)), sync: false }
    }
}

impl AuditConfig {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let named = self.path.as_ref().is_none_or(|path| !path.as_os_str().is_empty());
        let mut found = Violations::unless(named, "path", "is empty, expected a file, or - for the standard output");
        let bounded = self.max_queued.get() <= 1_000_000;
        found.merge(Violations::unless(bounded, "max_queued", "expected at most 1000000"));
        let short = self.wait.0 <= Duration::from_secs(30);
        found.merge(Violations::unless(short, "wait", "expected at most 30s: requests wait so long"));
        found
    }
}
