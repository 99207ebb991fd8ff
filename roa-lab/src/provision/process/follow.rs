//! [`step`]: one step of following a lab's log, whose file becomes the older one when it is full, and is set aside when the
//! lab is brought up again.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::LabDirectory;
use super::logs::open;

/// How much one step reads at most.
const PIECE: usize = 64 << 10;
const SKIPPED: &[u8] = b"\n[some output was written and forgotten faster than it was read]\n";

/// A place in one of the files that a log consists of.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursor {
    /// `None` while there is none.
    file: Option<Arc<File>>,
    offset: u64,
}

/// How far a step led.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Output(Vec<u8>),
    /// To another file.
    Moved,
    /// There is nothing to read now.
    Waiting,
    /// The lab is gone, and all was read.
    Gone,
}

impl Cursor {
    /// At the begin of that file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?.map(Arc::new), offset: 0 })
    }

    /// Whether that is the file.
    pub(super) fn is_at(&self, other: &File) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let (this, other) = (file.metadata()?, other.metadata()?);
        Ok((this.dev(), this.ino()) == (other.dev(), other.ino()))
    }

    /// All from here on that there is, and the place after it.
    pub(super) fn read_to_end(mut self) -> io::Result<(Vec<u8>, Self)> {
        let mut output = Vec::new();
        loop {
            let piece = self.read()?;
            if piece.is_empty() {
                return Ok((output, self));
            }
            output.extend(piece);
        }
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let Some(file) = &self.file else { return Ok(Vec::new()) };
        let mut piece = vec![0; PIECE];
        let length = file.read_at(&mut piece, self.offset)?;
        piece.truncate(length);
        self.offset += length as u64;
        Ok(piece)
    }
}

/// Reads on, or moves on to the next file.
pub(super) fn step(directory: &LabDirectory, mut cursor: Cursor) -> io::Result<(Cursor, Step)> {
    let [newer, _] = directory.logs();
    // Before reading: what is written to a file after it was replaced, nobody writes.
    let is_there = directory.exists();
    let current = open(&newer)?;
    let output = cursor.read()?;
    if !output.is_empty() {
        return Ok((cursor, Step::Output(output)));
    }
    match current {
        None if !is_there => Ok((cursor, Step::Gone)),
        None => Ok((cursor, Step::Waiting)),
        Some(current) if cursor.is_at(&current)? => Ok((cursor, Step::Waiting)),
        Some(current) => successor(directory, &cursor, current),
    }
}

/// The file that comes after the one that was read.
fn successor(directory: &LabDirectory, cursor: &Cursor, current: File) -> io::Result<(Cursor, Step)> {
    let ([_, older], [previous, _]) = (directory.logs(), directory.previous_logs());
    let older = open(&older)?;
    let is_older = older.as_ref().map_or(Ok(false), |older| cursor.is_at(older))?;
    let is_previous = open(&previous)?.as_ref().map_or(Ok(false), |previous| cursor.is_at(previous))?;
    let at = |file: File| Cursor { file: Some(Arc::new(file)), offset: 0 };
    if cursor.file.is_none() || is_older {
        return Ok((at(current), Step::Moved));
    }
    let next = at(older.unwrap_or(current));
    Ok((next, if is_previous { Step::Moved } else { Step::Output(SKIPPED.to_vec()) }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Log {
        _parent: tempfile::TempDir,
        directory: LabDirectory,
        cursor: Cursor,
    }

    impl Log {
        fn new() -> Self {
            let parent = tempfile::tempdir().unwrap();
            let directory = LabDirectory::new(parent.path().join("lab"));
            directory.create().unwrap();
            Self { _parent: parent, directory, cursor: Cursor::default() }
        }

        fn write(&self, text: &str) {
            use std::io::Write;
            let file = fs::OpenOptions::new().append(true).create(true).open(&self.directory.logs()[0]);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            let [newer, older] = self.directory.logs();
            fs::rename(newer, older).unwrap();
        }

        /// All that can be read now, and whether the end was reached.
        fn read(&mut self) -> (String, bool) {
            let mut output = Vec::new();
            loop {
                let (cursor, step) = step(&self.directory, self.cursor.clone()).unwrap();
                self.cursor = cursor;
                match step {
                    Step::Output(piece) => output.extend(piece),
                    Step::Moved => {}
                    end => return (String::from_utf8(output).unwrap(), end == Step::Gone),
                }
            }
        }
    }

    #[test]
    fn a_log_is_followed_from_before_it_is_there_until_its_lab_is_gone() {
        let mut log = Log::new();
        assert_eq!(log.read(), (String::new(), false));
        log.write("one ");
        assert_eq!(log.read().0, "one ");
        log.write("two ");
        log.write("three");
        assert_eq!(log.read(), ("two three".to_owned(), false));
        log.write(" last words");
        // The name goes first, then the file.
        fs::rename(log.directory.path(), log.directory.path().with_extension("gone")).unwrap();
        assert_eq!(log.read(), (" last words".to_owned(), true));
    }

    #[test]
    fn nothing_is_lost_or_repeated_when_it_is_rotated() {
        let mut log = Log::new();
        log.write("a");
        assert_eq!(log.read().0, "a");
        log.write("b");
        log.rotate();
        assert_eq!(log.read().0, "b", "also when the new file is not there yet");
        log.write("c");
        assert_eq!(log.read().0, "c");
        log.write("d");
        log.rotate();
        log.write("e");
        assert_eq!(log.read().0, "de");
    }

    #[test]
    fn what_was_forgotten_before_it_was_read_is_told() {
        let mut log = Log::new();
        log.write("a");
        log.read();
        for text in ["b", "c", "d"] {
            log.rotate();
            log.write(text);
        }
        assert_eq!(log.read().0, format!("{}cd", String::from_utf8_lossy(SKIPPED)));
    }

    #[test]
    fn a_run_that_follows_is_followed() {
        let mut log = Log::new();
        log.write("first ");
        log.read();
        log.write("run ");
        log.directory.set_output_aside().unwrap();
        log.write("second run");
        assert_eq!(log.read().0, "run second run");
    }
}
