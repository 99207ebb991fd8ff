//! [`StreamWatcher`]: sees each change as soon as the hub does.

use std::marker::PhantomData;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{Resource, Result, Start, TailEnd, WatchItem, WatchStream, Watcher};

use super::decode;
use crate::{EventSlice, HubItem, Selection, WatchHub};

/// Watches a selection of one kind's objects over a hub: each change is seen as soon as it is committed.
///
/// ```
/// # use std::sync::Arc;
/// # use futures_util::StreamExt;
/// # use roa_core::{
/// #     DynamicObject, Key, KeyPrefix, Start, Store, StoredObject, SystemRandom, Txn, TxnId, WatchItem, Watcher,
/// # };
/// # use roa_runtime::{HubConfig, Selection, StreamWatcher, SystemClock, WatchHub};
/// # use roa_store_memory::{MemoryConfig, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
/// # let store: Arc<dyn Store> = Arc::new(MemoryStore::new(MemoryConfig::default(), clock.clone(), random.clone()));
/// # let lab = DynamicObject::from_json(serde_json::json!({
/// #     "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "one" }
/// # }))?;
/// # let txn = Txn::new(TxnId::random(&*random), "docs");
/// # let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// # store.commit(txn.create(key, StoredObject::encode(&lab)?)).await?;
/// let hub = WatchHub::start(store, clock, HubConfig::default()).await?;
/// let labs = Selection::prefix(KeyPrefix::resource("lab.example.com", "labs")?);
/// let watcher = StreamWatcher::<DynamicObject>::new(hub, labs);
/// let mut watch = watcher.watch(Start::Snapshot).await?;
/// let Some(Ok(WatchItem::Events { events, .. })) = watch.next().await else { panic!("there is a lab") };
/// assert_eq!(events[0].object.as_ref().unwrap().metadata.name, "one");
/// # Ok(())
/// # }
/// ```
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
        Ok(HubItem::Events(slice)) => events(&slice).into_iter().map(Ok).collect(),
        Ok(HubItem::Synced(position)) => vec![Ok(WatchItem::Synced(position))],
        Ok(HubItem::Progress(position)) => vec![Ok(WatchItem::Progress(position))],
        Err(end) => vec![Err(end)],
    }
}

/// The events of a slice, and how far it goes: what follows its last event did not match, and the hub does not say again
/// that it was passed over.
fn events<R: Resource>(slice: &EventSlice) -> Vec<WatchItem<R>> {
    let mut items = decode(slice);
    let position = slice.position();
    if !matches!(items.last(), Some(WatchItem::Events { position: last, .. }) if *last == position) {
        items.push(WatchItem::Progress(position));
    }
    items
}
