//! [`AuditLog`]: the queue of records, and what happens when it is full.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use roa_core::{Clock, ClockExt};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::writer::{Message, Output, write_all};
use super::{AuditConfig, AuditMetrics, AuditRecord};

/// Why there can be no audit log as configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file can't be appended to.
    #[error("open the audit log {path}: {source}, expected a file that can be appended to")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no thread to write it.
    #[error("start the audit log: {0}")]
    Thread(io::Error),
}

/// The audit log. A clone writes to the same.
///
/// A request waits until there is room for its record in the queue, and at most as long as configured: after that the
/// record is dropped, which is counted and logged as an error. It does not wait for the disk: when it was answered, its
/// record may not be in the file yet, but it will be unless the machine fails.
///
/// The file is opened anew when it was renamed or removed, so that it can be rotated.
#[derive(Clone)]
pub struct AuditLog {
    queue: mpsc::Sender<Message>,
    wait: std::time::Duration,
    clock: Arc<dyn Clock>,
    metrics: AuditMetrics,
}

impl AuditLog {
    /// The log as configured, if it is. `clock` is the machine's, for deadlines.
    ///
    /// # Errors
    /// [`AuditError`] if it can't be written to.
    pub fn open(
        config: &AuditConfig,
        clock: Arc<dyn Clock>,
        metrics: AuditMetrics,
    ) -> Result<Option<Self>, AuditError> {
        let Some(path) = config.path.clone() else { return Ok(None) };
        let output =
            if path.as_os_str() == "-" { Ok(Output::stdout()) } else { Output::open(path.clone(), config.sync) };
        let output = output.map_err(|source| AuditError::Open { path, source })?;
        Self::start(output, config, clock, metrics).map(Some)
    }

    pub(super) fn start(
        mut output: Output,
        config: &AuditConfig,
        clock: Arc<dyn Clock>,
        metrics: AuditMetrics,
    ) -> Result<Self, AuditError> {
        let (queue, mut messages) = mpsc::channel(config.max_queued.get());
        let counted = metrics.clone();
        // A thread of its own: a slow disk holds nothing else up. It ends when all senders are gone and all is written.
        let work = move || write_all(&mut messages, &mut output, &counted);
        thread::Builder::new().name("roa-audit".to_owned()).spawn(work).map_err(AuditError::Thread)?;
        Ok(Self { queue, wait: config.wait.0, clock, metrics })
    }

    /// Puts a record in the queue; says whether it is there. To be called before the request is answered.
    ///
    /// # Cancel safety
    /// Safe: the record is in the queue or it is not. One that is not is not counted; a server should not drop this.
    pub async fn record(&self, record: &AuditRecord) -> bool {
        let message = Message::Line(record.line());
        let queued = tokio::select! {
            biased;
            sent = self.queue.send(message) => sent.is_ok(),
            () = self.clock.sleep(self.wait) => false,
        };
        self.told(record, queued)
    }

    /// Puts a record in the queue if there is room at once; says whether it is there.
    pub(crate) fn record_now(&self, record: &AuditRecord) -> bool {
        let queued = self.queue.try_send(Message::Line(record.line())).is_ok();
        self.told(record, queued)
    }

    fn told(&self, record: &AuditRecord, queued: bool) -> bool {
        if !queued {
            self.metrics.add("dropped", 1);
            tracing::error!(request = %record.request_id, "the audit log is too slow, a record was dropped");
        }
        queued
    }

    /// Waits until all records that are in the queue now are written, or failed to be.
    ///
    /// # Cancel safety
    /// Safe. It has no deadline of its own.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // Without an answer the thread has ended, so that there is nothing to wait for.
            let _ = written.await;
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditLog({} places free)", self.queue.capacity())
    }
}
