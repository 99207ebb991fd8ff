//! Finalizers, and the condition of an object that was given up: what the driver itself writes.

use roa_core::lifecycle::FieldValidation;
use roa_core::{ConditionStatus, Conditions, Context, DynamicObject, Error, Key, MAX_CONFLICTS, Result};

/// The condition that says whether the last calls succeeded.
const RECONCILED: &str = "Reconciled";

/// Puts a finalizer on an object, unless it is going.
pub(super) async fn add(cx: &Context, key: &Key, name: &str) -> Result<()> {
    change(cx, key, |object| {
        let metadata = &mut object.metadata;
        let wanted = !metadata.is_deleting() && !metadata.has_finalizer(name);
        if wanted {
            metadata.finalizers.push(name.to_owned());
        }
        wanted
    })
    .await
}

/// Takes a finalizer off an object; with the last one the object goes.
pub(super) async fn remove(cx: &Context, key: &Key, name: &str) -> Result<()> {
    change(cx, key, |object| {
        let wanted = object.metadata.has_finalizer(name);
        object.metadata.finalizers.retain(|finalizer| finalizer != name);
        wanted
    })
    .await
}

async fn change(cx: &Context, key: &Key, change: impl Fn(&mut DynamicObject) -> bool) -> Result<()> {
    for attempt in 1.. {
        let mut object = match cx.resources().get(key).await {
            Err(Error::NotFound { .. }) => return Ok(()),
            outcome => outcome?,
        };
        if !change(&mut object) {
            return Ok(());
        }
        match cx.resources().update(object, FieldValidation::Ignore).await {
            Err(Error::Conflict { .. }) if attempt < MAX_CONFLICTS => {}
            Err(Error::NotFound { .. }) => return Ok(()),
            outcome => return outcome.map(|_| ()),
        }
    }
    Ok(())
}

/// Takes back that an object was given up, if it says so: whoever said it.
pub(super) async fn clear_given_up(cx: &Context, key: &Key) -> Result<()> {
    let (Some(entry), _) = cx.resources().entry(key).await? else { return Ok(()) };
    let object = entry.object().map_err(Clone::clone)?;
    if !names(object.stored(), RECONCILED) {
        return Ok(());
    }
    if !say_given_up(&object.to_dynamic()?.conditions()) {
        return Ok(());
    }
    set_reconciled(cx, key, ConditionStatus::True, (RECONCILED, "")).await
}

/// Whether these are the conditions of an object that was given up.
pub(super) fn say_given_up(conditions: &Conditions) -> bool {
    conditions.get(RECONCILED).is_some_and(|condition| condition.status != ConditionStatus::True)
}

/// Whether a word stands anywhere in JSON: so most objects need not be parsed.
fn names(json: &[u8], word: &str) -> bool {
    json.windows(word.len()).any(|found| found == word.as_bytes())
}

/// Says in an object's status whether its last calls succeeded.
pub(super) async fn set_reconciled(cx: &Context, key: &Key, status: ConditionStatus, why: (&str, &str)) -> Result<()> {
    cx.resources().set_condition(key, RECONCILED, status, why).await.map(|_| ())
}
