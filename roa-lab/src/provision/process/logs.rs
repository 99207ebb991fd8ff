//! [`LabLogs`]: what labs that are processes wrote, from their directories alone; no provisioner is needed for it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Clock, ClockExt};
use thiserror::Error;
use tokio::task::spawn_blocking;

use super::LabDirectory;
use super::follow::{Cursor, Step, step};
use super::provisioner::is_uid;
use super::sight::intact;
use crate::provision::LabIdentity;

/// How often a log that is followed is looked at: no file system tells in every case.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a log may be rotated under a reader before that gives up.
const TRIES: usize = 10;

/// The output of labs that are processes, of one data directory.
///
/// ```no_run
/// use roa_lab::provision::{LabLogs, LogError};
/// # async fn example(uid: &str) -> Result<(), LogError> {
/// let logs = LabLogs::new("/var/lib/roa");
/// let last_lines = logs.read(uid, Some(10)).await?;
/// print!("{}", String::from_utf8_lossy(&last_lines));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LabLogs {
    labs: PathBuf,
}

/// Why there is no output to show.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// No lab with this uid has a directory here.
    #[error("there is no output of lab {uid} on this machine")]
    Absent {
        /// Which lab.
        uid: String,
    },
    /// It was brought up once only.
    #[error("there is no output of an earlier run of lab {uid}: it was brought up once only")]
    NoPrevious {
        /// Which lab.
        uid: String,
    },
    /// A file can't be read.
    #[error("read the output in {}: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl LabLogs {
    /// The output of the labs of a data directory, which need not exist.
    #[must_use]
    pub fn new(data_dir: impl AsRef<Path>) -> Self {
        Self { labs: data_dir.as_ref().join("labs") }
    }

    /// The labs of this name that have a directory here, the newest last. There can be several: one that is going, and
    /// one that was made after it.
    ///
    /// # Errors
    /// [`LogError::Io`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn find(&self, namespace: &str, name: &str) -> Result<Vec<LabIdentity>, LogError> {
        let (labs, namespace, name) = (self.labs.clone(), namespace.to_owned(), name.to_owned());
        blocking(self.labs.clone(), move || {
            let mut found = all(&labs)?;
            found.retain(|(_, lab)| lab.namespace == namespace && lab.name == name);
            found.sort_by_key(|(recorded, _)| *recorded);
            Ok(found.into_iter().map(|(_, lab)| lab).collect())
        })
        .await
    }

    /// What is kept of a lab's output, oldest first, without the values of its secret variables; of that the last `tail`
    /// lines, if so many are asked for.
    ///
    /// # Errors
    /// [`LogError::Absent`] and [`LogError::Io`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn read(&self, uid: &str, tail: Option<usize>) -> Result<Vec<u8>, LogError> {
        let directory = self.directory(uid)?;
        let (output, _) = blocking(directory.path().to_owned(), move || snapshot(&directory)).await?;
        Ok(last_lines(output, tail))
    }

    /// The same of the run before: of what was brought up, and ended before it was brought up again.
    ///
    /// # Errors
    /// [`LogError::NoPrevious`] too.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn read_previous(&self, uid: &str, tail: Option<usize>) -> Result<Vec<u8>, LogError> {
        let directory = self.directory(uid)?;
        let output = blocking(directory.path().to_owned(), move || directory.previous_output()).await?;
        output.map(|output| last_lines(output, tail)).ok_or_else(|| LogError::NoPrevious { uid: uid.to_owned() })
    }

    /// What [`read`](Self::read) gives and all that comes after it, until the lab is gone.
    ///
    /// # Errors
    /// [`LogError::Absent`] and [`LogError::Io`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn follow(&self, uid: &str, tail: Option<usize>, clock: Arc<dyn Clock>) -> Result<LogStream, LogError> {
        let directory = self.directory(uid)?;
        let (of, path) = (directory.clone(), directory.path().to_owned());
        let (output, cursor) = blocking(path, move || snapshot(&of)).await?;
        Ok(LogStream { directory, clock, cursor, first: Some(last_lines(output, tail)) })
    }

    fn directory(&self, uid: &str) -> Result<LabDirectory, LogError> {
        let directory = LabDirectory::new(self.labs.join(uid));
        if is_uid(uid) && directory.exists() { Ok(directory) } else { Err(LogError::Absent { uid: uid.to_owned() }) }
    }
}

/// A lab's output as it comes.
#[derive(Debug)]
pub struct LogStream {
    directory: LabDirectory,
    clock: Arc<dyn Clock>,
    cursor: Cursor,
    first: Option<Vec<u8>>,
}

impl LogStream {
    /// The next piece of output; `None` when the lab is gone and all was given. Goes on across the rotation of the log,
    /// and when the lab is brought up again. Where the log was rotated twice between two looks, a line says so.
    ///
    /// # Errors
    /// [`LogError::Io`].
    ///
    /// # Cancel safety
    /// Safe: what was not given comes with the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Ok(Some(first));
        }
        loop {
            let (directory, cursor) = (self.directory.clone(), self.cursor.clone());
            let (next, found) = blocking(self.directory.path().to_owned(), move || step(&directory, cursor)).await?;
            self.cursor = next;
            match found {
                Step::Output(output) => return Ok(Some(output)),
                Step::Moved => {}
                Step::Waiting => self.clock.sleep(LOOK_INTERVAL).await,
                Step::Gone => return Ok(None),
            }
        }
    }
}

/// Each lab that is recorded below this directory, with when it was.
fn all(labs: &Path) -> io::Result<Vec<(std::time::SystemTime, LabIdentity)>> {
    let entries = match fs::read_dir(labs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let directory = LabDirectory::new(entry?.path());
        if let (Some(record), Some(recorded)) = (intact(&directory, directory.record())?, directory.recorded_at()?) {
            found.push((recorded, record.lab));
        }
    }
    Ok(found)
}

/// All that is kept, and where that ends.
fn snapshot(directory: &LabDirectory) -> io::Result<(Vec<u8>, Cursor)> {
    let [newer, older] = directory.logs();
    for _ in 0..TRIES {
        let current = Cursor::open(&newer)?;
        let mut output = Vec::new();
        if let Some(mut file) = open(&older)? {
            if current.is_at(&file)? {
                // It was rotated in between.
                continue;
            }
            file.read_to_end(&mut output)?;
        }
        let (rest, cursor) = current.read_to_end()?;
        output.extend(rest);
        return Ok((output, cursor));
    }
    Ok((Vec::new(), Cursor::open(&newer)?))
}

pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(Some),
    }
}

fn last_lines(output: Vec<u8>, lines: Option<usize>) -> Vec<u8> {
    let Some(lines) = lines else { return output };
    let ends_with_line = output.last() == Some(&b'\n');
    let breaks = output.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').skip(usize::from(ends_with_line));
    match (lines, breaks.map(|(place, _)| place).nth(lines.saturating_sub(1))) {
        (0, _) => Vec::new(),
        (_, Some(place)) => output[place + 1..].to_vec(),
        (_, None) => output,
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, LogError> {
    let done = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| LogError::Io { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_and_no_more_than_asked_for() {
        let cases: [(&str, usize, &str); 8] = [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\n", 0, ""),
            ("a\n\n", 1, "\n"),
            ("one", 1, "one"),
            ("", 1, ""),
        ];
        for (output, lines, expected) in cases {
            let last = last_lines(output.as_bytes().to_vec(), Some(lines));
            assert_eq!(String::from_utf8(last).unwrap(), expected, "{lines} of {output:?}");
        }
        assert_eq!(last_lines(b"a\nb\n".to_vec(), None), b"a\nb\n");
    }
}
