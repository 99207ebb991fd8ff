//! The two ways to watch a kind: [`StreamWatcher`] over a hub, [`PollWatcher`] over any store. Both deliver every
//! change in order; what differs is when.

mod measured;
mod poll;
mod stream;

pub(crate) use measured::MeasuredWatcher;
pub use measured::WatchHealth;
pub use poll::PollWatcher;
pub use stream::StreamWatcher;

use std::sync::Arc;

use roa_core::{ChangeKind, Entry, Position, Resource, Revision, WatchEvent, WatchItem};

use crate::EventSlice;

/// The events of a slice as objects of a type, revision by revision.
fn decode<R: Resource>(slice: &EventSlice) -> Vec<WatchItem<R>> {
    let at = |revision| Position { revision, ..slice.position() };
    let items = slice.batches().map(|(revision, events)| WatchItem::Events {
        position: at(revision),
        events: events.into_iter().map(|event| decode_entry(event.change, event.entry, revision)).collect(),
    });
    items.collect()
}

fn decode_entry<R: Resource>(change: ChangeKind, entry: &Entry, revision: Revision) -> WatchEvent<R> {
    let object = R::decode(entry).map(|mut object| {
        if change == ChangeKind::Deleted {
            object.set_revision(revision);
        }
        Arc::new(object)
    });
    if let Err(error) = &object {
        tracing::error!(key = %entry.key, %error, "an object can't be read; others go on");
    }
    WatchEvent { change, key: entry.key.clone(), object }
}
