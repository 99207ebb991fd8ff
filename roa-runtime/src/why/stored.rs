//! What the store alone says of an object.

use std::num::NonZeroUsize;
use std::sync::Arc;

use roa_core::{
    DEFAULT_NAMESPACE, DynamicObject, Entry, Error, FieldSelector, Key, KindDescriptor, ListOptions, Resource,
    ResourceStore, Result, Store, Timestamp,
};
use serde_json::Value as Json;

use super::{Explanation, FinalizerState, Happening, LastWrite, ObjectState, OwnerState, seconds};
use crate::lease::owner_of;

/// How many events are told.
const EVENTS: usize = 5;
/// How many events of a namespace are looked through.
const SCANNED: NonZeroUsize = NonZeroUsize::new(2_000).unwrap();

/// What the store alone says of an object: how it is, who wrote it last, its events, and which process should handle it,
/// of those that divide `group`. What that process is about, only that process knows: see [`Explainer`](crate::Explainer).
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{ResourceStore, Store};
/// # use roa_runtime::explain_from_store;
/// # async fn example(store: Arc<dyn Store>, resources: ResourceStore) -> roa_core::Result<()> {
/// let kind = resources.kinds().by_name("labs")?.clone();
/// let why = explain_from_store(&store, &resources, &kind, &kind.key("school", "one")?, Some("controllers")).await?;
/// println!("{}", why.waits_for.join("; "));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Unavailable`], [`Error::Corrupt`]. That there is no such object is no error.
pub async fn explain_from_store(
    store: &Arc<dyn Store>,
    resources: &ResourceStore,
    kind: &KindDescriptor,
    key: &Key,
    group: Option<&str>,
) -> Result<Explanation> {
    let now = resources.clock().now();
    let entry = store.get(key).await?.entry;
    let object = entry.as_deref().map(DynamicObject::decode).transpose()?;
    let mut told = Explanation {
        kind: kind.kind.to_string(),
        namespace: key.namespace().to_owned(),
        name: key.name().to_owned(),
        at: now,
        process: None,
        object: object.as_ref().map(state_of),
        last_write: entry.as_deref().zip(object.as_ref()).map(|(entry, object)| last_write(entry, object)),
        events: events(resources, kind, key, object.as_ref()).await?,
        owner: None,
        controllers: Vec::new(),
        finalizers: object.as_ref().map(|object| finalizers(object, now)).unwrap_or_default(),
        dependencies: Vec::new(),
        waits_for: Vec::new(),
        next_run: None,
    };
    if let Some(group) = group {
        told.owner = owner(&**store, group, key).await?;
    }
    told.waits_for = waits(kind, &told);
    Ok(told)
}

fn state_of(object: &DynamicObject) -> ObjectState {
    let phase = || object.status()?.get("phase")?.as_str();
    let metadata = &object.metadata;
    ObjectState {
        state: object.state().or_else(phase).map(str::to_owned),
        uid: metadata.uid.clone(),
        generation: metadata.generation,
        observed_generation: object.observed_generation(),
        created_at: metadata.creation_timestamp,
        deleted_at: metadata.deletion_timestamp,
        conditions: object.conditions().iter().cloned().collect(),
    }
}

fn last_write(entry: &Entry, object: &DynamicObject) -> LastWrite {
    LastWrite { writer: entry.writer.to_string(), at: object.metadata.last_modified, revision: entry.revision.get() }
}

fn finalizers(object: &DynamicObject, now: Timestamp) -> Vec<FinalizerState> {
    let since = object.metadata.deletion_timestamp;
    let waiting_seconds = since.map(|since| seconds(now.duration_since(since)));
    let names = object.metadata.finalizers.iter();
    names.map(|name| FinalizerState { name: name.clone(), owner: None, waiting_seconds }).collect()
}

async fn owner(store: &dyn Store, group: &str, key: &Key) -> Result<Option<OwnerState>> {
    let found = owner_of(store, group, key).await?;
    Ok(found.map(|found| OwnerState {
        what: found.what,
        since: found.holder.as_ref().map(|(_, since)| *since),
        process: found.holder.map(|(holder, _)| holder),
        is_self: false,
        address: found.address,
        has_heartbeat: found.has_heartbeat,
    }))
}

/// The newest events of an object, or of all that had its name if it is gone; none where events are no objects.
async fn events(
    resources: &ResourceStore,
    kind: &KindDescriptor,
    key: &Key,
    object: Option<&DynamicObject>,
) -> Result<Vec<Happening>> {
    let Some(event_kind) = resources.kinds().by_plural("", "events") else { return Ok(Vec::new()) };
    let mut fields = format!("involvedObject.kind={},involvedObject.name={}", kind.kind, key.name());
    if let Some(object) = object {
        fields.push_str(&format!(",involvedObject.uid={}", object.metadata.uid));
    }
    let fields: FieldSelector = fields.parse().map_err(|_| Error::corrupt(format!("{key} can't be selected by")))?;
    let namespace = if key.namespace().is_empty() { DEFAULT_NAMESPACE } else { key.namespace() };
    let options = ListOptions::namespace(namespace).fields(fields).limit(SCANNED);
    let page = resources.list(event_kind, &options).await?;
    let mut events = page.entries.iter().map(|entry| happening(entry)).collect::<Result<Vec<_>>>()?;
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    Ok(events)
}

fn happening(entry: &Entry) -> Result<Happening> {
    let body = DynamicObject::decode(entry)?.body;
    let text = |field: &str| body.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
    Ok(Happening {
        at: text("lastTimestamp").parse().ok(),
        component: text("reportingComponent"),
        severity: text("type"),
        reason: text("reason"),
        message: text("message"),
        count: body.get("count").and_then(Json::as_u64).unwrap_or(1),
    })
}

/// What it waits for, as far as the object itself says.
fn waits(kind: &KindDescriptor, told: &Explanation) -> Vec<String> {
    let Some(object) = &told.object else {
        return vec!["there is no such object: nothing is done for it until it is created".to_owned()];
    };
    let mut waits = Vec::new();
    if let Some(owner) = told.owner.as_ref().filter(|owner| owner.process.is_none() || !owner.has_heartbeat) {
        let who =
            owner.process.as_ref().map_or_else(|| "no process".to_owned(), |name| format!("{name}, which is gone,"));
        waits.push(format!("{who} has {}: the next process that is free takes it over", owner.what));
    }
    if object.deleted_at.is_some() {
        waits.extend(told.finalizers.iter().map(|finalizer| format!("finalizer {} to be taken off", finalizer.name)));
    }
    for condition in object.conditions.iter().filter(|condition| condition.status != kind.good_status(&condition.kind))
    {
        let (kind, reason, message) = (&condition.kind, &condition.reason, &condition.message);
        waits.push(format!("condition {kind}: {reason}{}{message}", if message.is_empty() { "" } else { ": " }));
    }
    if object.observed_generation != 0 && object.observed_generation < object.generation {
        let (seen, now) = (object.observed_generation, object.generation);
        waits.push(format!("its controller to see generation {now}; it has seen {seen}"));
    }
    waits
}
