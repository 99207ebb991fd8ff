//! [`Comparison`]: two stores side by side, and where they differ.

use std::cmp::Ordering;
use std::sync::Arc;

use roa_core::{Entry, Key, Result, Revision};

use super::content::Digest;
use super::entries::Entries;

/// Where a target is not as its source.
#[derive(Debug)]
pub(super) enum Difference {
    /// The source has it alone.
    Missing(Arc<Entry>),
    /// Both have it, the target otherwise, at this revision.
    Other(Arc<Entry>, Revision),
    /// The target has it alone, at this revision.
    Extra(Key, Revision),
}

/// Both stores in key order, with the digest of what the source has shown by now.
pub(super) struct Comparison<'a> {
    pub(super) source: Entries<'a>,
    pub(super) target: Entries<'a>,
    pub(super) digest: Digest,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(source: Entries<'a>, target: Entries<'a>) -> Self {
        Self { source, target, digest: Digest::new() }
    }

    /// The next difference; `None` after the last.
    ///
    /// # Errors
    /// As [`Entries::peek`].
    pub(super) async fn next(&mut self) -> Result<Option<Difference>> {
        loop {
            let order = match (self.source.peek().await?, self.target.peek().await?) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(source), Some(target)) => source.key.cmp(&target.key),
            };
            let source = if order.is_le() { self.source.take() } else { None };
            let target = if order.is_ge() { self.target.take() } else { None };
            if let Some(entry) = &source {
                self.digest.add(entry);
            }
            match (source, target) {
                (Some(source), Some(target)) if is_same(&source, &target) => {}
                (Some(source), Some(target)) => return Ok(Some(Difference::Other(source, target.revision))),
                (Some(source), None) => return Ok(Some(Difference::Missing(source))),
                (None, Some(target)) => return Ok(Some(Difference::Extra(target.key.clone(), target.revision))),
                (None, None) => return Ok(None),
            }
        }
    }
}

fn is_same(source: &Entry, target: &Entry) -> bool {
    source.value == target.value && source.writer == target.writer
}
