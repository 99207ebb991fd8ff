//! The files of the repository.

use std::fs;
use std::io;
use std::path::Path;

/// A text file.
pub(super) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    /// Its lines with their numbers, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Its name without its folders.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Every text file below `root`, sorted, without what `.gitignore` at the root names there. Links are not followed.
pub(super) fn walk(root: &Path) -> io::Result<Vec<SourceFile>> {
    let ignored = match fs::read_to_string(root.join(".gitignore")) {
        Ok(text) => text
            .lines()
            .filter_map(|line| line.strip_prefix('/'))
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let kind = entry.file_type()?;
            if path == ".git" || ignored.contains(&path) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(fs::read(entry.path())?)
            {
                files.push(SourceFile { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_sees_hidden_files_and_leaves_out_what_is_ignored_at_the_root() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let paths: Vec<_> = walk(&root).unwrap().into_iter().map(|file| file.path).collect();
        for path in [".ci/run", ".cargo/config.toml", "Cargo.toml", "xtask/src/tidy/files.rs"] {
            assert!(paths.iter().any(|seen| seen == path), "{path}");
        }
        assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
        assert!(paths.is_sorted());
    }
}
