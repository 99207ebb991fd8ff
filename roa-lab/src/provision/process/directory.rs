//! [`LabDirectory`]: all that is written down about one lab.
//!
//! ```text
//! labs/UID/           0700
//!   lab.json          what shall run, and for whom
//!   lock              held by the shim while it lives, or by who prepares or removes the directory
//!   state.json        what runs
//!   ready             there since it answered for the first time
//!   exit.json         how it ended
//!   log, log.1        its newest output
//!   previous, previous.1   the output of the run before, as it was in the end
//!   shim.log          what the shim itself complains about
//!   work/             the lab's own: its files, its working directory
//! ```
//! The lab's own files lie one folder deeper than ours, so that a lab which serves its directory does not serve its
//! environment with it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Exit, LabRecord, ShimState};

/// More than any of our files has.
const MAX_JSON_BYTES: u64 = 8 << 20;
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

const RECORD: &str = "lab.json";
const LOCK: &str = "lock";
const STATE: &str = "state.json";
const READY: &str = "ready";
const EXIT: &str = "exit.json";
const LOG: &str = "log";
const OLDER_LOG: &str = "log.1";
const PREVIOUS_LOG: &str = "previous";
const OLDER_PREVIOUS_LOG: &str = "previous.1";
const SHIM_LOG: &str = "shim.log";
const WORK: &str = "work";

/// The directory of one lab, which need not exist.
#[derive(Debug, Clone)]
pub(in crate::provision) struct LabDirectory {
    path: PathBuf,
}

impl LabDirectory {
    pub(in crate::provision) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(in crate::provision) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the lab's command runs: `{dir}`.
    pub(in crate::provision) fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// Where its output goes, and where the older half of it is.
    pub(in crate::provision) fn logs(&self) -> [PathBuf; 2] {
        [self.path.join(LOG), self.path.join(OLDER_LOG)]
    }

    /// The same of the run before.
    pub(super) fn previous_logs(&self) -> [PathBuf; 2] {
        [self.path.join(PREVIOUS_LOG), self.path.join(OLDER_PREVIOUS_LOG)]
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Makes it, if it is not there.
    pub(super) fn create(&self) -> io::Result<()> {
        private_directory(&self.path)
    }

    /// Keeps all others from running, preparing or removing this lab for as long as the file lives; `None` if one of
    /// them is at it.
    pub(in crate::provision) fn try_lock(&self) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where the shim's own complaints go.
    pub(super) fn shim_log(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(self.path.join(SHIM_LOG))
    }

    /// Makes everything as if this lab had never run, then records what shall. For who holds the lock.
    pub(super) fn renew(&self, record: &LabRecord, files: &BTreeMap<String, String>) -> io::Result<()> {
        for name in [STATE, EXIT, READY] {
            absent_is_fine(fs::remove_file(self.path.join(name)))?;
        }
        self.set_output_aside()?;
        let work = self.work();
        remove_tree(&work)?;
        private_directory(&work)?;
        for (name, content) in files {
            lay_file(&work, name, content)?;
        }
        self.write_json(RECORD, record)
    }

    /// What the last run wrote becomes that of the run before, unless nothing ran since.
    pub(super) fn set_output_aside(&self) -> io::Result<()> {
        let ([newer, older], [previous, older_previous]) = (self.logs(), self.previous_logs());
        if !newer.try_exists()? && !older.try_exists()? {
            return Ok(());
        }
        for stale in [&previous, &older_previous] {
            absent_is_fine(fs::remove_file(stale))?;
        }
        absent_is_fine(fs::rename(older, older_previous))?;
        absent_is_fine(fs::rename(newer, previous))
    }

    /// What shall run; `None` if nothing was recorded.
    pub(in crate::provision) fn record(&self) -> io::Result<Option<LabRecord>> {
        self.read_json(RECORD)
    }

    pub(in crate::provision) fn state(&self) -> io::Result<Option<ShimState>> {
        self.read_json(STATE)
    }

    pub(in crate::provision) fn write_state(&self, state: &ShimState) -> io::Result<()> {
        self.write_json(STATE, state)
    }

    pub(in crate::provision) fn exit(&self) -> io::Result<Option<Exit>> {
        self.read_json(EXIT)
    }

    pub(in crate::provision) fn write_exit(&self, exit: &Exit) -> io::Result<()> {
        self.write_json(EXIT, exit)
    }

    /// Whether a shim has run what is recorded, or has begun to.
    pub(in crate::provision) fn has_run(&self) -> io::Result<bool> {
        Ok(self.path.join(STATE).try_exists()? || self.path.join(EXIT).try_exists()?)
    }

    pub(super) fn was_ready(&self) -> io::Result<bool> {
        self.path.join(READY).try_exists()
    }

    pub(super) fn mark_ready(&self) -> io::Result<()> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(self.path.join(READY))
            .map(drop)
    }

