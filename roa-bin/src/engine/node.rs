//! The id of this machine, among those that share a store: labs' processes belong to one node.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::Context as _;
use roa_core::{RandomExt, SystemRandom};

/// The id in the data directory; made at the first start and kept.
///
/// # Errors
/// The file can't be read or written, or has something else in it.
pub(super) fn id(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("node-id");
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).with_context(|| format!("failed to read the node id in {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => make(data_dir, &path),
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

fn parse(text: &str) -> anyhow::Result<String> {
    let id = text.trim();
    let proper = id.len() == 36 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    anyhow::ensure!(proper, "found {:?}, expected a uuid", id.chars().take(40).collect::<String>());
    Ok(id.to_owned())
}

/// Written beside and renamed, so that it is there whole or not at all.
fn make(data_dir: &Path, path: &Path) -> anyhow::Result<String> {
    let id = SystemRandom.uuid().to_string();
    let failed = || format!("failed to write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(data_dir).with_context(failed)?;
    writeln!(file, "{id}").and_then(|()| file.as_file().sync_all()).with_context(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(id),
        // Another process was first.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            parse(&std::fs::read_to_string(path).with_context(failed)?)
        }
        Err(error) => Err(error.error).with_context(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = id(dir.path()).unwrap();
        assert_eq!(id(dir.path()).unwrap(), first);
    }

    #[test]
    fn a_file_with_something_else_in_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("node-id"), "../etc").unwrap();
        let message = format!("{:#}", id(dir.path()).unwrap_err());
        assert!(message.contains("expected a uuid"), "{message}");
    }
}
