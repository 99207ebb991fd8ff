//! The thread that writes records: in groups, to a file that may be renamed at any time.

use std::fs::{File, OpenOptions, metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::{mpsc, oneshot};

use super::AuditMetrics;

/// As many records are written at once.
const GROUP: usize = 256;

#[derive(Debug)]
pub(super) enum Message {
    /// A record.
    Line(Vec<u8>),
    /// Tell when all before it is written.
    Flush(oneshot::Sender<()>),
}

/// Where records go.
pub(super) enum Output {
    File { path: PathBuf, file: Option<File>, sync: bool },
    Other(Box<dyn Write + Send>),
}

impl Output {
    pub(super) fn stdout() -> Self {
        Self::Other(Box::new(io::stdout()))
    }

    pub(super) fn open(path: PathBuf, sync: bool) -> io::Result<Self> {
        Ok(Self::File { file: Some(append(&path)?), path, sync })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let (path, file, sync) = match self {
            Self::Other(other) => return other.write_all(lines).and_then(|()| other.flush()),
            Self::File { path, file, sync } => (path, file, *sync),
        };
        let mut current = match file.take() {
            Some(file) if is_at(&file, path) => file,
            _ => append(path)?,
        };
        current.write_all(lines)?;
        if sync {
            current.sync_data()?;
        }
        // Only after success: after a failure it is opened anew, and a line that was cut is ended.
        *file = Some(current);
        Ok(())
    }
}

/// Whether a file still has its name: else it was rotated away.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: std::fs::Metadata, other: std::fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().is_ok_and(|own| metadata(path).is_ok_and(|there| same(own, there)))
}

/// A file to append to, made for its owner alone; if its last line was cut, that is ended.
fn append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let is_regular = file.metadata()?.is_file();
    if is_regular && file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// Writes what comes, until nobody can send more.
