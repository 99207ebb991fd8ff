//! [`Calls`]: what the members' logs say of who called a controller for which lab, under which ownership.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;

/// The calls of all members.
#[derive(Default)]
pub(crate) struct Calls {
    /// By key and the revision of the ownership: which member.
    owners: HashMap<(String, u64), String>,
    keys: std::collections::HashSet<String>,
    count: u64,
}

impl Calls {
    /// Reads all logs in a directory, and checks that under one ownership one member alone handled a key.
    pub(crate) fn check(directory: &Path) -> anyhow::Result<Self> {
        let mut calls = Self::default();
        for entry in std::fs::read_dir(directory).context("failed to find the logs")? {
            let path = entry.context("failed to find the logs")?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let member = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let text =
                    std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
                text.lines().filter_map(call).try_for_each(|call| calls.take(&member, call))?;
            }
        }
        ensure!(calls.count > 0, "the logs show no calls at all");
        Ok(calls)
    }

    fn take(&mut self, member: &str, (key, since): (String, u64)) -> anyhow::Result<()> {
        self.count += 1;
        self.keys.insert(key.clone());
        let owner = self.owners.entry((key, since)).or_insert_with(|| member.to_owned());
        ensure!(owner == member, "under the ownership of revision {since}, {owner} and {member} handled the same key");
        Ok(())
    }
}

/// The key and the ownership of a line that says that a call begins.
fn call(line: &str) -> Option<(String, u64)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    (fields.get("message")? == "call begins").then_some(())?;
    Some((fields.get("key")?.as_str()?.to_owned(), fields.get("since")?.as_u64()?))
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, keys, terms) = (self.count, self.keys.len(), self.owners.len());
        write!(f, "{count} calls for {keys} keys in {terms} terms of theirs, none of two members under one ownership")
    }
}
