//! Examines one object, and does what is decided.

use std::sync::Arc;
use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, FieldValidation, Preconditions, Propagation};
use roa_core::{ClockExt, Context, DynamicObject, Error, Key, Metadata, OwnerReference, Result, Revision, Scope};

use super::collector::Collection;
use super::decide::{Decision, OwnerState, Situation, decide};
use super::graph::{Going, Uid};

/// How long the graph may take to show what the store answered.
const FRESH: Duration = Duration::from_secs(5);

/// Examines the object under a key as it is now.
pub(super) async fn examine(collection: &Collection, key: &Key, cx: &Context) -> Result<()> {
    let (Some(entry), revision) = cx.resources().entry(key).await? else { return Ok(()) };
    let object = entry.object().map_err(Clone::clone)?.to_dynamic()?;
    // The graph shows every dependent that was there when the object was read.
    wait_for_graph(collection, revision, cx).await?;
    let mut owners = Vec::new();
    for reference in &object.metadata.owner_references {
        owners.push(owner_state(collection, key, &object.metadata, reference, cx).await?);
    }
    let decision = collection.with_graph(|graph| {
        let uid = &*object.metadata.uid;
        let has_dependents = graph.dependents_of(uid).next().is_some();
        let (is_blocked, circle) = (graph.is_blocked(uid), graph.owners_in_a_circle(uid));
        decide(&Situation { metadata: &object.metadata, owners, has_dependents, is_blocked, circle })
    });
    act(collection, key, object, decision, cx).await
}

async fn wait_for_graph(collection: &Collection, revision: Revision, cx: &Context) -> Result<()> {
    tokio::select! {
        biased;
        () = collection.reached(revision) => Ok(()),
        () = collection.clock().sleep(FRESH) => Err(Error::unavailable(format!("the graph of owners is behind {revision}"))),
        () = cx.cancelled() => Err(Error::unavailable("shutting down")),
    }
}

/// How an owner is: by the graph if that has it, else by the store (D7).
async fn owner_state(
    collection: &Collection,
    key: &Key,
    dependent: &Metadata,
    reference: &OwnerReference,
    cx: &Context,
) -> Result<OwnerState> {
    let known = collection.with_graph(|graph| graph.node(&reference.uid).map(|node| (node.key.clone(), node.going)));
    if let Some((owner, going)) = known {
        return Ok(match (owner.namespace(), key.namespace()) {
            ("", _) => keeps(going),
            (theirs, ours) if theirs == ours => keeps(going),
            (_, ours) => {
                let state = if ours.is_empty() { OwnerState::Solid } else { OwnerState::Absent };
                misplaced(key, dependent, reference, cx);
                state
            }
        });
    }
    let Ok(kind) = cx.resources().kinds().by_manifest(&reference.api_version, &reference.kind) else {
        unresolved(key, dependent, reference, cx);
        return Ok(OwnerState::Solid);
    };
    if kind.scope == Scope::Namespaced && key.namespace().is_empty() {
        misplaced(key, dependent, reference, cx);
        return Ok(OwnerState::Solid);
    }
    let (entry, _) = cx.resources().entry(&kind.key(key.namespace(), &reference.name)?).await?;
    Ok(match entry.as_ref().map(|entry| entry.object()).transpose().map_err(Clone::clone)? {
        Some(owner) if owner.metadata.uid == reference.uid => keeps(Going::of(&owner.metadata)),
        _ => OwnerState::Absent,
    })
}

fn keeps(going: Going) -> OwnerState {
    if going == Going::Foreground { OwnerState::Waiting } else { OwnerState::Solid }
}

fn misplaced(key: &Key, dependent: &Metadata, reference: &OwnerReference, cx: &Context) {
    let OwnerReference { kind, name, uid, .. } = reference;
    let message =
        format!("owner {kind} {name} ({uid}) is not of cluster scope, and not in the namespace of the object");
    cx.warn(key.clone(), dependent, "OwnerRefInvalidNamespace", message);
}

fn unresolved(key: &Key, dependent: &Metadata, reference: &OwnerReference, cx: &Context) {
    let OwnerReference { api_version, kind, name, .. } = reference;
    let message = format!("owner {name} is of the kind {api_version} {kind}, which is not registered");
    cx.warn(key.clone(), dependent, "OwnerRefUnknownKind", message);
}

async fn act(
    collection: &Collection,
    key: &Key,
    mut object: DynamicObject,
    decision: Decision,
    cx: &Context,
) -> Result<()> {
    let action = match decision {
        Decision::Keep => return Ok(()),
        Decision::DropOwners(owners) => {
            drop_owners(&mut object.metadata, &owners);
            update(object, cx).await?;
            "owner_dropped"
        }
        Decision::Unblock(owners) => {
            for reference in
                object.metadata.owner_references.iter_mut().filter(|owner| owners.contains(&owner.uid.as_str().into()))
            {
                reference.block_owner_deletion = Some(false);
            }
            update(object, cx).await?;
            "unblocked"
        }
        Decision::Delete(propagation) => {
            delete(key, &object.metadata, propagation, cx).await?;
            "deleted"
        }
        Decision::OrphanDependents => {
            orphan_dependents(collection, &object.metadata.uid, cx).await?;
            "orphaned"
        }
        Decision::Release(finalizer) => {
            object.metadata.finalizers.retain(|name| name != finalizer);
            update(object, cx).await?;
            "released"
        }
    };
    collection.metrics().note(action);
    tracing::debug!(%key, action, "garbage collected");
    Ok(())
}

fn drop_owners(metadata: &mut Metadata, owners: &[Uid]) {
    metadata.owner_references.retain(|reference| !owners.iter().any(|uid| **uid == *reference.uid));
}

async fn update(object: DynamicObject, cx: &Context) -> Result<()> {
    cx.resources().update(object, FieldValidation::Ignore).await.map(|_| ())
}

/// Only the object that was looked at, as it was looked at: it may have another owner by now.
async fn delete(key: &Key, object: &Metadata, propagation: Propagation, cx: &Context) -> Result<()> {
    let preconditions = Preconditions { uid: Some(object.uid.clone()), resource_version: object.resource_version };
    let options = DeleteOptions { preconditions, propagation, ..DeleteOptions::default() };
    cx.resources().delete(key, &options).await.map(|_| ())
}

async fn orphan_dependents(collection: &Collection, owner: &str, cx: &Context) -> Result<()> {
    let dependents: Vec<Key> =
        collection.with_graph(|graph| graph.dependents_of(owner).map(|dependent| dependent.key.clone()).collect());
    for key in dependents {
        let (Some(entry), _) = cx.resources().entry(&key).await? else { continue };
        let mut object = entry.object().map_err(Clone::clone)?.to_dynamic()?;
        drop_owners(&mut object.metadata, &[Arc::from(owner)]);
        update(object, cx).await?;
    }
    Ok(())
}