    /// All that is kept of its output, oldest first.
    pub(in crate::provision) fn output(&self) -> io::Result<Vec<u8>> {
        let [newer, older] = self.logs();
        let mut output = absent_is_default(fs::read(older))?;
        output.extend(absent_is_default(fs::read(newer))?);
        Ok(output)
    }

    /// The same of the run before, if there was one.
    pub(super) fn previous_output(&self) -> io::Result<Option<Vec<u8>>> {
        let [newer, older] = self.previous_logs();
        if !newer.try_exists()? && !older.try_exists()? {
            return Ok(None);
        }
        let mut output = absent_is_default(fs::read(older))?;
        output.extend(absent_is_default(fs::read(newer))?);
        Ok(Some(output))
    }

    /// When it was written down what shall run, if it was.
    pub(super) fn recorded_at(&self) -> io::Result<Option<SystemTime>> {
        match fs::metadata(self.path.join(RECORD)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            metadata => metadata?.modified().map(Some),
        }
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.path)
    }

    /// Writes a whole file or none, and returns when it would survive a power cut.
    fn write_json(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let temporary = self.path.join(format!("{name}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(&temporary)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path.join(name))?;
        File::open(&self.path)?.sync_all()
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        let file = match File::open(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut text = Vec::new();
        file.take(MAX_JSON_BYTES).read_to_end(&mut text)?;
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{name} is damaged: {error}")))
    }
}

/// Makes a directory that only we can enter, and those above it.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_DIRECTORY).create(path)
}

/// A script can be run, other files can't.
fn lay_file(work: &Path, name: &str, content: &str) -> io::Result<()> {
    let path = work.join(name);
    if let Some(folder) = path.parent() {
        private_directory(folder)?;
    }
    let mode = if content.starts_with("#!") { 0o700 } else { PRIVATE_FILE };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(content.as_bytes())
}

/// Removes a directory and all in it, also where its owner took away his own right to. Follows no link.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_directories(path)?;
            absent_is_fine(fs::remove_dir_all(path))
        }
        result => absent_is_fine(result),
    }
}

fn open_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_DIRECTORY))?;
    fs::read_dir(path)?.try_for_each(|entry| open_directories(&entry?.path()))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    absent_is_default(result)
}