pub(super) fn write_all(messages: &mut mpsc::Receiver<Message>, output: &mut Output, metrics: &AuditMetrics) {
    let mut group = Vec::with_capacity(GROUP);
    while messages.blocking_recv_many(&mut group, GROUP) > 0 {
        let (mut lines, mut count, mut waiting) = (Vec::new(), 0, Vec::new());
        for message in group.drain(..) {
            match message {
                Message::Line(line) => {
                    lines.extend_from_slice(&line);
                    count += 1;
                }
                Message::Flush(done) => waiting.push(done),
            }
        }
        if count > 0 {
            match output.write(&lines) {
                Ok(()) => metrics.add("written", count),
                Err(error) => {
                    metrics.add("failed", count);
                    tracing::error!(%error, records = count, "the audit log can't be written, records are lost");
                }
            }
        }
        for done in waiting {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroUsize;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Duration;

    use futures_util::FutureExt;
    use roa_core::{HumanDuration, ManualClock, Timestamp};

    use super::*;
    use crate::audit::{AuditConfig, AuditLog, AuditRecord, AuditedObject};
    use crate::auth::{Decision, User};

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000).unwrap()))
    }

    fn record(name: &str) -> AuditRecord {
        let object = AuditedObject { resource: "labs".into(), name: name.into(), ..AuditedObject::default() };
        let user = User::new("alice", ["ops"]);
        AuditRecord::new(Timestamp::from_unix_seconds(0).unwrap(), user, "create", object, &Decision::Allow("".into()))
    }

    fn open(path: &Path) -> (AuditLog, AuditMetrics) {
        let (config, metrics) = (
            AuditConfig { path: Some(path.to_owned()), sync: true, ..AuditConfig::default() },
            AuditMetrics::default(),
        );
        (AuditLog::open(&config, clock(), metrics.clone()).unwrap().unwrap(), metrics)
    }

    fn names(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let name = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(line["object"]["name"].as_str()?.to_owned())
        };
        text.lines().map(|line| name(line).unwrap_or_else(|| "broken".to_owned())).collect()
    }

    #[tokio::test]
    async fn t23_records_are_appended_in_order_for_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for run in ["first", "second"] {
            let (log, metrics) = open(&path);
            for number in 0..500 {
                assert!(log.record(&record(&format!("{run}-{number}"))).await);
            }
            log.flush().await;
            assert_eq!((metrics.count("written"), metrics.count("dropped")), (500, 0));
        }
        let expected =
            ["first", "second"].into_iter().flat_map(|run| (0..500).map(move |number| format!("{run}-{number}")));
        assert_eq!(names(&path), expected.collect::<Vec<_>>());
        assert_eq!(metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn t23_a_file_that_was_renamed_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("audit.log"), dir.path().join("audit.log.1"));
        let (log, _) = open(&path);
        log.record(&record("a")).await;
        log.flush().await;
        fs::rename(&path, &old).unwrap();
        log.record(&record("b")).await;
        log.flush().await;
        assert_eq!((names(&old), names(&path)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    }

    #[tokio::test]
    async fn t23_a_line_that_was_cut_spoils_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        fs::write(&path, "{\"cut").unwrap();
        let (log, _) = open(&path);
        log.record(&record("a")).await;
        log.flush().await;
        assert_eq!(names(&path), ["broken", "a"]);
    }

    #[tokio::test]
    async fn t23_records_that_could_not_be_written_are_counted_and_later_ones_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("audit.log");
        let (log, metrics) = open(&path);
        fs::rename(&folder, dir.path().join("away")).unwrap();
        log.record(&record("a")).await;
        log.flush().await;
        fs::create_dir(&folder).unwrap();
        log.record(&record("b")).await;
        log.flush().await;
        assert_eq!((metrics.count("failed"), metrics.count("written"), names(&path)), (1, 1, vec!["b".to_owned()]));
    }

    /// A disk that says when it begins to write, and does not end until it is told to.
    struct Stuck {
        began: SyncSender<()>,
        go: Receiver<()>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.began.send(()).map_err(io::Error::other)?;
            self.go.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn t23_with_a_stuck_disk_a_request_waits_its_time_and_the_record_is_counted_as_dropped() {
        let ((began, begins), (tell, go)) = (sync_channel(8), sync_channel(8));
        let (clock, metrics) = (clock(), AuditMetrics::default());
        let wait = HumanDuration(Duration::from_secs(1));
        let config = AuditConfig { max_queued: NonZeroUsize::new(1).unwrap(), wait, ..AuditConfig::default() };
        let output = Output::Other(Box::new(Stuck { began, go }));
        let log = AuditLog::start(output, &config, clock.clone(), metrics.clone()).unwrap();
        assert!(log.record(&record("being written")).await);
        begins.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(log.record(&record("queued")).await);
        let third = record("no room");
        let mut waiting = Box::pin(log.record(&third));
        for (passed, answer) in [(0, None), (999, None), (1, Some(false))] {
            clock.advance(Duration::from_millis(passed));
            assert_eq!((&mut waiting).now_or_never(), answer, "after {passed} ms more");
        }
        assert_eq!(metrics.count("dropped"), 1);
        for _ in 0..2 {
            tell.send(()).unwrap();
        }
        log.flush().await;
        assert_eq!((metrics.count("written"), metrics.count("dropped")), (2, 1));
    }

    #[test]
    fn an_audit_log_that_cannot_be_written_is_refused_at_the_start() {
        let config = AuditConfig { path: Some("/nowhere/audit.log".into()), ..AuditConfig::default() };
        let error = AuditLog::open(&config, clock(), AuditMetrics::default()).unwrap_err().to_string();
        assert!(error.contains("/nowhere/audit.log"), "{error}");
        assert!(AuditLog::open(&AuditConfig::default(), clock(), AuditMetrics::default()).unwrap().is_none());
        let empty = AuditConfig { path: Some("".into()), wait: HumanDuration(Duration::from_secs(60)), ..config };
        assert_eq!(empty.validate().iter().count(), 2);
    }
}
