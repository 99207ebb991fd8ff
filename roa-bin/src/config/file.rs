//! The configuration file: read, parsed, and each value with its line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, TableLike, TomlError, Value};

use super::keys::is_table;
use super::problem::Problem;
use super::setting::{Raw, Setting, Source};

/// The file that is read where none is named, if it is there.
pub(crate) const DEFAULT_FILE: &str = "roa.toml";
/// Bytes of the largest configuration file.
const MAX_BYTES: usize = 1 << 20;

/// Which file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// This one, which must be there.
    Named(PathBuf),
    /// This one, if it is there.
    IfPresent(PathBuf),
}

impl ConfigFile {
    /// The file somebody named, else [`DEFAULT_FILE`] if it is there.
    pub(crate) fn named_or_default(named: Option<PathBuf>) -> Self {
        named.map_or_else(|| Self::IfPresent(DEFAULT_FILE.into()), Self::Named)
    }

    /// Its settings in the order of their lines; none for a file that needn't be there and isn't.
    ///
    /// # Errors
    /// The file can't be read, or isn't TOML.
    pub(super) fn read(&self) -> Result<Vec<Setting>, Problem> {
        let (Self::Named(path) | Self::IfPresent(path)) = self;
        match read_text(path) {
            Ok(text) => parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound && matches!(self, Self::IfPresent(_)) => {
                Ok(Vec::new())
            }
            Err(error) => Err(unreadable(path, &error)),
        }
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    File::open(path)?.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let reason = if missing { "no such file".to_owned() } else { format!("failed to read it: {error}") };
    let hint = missing.then(|| "create it, or leave --config and ROA_CONFIG away to run on defaults".to_owned());
    Problem::with_source(Source::File { path: path.to_owned(), line: None }, reason).hint(hint)
}

/// The settings in `text`.
fn parse(path: &Path, text: &str) -> Result<Vec<Setting>, Problem> {
    let document = Document::parse(text).map_err(|error| broken(path, text, &error))?;
    let mut settings = Vec::new();
    collect(document.as_table(), "", &mut |key, raw, offset| {
        let line = offset.map(|offset| position(text, offset).0);
        settings.push(Setting { path: key, raw, source: Source::File { path: path.to_owned(), line } });
    });
    settings.sort_by_key(|setting| match setting.source {
        Source::File { line, .. } => line,
        _ => None,
    });
    Ok(settings)
}

fn broken(path: &Path, text: &str, error: &TomlError) -> Problem {
    let place = error.span().map(|span| position(text, span.start));
    let column = place.map(|(_, column)| format!(" in column {column}")).unwrap_or_default();
    let source = Source::File { path: path.to_owned(), line: place.map(|(line, _)| line) };
    Problem::with_source(source, format!("not valid TOML{column}: {}", error.message().trim_end().replace('\n', ", ")))
}

/// The line and the column of a byte, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Calls `found` with the path, the value and the offset of each key below `table`. What stands where a table of ours
/// should be, and tables that aren't ours, are found as they are.
fn collect(table: &dyn TableLike, prefix: &str, found: &mut dyn FnMut(String, Raw, Option<usize>)) {
    for (name, item) in table.iter() {
        let path = join(prefix, name);
        match item.as_table_like().filter(|_| is_table(&path)) {
            Some(table) => collect(table, &path, found),
            None => {
                let offset = table.key(name).and_then(toml_edit::Key::span).map(|span| span.start);
                found(path, raw(item), offset);
            }
        }
    }
}

fn join(prefix: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if prefix.is_empty() { name } else { format!("{prefix}.{name}") }
}

fn raw(item: &Item) -> Raw {
    match item {
        Item::Value(Value::String(text)) => Raw::Text(text.value().clone()),
        Item::Value(Value::Integer(number)) => Raw::Integer(*number.value()),
        Item::Value(Value::Float(number)) => Raw::Float(*number.value()),
        Item::Value(Value::Boolean(on)) => Raw::Switch(*on.value()),
        Item::Value(Value::Datetime(_)) => Raw::Datetime,
        Item::Value(Value::Array(_)) | Item::ArrayOfTables(_) => Raw::Array,
        Item::Value(Value::InlineTable(_)) | Item::Table(_) | Item::None => Raw::Table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Vec<(String, Raw, String)> {
        let settings = parse(Path::new("roa.toml"), text).unwrap();
        settings.into_iter().map(|setting| (setting.path, setting.raw, setting.source.to_string())).collect()
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    fn at(path: &str, raw: Raw, line: usize) -> (String, Raw, String) {
        (path.into(), raw, format!("roa.toml:{line}"))
    }

    #[test]
    fn each_value_has_its_line_however_the_table_is_written() {
        let file = "data_dir = 'd'\nlab.components.watcher = false\n\n[store]\n# which\nbackend = \"memory\"\n\n\
                    [store.memory]\nlog_max_batches = 7\n\n[lab.worker]\ncpu = \"8\"\n[time]\nscale = 2.5\n";
        let expected = [
            at("data_dir", text("d"), 1),
            at("lab.components.watcher", Raw::Switch(false), 2),
            at("store.backend", text("memory"), 6),
            at("store.memory.log_max_batches", Raw::Integer(7), 9),
            at("lab.worker.cpu", text("8"), 12),
            at("time.scale", Raw::Float(2.5), 14),
        ];
        assert_eq!(settings(file), expected);
        let inline = "[lab]\nprofile = 'default'\nworker = { cpu = \"8\" }\n";
        assert_eq!(settings(inline), [at("lab.profile", text("default"), 2), at("lab.worker.cpu", text("8"), 3)]);
    }

    #[test]
    fn strangers_are_found_as_they_are() {
        let found = settings("store = 5\n\"store.backend\" = 1\n[kitchen.sink]\nx = 1\n[[lab]]\ny = 2\n[data_dir]\n");
        let expected = vec![
            at("store", Raw::Integer(5), 1),
            at("\"store.backend\"", Raw::Integer(1), 2),
            at("kitchen", Raw::Table, 3),
            at("lab", Raw::Array, 5),
            at("data_dir", Raw::Table, 7),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn broken_toml_is_refused_with_line_and_column() {
        for (text, place) in [
            ("data_dir = 'd'\n[store\n", "roa.toml:2: not valid TOML in column"),
            ("data_dir = \n", "roa.toml:1: not valid TOML in column"),
            ("a = 1\nb = 2\na = 3\n", "roa.toml:3: not valid TOML in column 1: duplicate key"),
            ("ä = 'x' y", "roa.toml:1: not valid TOML in column"),
        ] {
            let problem = parse(Path::new("roa.toml"), text).unwrap_err().to_string();
            assert!(problem.starts_with(place), "{problem}");
            assert!(!problem.contains('\n'), "{problem}");
        }
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        for (offset, expected) in [(0, (1, 1)), (3, (1, 3)), (4, (2, 1)), (5, (2, 2)), (99, (2, 2))] {
            assert_eq!(position("äb\nc", offset), expected, "{offset}");
        }
    }

    #[test]
    fn only_a_named_file_must_be_there() {
        let missing = PathBuf::from("no/such/roa.toml");
        assert_eq!(ConfigFile::IfPresent(missing.clone()).read().unwrap(), []);
        let problem = ConfigFile::Named(missing).read().unwrap_err();
        assert_eq!(problem.to_string(), "no/such/roa.toml: no such file");
        assert!(problem.hint.unwrap().contains("--config"));
    }

    #[test]
    fn a_file_that_cannot_be_text_or_is_too_large_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("roa.toml");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(ConfigFile::Named(path.clone()).read().unwrap_err().reason.contains("UTF-8"));
        std::fs::write(&path, "#".repeat(MAX_BYTES + 1)).unwrap();
        assert!(ConfigFile::Named(path).read().unwrap_err().reason.contains("larger than 1048576 bytes"));
        let directory = ConfigFile::IfPresent(dir.path().to_owned()).read().unwrap_err();
        assert!(directory.reason.starts_with("failed to read it"), "{directory}");
    }
}
