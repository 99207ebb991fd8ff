//! [`load`]: manifests from files, directories and stdin.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::parse::{Format, parse};
use super::{Broken, Flaw, Manifest};

/// Bytes of the largest file.
const MAX_FILE_BYTES: u64 = 3 << 20;
/// Bytes of all files together.
const MAX_TOTAL_BYTES: u64 = 64 << 20;

/// The manifests in `paths`, in that order: files, directories (their `*.yaml`, `*.yml` and `*.json`, sorted, hidden ones
/// left out, no deeper directories), and `-` for `stdin`. Reads them now; blocks that long.
///
/// # Errors
/// Everything that is wrong with any of them; then none is to be used.
pub(crate) fn load(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Vec<Manifest>, Broken> {
    let mut loader = Loader { left: MAX_TOTAL_BYTES, manifests: Vec::new(), flaws: Vec::new() };
    for path in paths {
        loader.load(path, stdin);
    }
    if loader.flaws.is_empty() { Ok(loader.manifests) } else { Err(Broken(loader.flaws)) }
}

struct Loader {
    /// Bytes that may still be read.
    left: u64,
    manifests: Vec<Manifest>,
    flaws: Vec<Flaw>,
}

impl Loader {
    fn load(&mut self, path: &Path, stdin: &mut dyn Read) {
        let before = (self.manifests.len(), self.flaws.len());
        if path == Path::new("-") {
            self.add("stdin", None, stdin);
        } else if path.is_dir() {
            self.load_directory(path);
        } else {
            self.load_file(path);
        }
        if before == (self.manifests.len(), self.flaws.len()) {
            self.refuse(&path.display().to_string(), "it holds no manifest");
        }
    }

    fn load_directory(&mut self, directory: &Path) {
        match manifest_files(directory) {
            Ok(files) => files.iter().for_each(|file| self.load_file(file)),
            Err(error) => self.refuse(&directory.display().to_string(), &format!("failed to list it: {error}")),
        }
    }

    fn load_file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(mut file) => self.add(&name, format_of(path), &mut file),
            Err(error) => self.refuse(&name, &format!("failed to open it: {error}")),
        }
    }

    /// Adds what `input` holds; its format is guessed where no name tells it.
    fn add(&mut self, source: &str, format: Option<Format>, input: &mut dyn Read) {
        let text = match self.read(input) {
            Ok(text) => text,
            Err(error) => return self.refuse(source, &format!("failed to read it: {error}")),
        };
        match parse(source, format.unwrap_or_else(|| Format::guess(&text)), &text) {
            Ok(manifests) => self.manifests.extend(manifests),
            Err(flaws) => self.flaws.extend(flaws),
        }
    }

    fn read(&mut self, input: &mut dyn Read) -> io::Result<String> {
        let limit = MAX_FILE_BYTES.min(self.left);
        let mut text = String::new();
        let read = input.take(limit + 1).read_to_string(&mut text)?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        if read > limit {
            let whose = if limit == MAX_FILE_BYTES { "it is" } else { "all files together are" };
            let most = if limit == MAX_FILE_BYTES { MAX_FILE_BYTES } else { MAX_TOTAL_BYTES };
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{whose} larger than {most} bytes")));
        }
        self.left -= read;
        Ok(text)
    }

    fn refuse(&mut self, source: &str, reason: &str) {
        self.flaws.push(Flaw { source: source.to_owned(), line: None, reason: reason.to_owned() });
    }
}

fn manifest_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && format_of(&path).is_some() && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension().and_then(OsStr::to_str) {
        Some("yaml" | "yml") => Some(Format::Yaml),
        Some("json") => Some(Format::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    fn manifest(kind: &str) -> String {
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"{kind}\"}}")
    }

    fn sources(loaded: Result<Vec<Manifest>, Broken>, directory: &TempDir) -> Vec<String> {
        let prefix = format!("{}/", directory.path().display());
        loaded.unwrap().iter().map(|manifest| manifest.source.replace(&prefix, "")).collect()
    }

    fn flaws(loaded: Result<Vec<Manifest>, Broken>, directory: &TempDir) -> Vec<String> {
        let prefix = format!("{}/", directory.path().display());
        loaded.unwrap_err().0.iter().map(|flaw| flaw.to_string().replace(&prefix, "")).collect()
    }

    #[test]
    fn a_directory_is_its_manifests_sorted_and_nothing_else() {
        let one = manifest("A");
        let directory = directory(&[
            ("b.yaml", one.as_str()),
            ("a.json", &one),
            ("c.yml", &one),
            (".hidden.yaml", "x"),
            ("README.md", "x"),
            ("deeper/d.yaml", "x"),
            ("empty.yaml", "# nothing yet\n"),
        ]);
        let loaded = load(&[directory.path().to_owned()], &mut io::empty());
        assert_eq!(sources(loaded, &directory), ["a.json#1", "b.yaml#1", "c.yml#1"]);
    }

    #[test]
    fn arguments_keep_their_order_and_stdin_is_a_dash() {
        let directory = directory(&[("z.yaml", &manifest("Z")), ("a", &manifest("A"))]);
        let paths = [directory.path().join("z.yaml"), "-".into(), directory.path().join("a")];
        let mut stdin = io::Cursor::new("apiVersion: v1\nkind: S\n---\napiVersion: v1\nkind: S\n");
        assert_eq!(sources(load(&paths, &mut stdin), &directory), ["z.yaml#1", "stdin#1", "stdin#2", "a#1"]);
    }

    #[test]
    fn every_flaw_of_every_file_is_named_and_nothing_is_loaded() {
        let directory =
            directory(&[("a.yaml", "a: [\n"), ("b.json", "{"), ("c.yaml", &manifest("C")), ("d.yaml", "# none\n")]);
        let paths =
            [directory.path().to_owned(), directory.path().join("missing.yaml"), directory.path().join("d.yaml")];
        let found = flaws(load(&paths, &mut io::empty()), &directory);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("a.yaml#1: line "), "{found:#?}");
        assert!(found[1].starts_with("b.json#1: line 1: EOF"), "{found:#?}");
        assert!(found[2].starts_with("missing.yaml: failed to open it: "), "{found:#?}");
        assert_eq!(found[3], "d.yaml: it holds no manifest");
    }

    #[test]
    fn t4_a_file_that_is_too_large_is_refused_before_it_is_parsed() {
        let directory = directory(&[]);
        let mut endless = io::repeat(b'#');
        let found = flaws(load(&["-".into()], &mut endless), &directory);
        assert_eq!(found, ["stdin: failed to read it: it is larger than 3145728 bytes"]);
    }

    #[test]
    fn all_files_together_are_limited_too() {
        let mut loader = Loader { left: 10, manifests: vec![], flaws: vec![] };
        assert!(loader.read(&mut io::Cursor::new("123456")).is_ok());
        let error = loader.read(&mut io::Cursor::new("12345")).unwrap_err();
        assert_eq!(error.to_string(), "all files together are larger than 67108864 bytes");
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        let directory = directory(&[]);
        let found = flaws(load(&["-".into()], &mut io::Cursor::new([0xff, 0xfe, 0x00])), &directory);
        assert!(found[0].contains("UTF-8"), "{found:?}");
    }
}
