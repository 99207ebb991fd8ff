//! [`Frames`]: the bytes of events, made once for each form and shared.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use roa_core::{ChangeKind, DecodeError, Entry, Key, Revision, Timestamp};

use crate::catalog::Conversion;
use crate::http::Form;
use crate::objects::Rendering;

/// Which bytes: what happened, when, to what, and how it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct FrameId {
    key: Key,
    revision: Revision,
    change: ChangeKind,
    form: Form,
    conversion: Conversion,
}

/// The newest frames, up to a number of bytes. What is older is made again for whoever is that far behind.
#[derive(Debug)]
pub(crate) struct Frames {
    kept: Mutex<Kept>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    frames: HashMap<FrameId, Bytes>,
    order: VecDeque<FrameId>,
    bytes: usize,
}

/// Bytes that a frame takes besides its own: its key, and its place in two collections.
const OVERHEAD: usize = 256;

impl Frames {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { kept: Mutex::default(), max_bytes }
    }

    /// The line of an event.
    ///
    /// # Errors
    /// [`DecodeError`] if what is stored is no object.
    pub(super) fn line(
        &self,
        rendering: &Rendering,
        change: ChangeKind,
        entry: &Entry,
        revision: Revision,
        now: Timestamp,
    ) -> Result<Bytes, DecodeError> {
        let id = FrameId {
            key: entry.key.clone(),
            revision,
            change,
            form: rendering.form,
            conversion: rendering.served.conversion.clone(),
        };
        if let Some(line) = self.lock().frames.get(&id) {
            return Ok(line.clone());
        }
        let line = encode(rendering, change, entry, revision, now)?;
        self.keep(id, &line);
        Ok(line)
    }

    fn keep(&self, id: FrameId, line: &Bytes) {
        let mut kept = self.lock();
        if kept.frames.insert(id.clone(), line.clone()).is_some() {
            return;
        }
        kept.bytes += line.len() + OVERHEAD;
        kept.order.push_back(id);
        while kept.bytes > self.max_bytes {
            let Some(oldest) = kept.order.pop_front() else { break };
            if let Some(line) = kept.frames.remove(&oldest) {
                kept.bytes -= line.len() + OVERHEAD;
            }
        }
    }

    /// Each change of it is whole, so what a panicking holder left is.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line of an event, made anew.
pub(super) fn encode(
    rendering: &Rendering,
    change: ChangeKind,
    entry: &Entry,
    revision: Revision,
    now: Timestamp,
) -> Result<Bytes, DecodeError> {
    let word = match change {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    };
    let object = rendering.entry(entry, Some(revision), now)?;
    Ok(line(word, &object))
}

/// A line with an object.
pub(super) fn line(word: &str, object: &[u8]) -> Bytes {
    [b"{\"type\":\"", word.as_bytes(), b"\",\"object\":", object, b"}\n"].concat().into()
}
