//! [`Watcher`]: how changes reach those who want to know of them.

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::{DecodeError, Key, Position, Resource, Result, Revision, TailEnd};

/// Where a watch begins.
///
/// ```
/// use roa_core::{Revision, Start};
/// let after_seven = Start::After(Revision::new(7)?);
/// assert_ne!(after_seven, Start::Now);
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next change.
    Now,
    /// With the objects that are there, then [`WatchItem::Synced`], then the changes after that.
    Snapshot,
    /// With the changes after a revision.
    After(Revision),
    /// With the changes after a place that was kept, if it is still of the same history.
    Resume(Position),
}

/// What happened to an object, as somebody sees it who watches a selection of objects.
///
/// ```
/// # use roa_core::ChangeKind;
/// fn sign(change: ChangeKind) -> char {
///     match change {
///         ChangeKind::Added => '+',
///         ChangeKind::Modified => '~',
///         ChangeKind::Deleted => '-',
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It came into the selection: created, or changed so that it matches now.
    Added,
    /// It was in the selection, and still is.
    Modified,
    /// It left the selection: removed, or changed so that it matches no longer.
    Deleted,
}

/// One object's change.
///
/// ```
/// # use roa_core::{ChangeKind, DynamicObject, WatchEvent};
/// fn is_gone(event: &WatchEvent<DynamicObject>) -> bool {
///     event.change == ChangeKind::Deleted
/// }
/// ```
#[derive(Debug, Clone)]
pub struct WatchEvent<R> {
    /// What happened.
    pub change: ChangeKind,
    /// Under which key.
    pub key: Key,
    /// The object after it; for [`ChangeKind::Deleted`] as it last was in the selection. An object that can't be read
    /// as an `R` is an error of this event alone; the watch goes on.
    pub object: Result<Arc<R>, DecodeError>,
}

/// What a watch delivers.
///
/// ```
/// # use roa_core::{DynamicObject, WatchItem};
/// fn count(item: &WatchItem<DynamicObject>) -> usize {
///     match item {
///         WatchItem::Events { events, .. } => events.len(),
///         _ => 0,
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WatchItem<R> {
    /// All events of one revision, together; of a snapshot, a page of the objects that are there.
    Events {
        /// When they happened. After the snapshot, everything up to here has been delivered with them.
        position: Position,
        /// At least one.
        events: Vec<WatchEvent<R>>,
    },
    /// The snapshot is whole: what follows happened after this revision.
    Synced(Position),
    /// Everything up to here has been delivered; what follows happened later. Comes also when nothing matches.
    Progress(Position),
}

/// The items of a watch; ends after its first error.
///
/// ```
/// # use futures_util::StreamExt;
/// # use roa_core::{DynamicObject, WatchStream};
/// /// Until it ends, whatever comes.
/// async fn count(stream: WatchStream<DynamicObject>) -> usize {
///     stream.count().await
/// }
/// ```
pub type WatchStream<R> = BoxStream<'static, Result<WatchItem<R>, TailEnd>>;

/// Delivers the changes of one kind's objects: in order, none left out, none twice.
///
/// ```
/// # use futures_util::StreamExt;
/// # use roa_core::{DynamicObject, Result, Start, Watcher};
/// async fn first(watcher: &dyn Watcher<DynamicObject>) -> Result<()> {
///     let mut stream = watcher.watch(Start::Snapshot).await?;
///     println!("{:?}", stream.next().await.is_some());
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait Watcher<R: Resource>: Send + Sync {
    /// Begins a watch.
    ///
    /// # Errors
    /// [`Error::Expired`](crate::Error::Expired) if the start is no longer kept or of another history: begin with a
    /// snapshot. [`Error::TooLarge`](crate::Error::TooLarge) if it has not been reached.
    ///
    /// # Cancel safety
    /// Safe; dropping the stream frees what it holds.
    async fn watch(&self, start: Start) -> Result<WatchStream<R>>;
}
