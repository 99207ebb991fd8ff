//! Kinds that are declared at run time: follows the definitions in the store, so that every process serves the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    ChangeKind, ClockExt, DynamicObject, Error, KindDescriptor, KindRegistry, ListOptions, Result, Start, StoredObject,
};
use roa_runtime::{EventSlice, HubItem, Selection};

use super::Shared;
use crate::crd::{self, Acceptance, DeclaredKind};

/// How long to wait before following again what failed, and before looking again what is left of a kind that is going.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// Keeps a definition until the objects of its kind are gone.
const CLEANUP: &str = "apiextensions.k8s.io/customresourcecleanup";

/// Follows the definitions until dropped.
pub(super) async fn follow(shared: &Shared) {
    loop {
        if let Err(error) = follow_once(shared).await {
            tracing::debug!(%error, "definitions of kinds are followed anew");
        }
        shared.clock.sleep(RETRY).await;
    }
}

async fn follow_once(shared: &Shared) -> Result<()> {
    let prefix = crd::definition_kind().prefix(None)?;
    let mut watch = shared.hub.watch(Selection::prefix(prefix), Start::Snapshot).await?;
    let mut known = BTreeMap::new();
    let mut synced = false;
    loop {
        let looked = tokio::select! {
            item = watch.next() => item,
            () = shared.clock.sleep(RETRY), if synced && known.values().any(is_going) => {
                serve(shared, &known).await;
                continue;
            }
        };
        match looked {
            Some(Ok(HubItem::Events(slice))) => take(&mut known, &slice),
            Some(Ok(HubItem::Synced(_))) => synced = true,
            Some(Ok(_)) => continue,
            Some(Err(end)) => return Err(Error::unavailable(end.to_string())),
            None => return Err(Error::unavailable("the watch ended")),
        }
        if synced {
            serve(shared, &known).await;
        }
    }
}

fn is_going(definition: &DynamicObject) -> bool {
    definition.metadata.is_deleting()
}

pub(super) fn take(known: &mut BTreeMap<String, DynamicObject>, slice: &EventSlice) {
    for event in slice.events() {
        let name = event.entry.key.name().to_owned();
        if event.change == ChangeKind::Deleted {
            known.remove(&name);
            continue;
        }
        match event.entry.object().map_err(Clone::clone).and_then(StoredObject::to_dynamic) {
            Ok(definition) => _ = known.insert(name, definition),
            Err(error) => tracing::error!(%error, "a definition can't be read"),
        }
    }
}

/// A definition, whether it is accepted, and the kind that it declares if it is.
type Judged<'a> = (&'a DynamicObject, Acceptance, Option<KindDescriptor>);

/// The kinds of `own` and those that the definitions declare. The older of two has the name.
pub(super) fn declare<'a>(
    own: &KindRegistry,
    known: &'a BTreeMap<String, DynamicObject>,
) -> (KindRegistry, Vec<Judged<'a>>) {
    let mut kinds = own.clone();
    let mut definitions: Vec<_> = known.values().collect();
    definitions.sort_by_key(|definition| (definition.metadata.creation_timestamp, definition.metadata.name.clone()));
    let mut outcomes = Vec::new();
    for definition in definitions {
        let tree = definition.to_json();
        let acceptance = crd::accept(&tree, kinds.iter().map(|kind| &**kind));
        if acceptance == Acceptance::Accepted {
            match DeclaredKind::of(&tree) {
                Ok(declared) => {
                    outcomes.push((definition, acceptance, Some(declared.descriptor.clone())));
                    kinds = kinds.with_kind(declared.descriptor);
                    continue;
                }
                Err(error) => tracing::warn!(name = definition.metadata.name, %error, "a definition declares no kind"),
            }
        }
        outcomes.push((definition, acceptance, None));
    }
    (kinds, outcomes)
}

/// Serves what the definitions declare, and says so in their status.
async fn serve(shared: &Shared, known: &BTreeMap<String, DynamicObject>) {
    let (kinds, outcomes) = declare(shared.resources.kinds(), known);
    let kinds = Arc::new(kinds);
    shared.set_kinds(Arc::clone(&kinds));
    for (definition, acceptance, declared) in outcomes {
        let outcome = match declared.filter(|_| is_going(definition)) {
            Some(kind) => clean_up(shared, &kinds, definition, &kind).await,
            None => say(shared, definition, &acceptance).await,
        };
        match outcome {
            // Another process said it, or the definition changed: its event comes.
            Ok(()) | Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(name = definition.metadata.name, %error, "a definition could not be looked after");
            }
        }
    }
}

/// Keeps a definition until its kind is empty, and says in its status whether it is served.
async fn say(shared: &Shared, definition: &DynamicObject, acceptance: &Acceptance) -> Result<()> {
    if is_going(definition) {
        return release(shared, definition).await;
    }
    let mut definition = definition.clone();
    if !definition.metadata.has_finalizer(CLEANUP) {
        definition.metadata.finalizers.push(CLEANUP.to_owned());
        definition = shared.resources.update(definition, FieldValidation::Ignore).await?;
    }
    let now = shared.now().truncate_to_seconds();
    let status = crd::status(&definition.to_json(), acceptance, now);
    if definition.status() == Some(&status) {
        return Ok(());
    }
    definition.body.insert("status".to_owned(), status);
    shared.resources.update_status(definition).await.map(drop)
}

/// Deletes the objects of a kind that is going; when none is left, its definition may go.
async fn clean_up(
    shared: &Shared,
    kinds: &Arc<KindRegistry>,
    definition: &DynamicObject,
    kind: &KindDescriptor,
) -> Result<()> {
    let resources = shared.resources.clone().with_kinds(Arc::clone(kinds));
    let left = resources.list(kind, &ListOptions::everywhere()).await?;
    if left.entries.is_empty() {
        return release(shared, definition).await;
    }
    for entry in &left.entries {
        match resources.delete(&entry.key, &DeleteOptions::default()).await {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn release(shared: &Shared, definition: &DynamicObject) -> Result<()> {
    if !definition.metadata.has_finalizer(CLEANUP) {
        return Ok(());
    }
    let mut definition = definition.clone();
    definition.metadata.finalizers.retain(|finalizer| finalizer != CLEANUP);
    shared.resources.update(definition, FieldValidation::Ignore).await.map(drop)
}
