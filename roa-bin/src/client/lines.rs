//! [`Lines`], [`Pieces`]: the body of an answer as it comes, line by line or just so.

use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};

use super::ClientError;

/// Bytes of the longest line.
const MAX_LINE: usize = 16 << 20;

/// The body of an answer as it comes, line by line. Dropped, it ends the connection.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    /// Up to where the buffer holds no end of a line.
    searched: usize,
}

impl Lines {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body, buffer: Vec::new(), searched: 0 }
    }

    /// The next line without its end; nothing when the body ends. What a cut connection left of a line is dropped.
    ///
    /// # Errors
    /// The connection broke, or the line is too long.
    ///
    /// # Cancel safety
    /// Safe: what was read of a line is kept.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_LINE {
                return Err(format!("a line is longer than {MAX_LINE} bytes"));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let data: Option<Bytes> = frame.map_err(|error| error.to_string())?.into_data().ok();
            self.buffer.extend_from_slice(&data.unwrap_or_default());
        }
    }
}

/// The body of an answer as it comes. Dropped, it ends the connection.
#[derive(Debug)]
pub(crate) struct Pieces {
    at: String,
    body: Incoming,
}

impl Pieces {
    pub(super) const fn new(at: String, body: Incoming) -> Self {
        Self { at, body }
    }

    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// The connection broke.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            let frame =
                frame.map_err(|error| ClientError::Unreachable { at: self.at.clone(), why: error.to_string() })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}