fn absent_is_default<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::provision::process::record::wall_clock;
    use crate::provision::{LabIdentity, ProcessConfig, ProcessTemplate, ProvisionRequest};

    fn directory() -> (TempDir, LabDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = LabDirectory::new(parent.path().join("lab"));
        directory.create().unwrap();
        (parent, directory)
    }

    fn renew(directory: &LabDirectory, files: &[(&str, &str)]) {
        let files = files.iter().map(|(name, content)| ((*name).to_owned(), (*content).to_owned())).collect();
        let request = ProvisionRequest {
            lab: LabIdentity { uid: "1".into(), namespace: "labs".into(), name: "a".into() },
            process: Some(ProcessTemplate { command: vec!["true".into()], ..ProcessTemplate::default() }),
            simulated: None,
            environment: [("A_TOKEN".to_owned(), "canary".to_owned())].into(),
            attempt: 0,
        };
        let record = LabRecord::of(&request, &ProcessConfig::new("/data", "/bin/roa")).unwrap();
        directory.renew(&record, &files).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn t19_only_the_owner_can_read_what_is_recorded() {
        let (_parent, directory) = directory();
        renew(&directory, &[("a/b.txt", "text"), ("run", "#!/bin/sh\n")]);
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(mode(&directory.path().join(RECORD)), 0o600);
        assert_eq!(mode(&directory.work().join("a/b.txt")), 0o600);
        assert_eq!(mode(&directory.work().join("run")), 0o700);
    }

    #[test]
    fn t14_no_secret_lies_where_a_lab_may_serve_it() {
        let (_parent, directory) = directory();
        renew(&directory, &[("index.html", "hello")]);
        let served: Vec<_> = fs::read_dir(directory.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(served, ["index.html"]);
    }

    #[test]
    fn renewing_forgets_the_run_before_and_follows_none_of_its_links() {
        let (parent, directory) = directory();
        let outside = parent.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        renew(&directory, &[("page", "old")]);
        directory.write_exit(&Exit::without_process(None, "over".into())).unwrap();
        directory.mark_ready().unwrap();
        fs::remove_file(directory.work().join("page")).unwrap();
        symlink(&outside, directory.work().join("page")).unwrap();

        renew(&directory, &[("page", "new")]);
        assert!(!directory.has_run().unwrap() && !directory.was_ready().unwrap());
        assert_eq!(fs::read_to_string(directory.work().join("page")).unwrap(), "new");
        assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
    }

    #[test]
    fn the_output_of_the_run_before_is_kept_and_of_none_before_that() {
        let (_parent, directory) = directory();
        let (logs, previous) = (directory.logs(), directory.previous_logs());
        renew(&directory, &[]);
        assert!(!previous[0].exists(), "nothing ran before");
        for run in ["first", "second"] {
            fs::write(&logs[0], run).unwrap();
            fs::write(&logs[1], format!("older {run}")).unwrap();
            renew(&directory, &[]);
            // Once more, as after a crash before anything ran.
            renew(&directory, &[]);
            assert_eq!(fs::read_to_string(&previous[0]).unwrap(), run);
            assert_eq!(fs::read_to_string(&previous[1]).unwrap(), format!("older {run}"));
            assert!(!logs[0].exists() && !logs[1].exists());
        }
        fs::write(&logs[0], "third").unwrap();
        renew(&directory, &[]);
        assert!(!previous[1].exists(), "the third run had no older output");
    }

    #[test]
    fn two_never_hold_the_lock_and_the_second_is_told() {
        let (_parent, directory) = directory();
        let held = directory.try_lock().unwrap();
        assert!(held.is_some() && directory.try_lock().unwrap().is_none());
        drop(held);
        assert!(directory.try_lock().unwrap().is_some());
    }

    #[test]
    fn what_is_absent_is_none_and_what_is_damaged_is_said() {
        let (_parent, directory) = directory();
        assert!(directory.exit().unwrap().is_none() && directory.output().unwrap().is_empty());
        fs::write(directory.path().join(EXIT), "{").unwrap();
        let error = directory.exit().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("exit.json is damaged"), "{error}");
    }

    #[test]
    fn a_write_replaces_the_whole_file() {
        let (_parent, directory) = directory();
        let exit = Exit { code: Some(1), signal: None, at: wall_clock(), message: "x".repeat(1000) };
        directory.write_exit(&exit).unwrap();
        directory.write_exit(&Exit { message: "short".into(), ..exit.clone() }).unwrap();
        assert_eq!(directory.exit().unwrap().unwrap().message, "short");
        assert!(!directory.path().join("exit.json.new").exists());
    }

    #[test]
    fn output_is_older_then_newer() {
        let (_parent, directory) = directory();
        let [newer, older] = directory.logs();
        fs::write(newer, "b").unwrap();
        fs::write(older, "a").unwrap();
        assert_eq!(directory.output().unwrap(), b"ab");
    }

    #[test]
    fn a_tree_that_was_closed_against_its_owner_goes_and_what_it_links_to_stays() {
        let (parent, directory) = directory();
        let outside = parent.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o555)).unwrap();
        let closed = directory.path().join("closed/deep");
        fs::create_dir_all(&closed).unwrap();
        symlink(&outside, closed.join("link")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();

        open_directories(directory.path()).unwrap();
        assert_eq!((mode(&closed), mode(&outside)), (0o700, 0o555));
        directory.remove().unwrap();
        assert!(!directory.exists() && outside.is_dir());
        directory.remove().unwrap();
    }
}
