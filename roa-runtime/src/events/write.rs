//! How a series of events becomes an object, and how it goes.

use std::num::NonZeroUsize;
use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, FieldValidation, Preconditions};
use roa_core::{
    Context, DynamicObject, Error, KindDescriptor, ListOptions, MAX_CONFLICTS, Metadata, Namespace, Result, Severity,
    Spec, StoredObject, Timestamp,
};
use serde_json::{Map, Value as Json, json};

use super::pending::{Series, SeriesId};

const PAGE: NonZeroUsize = NonZeroUsize::new(500).unwrap();

/// Adds a series to its object, which is made if there is none. That makes no namespace: one that is gone would come back
/// with the events of what went with it.
pub(super) async fn write(cx: &Context, kind: &KindDescriptor, id: &SeriesId, series: &Series) -> Result<()> {
    let resources = cx.resources().clone().strict_namespaces();
    // Events of objects of cluster scope are in the default namespace, as in Kubernetes.
    let namespace = Some(series.last.object.namespace()).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
    let name = id.name(series.last.object.name());
    let key = kind.key(namespace, &name)?;
    for attempt in 1.. {
        let written = match resources.get(&key).await {
            Ok(mut object) => {
                add(&mut object, series)?;
                resources.update(object, FieldValidation::Ignore).await
            }
            Err(Error::NotFound { .. }) => {
                let object = DynamicObject {
                    api_version: kind.api_version(),
                    kind: kind.kind.to_string(),
                    metadata: Metadata::named(namespace, &*name),
                    body: body(cx, series)?,
                    ..DynamicObject::default()
                };
                resources.create(object, FieldValidation::Ignore).await
            }
            Err(error) => Err(error),
        };
        match written {
            Err(error) if is_without_namespace(&error) => return Err(error),
            Err(Error::Conflict { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })
                if attempt < MAX_CONFLICTS => {}
            outcome => return outcome.map(|_| ()),
        }
    }
    Ok(())
}

/// Whether the namespace of the event is gone, or about to go.
pub(super) fn is_without_namespace(error: &Error) -> bool {
    match error {
        Error::NamespaceTerminating { .. } => true,
        Error::NotFound { key } => (key.group(), key.resource()) == (Namespace::GROUP, Namespace::PLURAL),
        _ => false,
    }
}

fn body(cx: &Context, series: &Series) -> Result<Map<String, Json>> {
    let event = &series.last;
    let (key, component) = (&event.object, &*event.component);
    let mut involved = json!({"name": key.name(), "namespace": key.namespace(), "uid": event.uid});
    if let Some(kind) = cx.resources().kinds().by_plural(key.group(), key.resource()) {
        involved["apiVersion"] = json!(kind.api_version());
        involved["kind"] = json!(&*kind.kind);
    }
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    let body = json!({
        "involvedObject": involved,
        "type": severity,
        "reason": event.reason,
        "message": event.message,
        "count": series.count,
        "firstTimestamp": time(series.first_at)?,
        "lastTimestamp": time(event.at)?,
        "source": {"component": component},
        "reportingComponent": component,
    });
    match body {
        Json::Object(body) => Ok(body),
        other => Err(Error::corrupt(format!("an event's body is a mapping, found {other}"))),
    }
}

fn add(object: &mut DynamicObject, series: &Series) -> Result<()> {
    let count = object.body.get("count").and_then(Json::as_u64).unwrap_or(0);
    object.body.insert("count".to_owned(), json!(count.saturating_add(series.count)));
    object.body.insert("message".to_owned(), json!(series.last.message));
    object.body.insert("lastTimestamp".to_owned(), time(series.last.at)?);
    Ok(())
}

fn time(at: Timestamp) -> Result<Json> {
    serde_json::to_value(at.truncate_to_seconds()).map_err(|error| Error::corrupt(error.to_string()))
}

/// Deletes the events that nobody added to for so long; gives how many.
pub(super) async fn sweep(cx: &Context, kind: &KindDescriptor, ttl: Duration) -> Result<u64> {
    let (mut options, mut gone) = (ListOptions::everywhere().limit(PAGE), 0);
    loop {
        let page = cx.resources().list(kind, &options).await?;
        for entry in &page.entries {
            let object = match entry.object().map_err(Clone::clone).and_then(StoredObject::to_dynamic) {
                Ok(object) => object,
                Err(error) => {
                    tracing::error!(key = %entry.key, %error, "an event can't be read and stays; others go");
                    continue;
                }
            };
            if last_seen(&object).is_some_and(|at| at.saturating_add(ttl) <= cx.now()) {
                let Metadata { uid, resource_version, .. } = object.metadata;
                let preconditions = Preconditions { uid: Some(uid), resource_version };
                match cx
                    .resources()
                    .delete(&entry.key, &DeleteOptions { preconditions, ..DeleteOptions::default() })
                    .await
                {
                    Ok(_) => gone += 1,
                    // It was added to, or somebody else was faster.
                    Err(Error::Conflict { .. } | Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        match page.next {
            Some(next) => options = options.resume(next),
            None => return Ok(gone),
        }
    }
}

fn last_seen(object: &DynamicObject) -> Option<Timestamp> {
    let said =
        ["lastTimestamp", "eventTime"].into_iter().find_map(|field| object.body.get(field)?.as_str()?.parse().ok());
    said.or(object.metadata.last_modified).or(object.metadata.creation_timestamp)
}
