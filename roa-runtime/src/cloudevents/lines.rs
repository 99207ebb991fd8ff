//! [`LineSink`]: CloudEvents as lines of JSON, on the standard output or at the end of a file.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use roa_core::ReconcileError;

use super::{CloudEvent, CloudEventSink};
use crate::locks;

/// Writes each event as a line of JSON. A line that was written is with the operating system: it survives the end of the
/// process.
///
/// ```
/// use roa_runtime::{CloudEventSink, LineSink};
/// assert_eq!(LineSink::new("memory", Vec::new()).name(), "memory");
/// ```
pub struct LineSink {
    name: String,
    out: Arc<Mutex<Box<dyn Write + Send>>>,
}

impl LineSink {
    /// Lines to anything that can be written to.
    pub fn new(name: impl Into<String>, out: impl Write + Send + 'static) -> Self {
        Self { name: name.into(), out: Arc::new(Mutex::new(Box::new(out))) }
    }

    /// Lines on the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new("stdout", io::stdout())
    }

    /// Lines at the end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// The file can't be opened for writing.
    pub fn append(path: &Path) -> io::Result<Self> {
        Ok(Self::new("file", OpenOptions::new().create(true).append(true).open(path)?))
    }
}

#[async_trait]
impl CloudEventSink for LineSink {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, event: &CloudEvent) -> Result<(), ReconcileError> {
        let (out, mut line) = (Arc::clone(&self.out), event.to_json().to_vec());
        line.push(b'\n');
        let write = move || {
            let mut out = locks::lock(&out);
            out.write_all(&line)?;
            out.flush()
        };
        let failed = |message: String| ReconcileError::Transient { reason: "SinkFailed", message };
        let written = tokio::task::spawn_blocking(write).await.map_err(|error| failed(error.to_string()))?;
        written.map_err(|error| failed(format!("write to {}: {error}", self.name)))
    }
}

impl fmt::Debug for LineSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LineSink({})", self.name)
    }
}
