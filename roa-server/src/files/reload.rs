//! [`Reloaded`]: what was made of files, and is made again when they change.

use std::fmt::{self, Debug, Display};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use roa_core::{Clock, ClockExt};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

type Load<T, E> = Box<dyn Fn() -> Result<T, E> + Send + Sync>;

/// What `load` makes of some files. While the files can't be used, what was made of them before stays.
pub(crate) struct Reloaded<T, E> {
    files: Vec<PathBuf>,
    load: Load<T, E>,
    current: RwLock<Arc<T>>,
    /// The files as they were when `current` was made of them; `None` after a failure, so that it is tried again.
    stamps: Mutex<Option<Vec<Stamp>>>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

/// Tells one state of a file from another, without reading it; `None` if it isn't there.
type Stamp = Option<[i64; 5]>;

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    let inode = file.ino().cast_signed();
    // The time of the last change of the inode can't be set back, so also a copy that keeps its times is seen.
    Some([inode, file.size().cast_signed(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()])
}

impl<T: Send + Sync + 'static, E: Display + Send + 'static> Reloaded<T, E> {
    /// What `load` makes of `files` now.
    pub(crate) fn open(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let stamps = files.iter().map(|file| stamp(file)).collect();
        let current = RwLock::new(Arc::new(load()?));
        Ok(Self {
            files,
            load: Box::new(load),
            current,
            stamps: Mutex::new(Some(stamps)),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// What was made of the files last.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often it was made anew, and how often that failed.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.reloads.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    /// Makes it anew if the files changed; says whether it did. Blocks.
    pub(crate) fn refresh(&self) -> Result<bool, E> {
        let stamps = Some(self.files.iter().map(|file| stamp(file)).collect());
        let mut seen = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == stamps {
            return Ok(false);
        }
        *seen = None;
        let loaded = (self.load)().inspect_err(|_| {
            self.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
        *seen = stamps;
        self.reloads.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// Makes it anew whenever the files changed, until dropped.
    pub(crate) async fn run(self: Arc<Self>, what: &'static str, clock: &dyn Clock) {
        loop {
            clock.sleep(INTERVAL).await;
            let this = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || this.refresh()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!(what, "files changed and were loaded again"),
                Ok(Err(error)) => {
                    tracing::warn!(what, %error, "files changed and can't be used; what was loaded stays");
                }
                Err(error) => tracing::error!(what, %error, "loading files again failed"),
            }
        }
    }
}

impl<T, E> Debug for Reloaded<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reloaded({:?})", self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Reloaded<u32, String> {
        let file = path.to_owned();
        let load = move || {
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            text.parse().map_err(|_| format!("no number: {text}"))
        };
        Reloaded::open(vec![path.to_owned()], load).unwrap()
    }

    #[test]
    fn a_changed_file_is_loaded_and_an_unchanged_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        fs::write(&path, "1").unwrap();
        let number = open(&path);
        assert!(!number.refresh().unwrap());
        fs::write(dir.path().join("new"), "2").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        assert!(number.refresh().unwrap());
        assert_eq!((*number.get(), number.counts()), (2, (1, 0)));
    }

    #[test]
    fn what_was_loaded_stays_while_the_file_is_broken_and_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        fs::write(&path, "1").unwrap();
        let number = open(&path);
        fs::write(&path, "one").unwrap();
        assert!(number.refresh().is_err() && number.refresh().is_err(), "tried again without a change");
        assert_eq!(*number.get(), 1);
        fs::remove_file(&path).unwrap();
        assert!(number.refresh().is_err());
        fs::write(&path, "10").unwrap();
        assert!(number.refresh().unwrap());
        assert_eq!((*number.get(), number.counts()), (10, (1, 3)));
    }
}
