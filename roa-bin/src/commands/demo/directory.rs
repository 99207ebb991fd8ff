//! [`Directory`]: what the demo writes, and nothing else: a configuration and manifests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use roa_core::{Clock, Timestamp};
use roa_runtime::SystemClock;

/// The labs' templates, and four of the labs. Times are the labs' own: they pass faster.
const MANIFESTS: &str = include_str!("labs.yaml");
/// The configuration; `{…}` is filled in.
const CONFIGURATION: &str = include_str!("roa.toml");

/// Where the demo's files are.
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Writes all of it below `root`.
    pub(super) fn write(root: &Path, speed: u16) -> anyhow::Result<Self> {
        let this = Self { root: root.to_path_buf() };
        let manifests = this.manifests();
        std::fs::create_dir_all(&manifests).with_context(|| format!("failed to make {}", manifests.display()))?;
        let data_dir = toml_text(&root.join("data"))?;
        let configuration = CONFIGURATION.replace("{data_dir}", &data_dir).replace("{speed}", &speed.to_string());
        write(&this.config(), &configuration)?;
        write(&manifests.join("labs.yaml"), &MANIFESTS.replace("{later}", &later().to_string()))?;
        Ok(this)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("roa.toml")
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }
}

/// When the scheduled lab is to be ready: work on it starts up to five minutes before.
fn later() -> Timestamp {
    SystemClock::new().now().truncate_to_seconds().saturating_add(Duration::from_secs(390))
}

fn toml_text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().context("failed to write the demo's configuration: its directory's path is no text")?;
    Ok(text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
