//! [`StreamWatcher`]: sees each change as soon as the hub does.

use std::marker::PhantomData;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{Resource, Result, Start, TailEnd, WatchItem, WatchStream, Watcher};

use super::decode;
use crate::{HubItem, Selection, WatchHub};

/// Watches a selection of one kind's objects over a hub: each change is seen as soon as it is committed.
#[derive(Debug, Clone)]
pub struct StreamWatcher<R> {
    hub: WatchHub,
    selection: Selection,
    resource: PhantomData<fn() -> R>,
}

impl<R: Resource> StreamWatcher<R> {
    /// A watcher of what `selection` selects, as objects of the type `R`.
    #[must_use]
    pub const fn new(hub: WatchHub, selection: Selection) -> Self {
        Self { hub, selection, resource: PhantomData }
    }
}

#[async_trait]
impl<R: Resource> Watcher<R> for StreamWatcher<R> {
    async fn watch(&self, start: Start) -> Result<WatchStream<R>> {
        let watch = self.hub.watch(self.selection.clone(), start).await?;
        Ok(watch.flat_map(|item| stream::iter(items(item))).boxed())
    }
}

fn items<R: Resource>(item: Result<HubItem, TailEnd>) -> Vec<Result<WatchItem<R>, TailEnd>> {
    match item {
        Ok(HubItem::Events(slice)) => decode(&slice).into_iter().map(Ok).collect(),
        Ok(HubItem::Synced(position)) => vec![Ok(WatchItem::Synced(position))],
        Ok(HubItem::Progress(position)) => vec![Ok(WatchItem::Progress(position))],
        Err(end) => vec![Err(end)],
    }
}
