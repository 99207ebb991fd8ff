//! Deleting: one object, or those that a selector finds.

use hyper::StatusCode;
use roa_core::lifecycle::{DeleteOptions, Preconditions, Propagation};
use roa_core::{DEFAULT_NAMESPACE, DynamicObject, Error, Key, ListOptions, ResourceStore, Revision};
use serde_json::{Value as Json, json};

use super::{Objects, Rendering, Target};
use crate::http::{Answer, ApiError, Call, answer};

/// How a deletion is to be done.
struct Asked {
    options: DeleteOptions,
    dry_run: bool,
}

impl Objects {
    /// Deletes the object that is named, or marks it.
    pub(super) async fn delete(&self, target: &Target, rendering: &Rendering, call: &Call) -> Result<Answer, ApiError> {
        let asked = read_options(call)?;
        if is_immortal(target) {
            return Err(ApiError::forbidden("", "namespaces", DEFAULT_NAMESPACE, "this namespace may not be deleted"));
        }
        let resources = self.deleting(&asked, call);
        let deleted = resources.delete(&target.key()?, &asked.options).await;
        let deleted = deleted.map_err(|error| self.explain(error, target))?;
        if is_marked(&deleted) {
            let body = rendering.object(deleted, self.now()).to_string();
            return Ok(answer::bytes(StatusCode::OK, rendering.content_type(), body));
        }
        let (group, plural, name) = target.subject();
        let mut details = json!({ "name": name, "kind": plural, "uid": deleted.metadata.uid });
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        let status =
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details });
        Ok(answer::json(StatusCode::OK, &status))
    }

    /// Deletes what a list with the same parameters shows, one by one. What somebody else deletes meanwhile is gone too.
    pub(super) async fn delete_collection(
        &self,
        target: &Target,
        rendering: &Rendering,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let asked = read_options(call)?;
        let resources = self.deleting(&asked, call);
        let query = &call.query;
        let mut options =
            ListOptions::everywhere().labels(query.labels()?).fields(target.stored_fields(&query.fields()?)?);
        options.namespace.clone_from(&target.namespace);
        options.limit = query.limit()?;
        let list = self.resources.list(&target.served.kind, &options).await;
        let list = list.map_err(|error| self.explain(error, target))?;
        let mut items = Vec::new();
        for entry in &list.entries {
            if let Some(deleted) = self.delete_one(&resources, &entry.key, &asked, target).await? {
                items.push(rendering.object(deleted, self.now()));
            }
        }
        let kind = &target.served.kind.list_kind;
        let body = json!({
            "kind": kind, "apiVersion": target.served.api_version(),
            "metadata": { "resourceVersion": list.revision.to_string() }, "items": items,
        });
        Ok(answer::json(StatusCode::OK, &body))
    }

    async fn delete_one(
        &self,
        resources: &ResourceStore,
        key: &Key,
        asked: &Asked,
        target: &Target,
    ) -> Result<Option<DynamicObject>, ApiError> {
        match resources.delete(key, &asked.options).await {
            Ok(deleted) => Ok(Some(deleted)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.explain(error, target)),
        }
    }

    fn deleting(&self, asked: &Asked, call: &Call) -> ResourceStore {
        let agent = call.user_agent().and_then(|agent| agent.split('/').next()).unwrap_or("unknown");
        let resources = self.resources.clone().writing_as(agent);
        if asked.dry_run { resources.dry_run() } else { resources }
    }
}

/// Whether it is the namespace that clients rely on.
fn is_immortal(target: &Target) -> bool {
    let kind = &target.served.kind;
    (&*kind.group, &*kind.plural, target.name.as_deref()) == ("", "namespaces", Some(DEFAULT_NAMESPACE))
}

/// Whether it is still there, waiting for its finalizers.
fn is_marked(object: &DynamicObject) -> bool {
    object.metadata.is_deleting() && !object.metadata.finalizers.is_empty()
}

/// The options of a deletion: in the body, or as parameters.
fn read_options(call: &Call) -> Result<Asked, ApiError> {
    let body = if call.input.bytes.is_empty() { Json::Null } else { call.input.object()?.tree };
    let query = &call.query;
    let mut dry_run = query.dry_run()?;
    for asked in body.get("dryRun").and_then(Json::as_array).into_iter().flatten() {
        if asked != "All" {
            return Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {asked}: supported values: \"All\""
            )));
        }
        dry_run = true;
    }
    let text = |name: &str| body.get(name).and_then(Json::as_str).or_else(|| query.get(name));
    let propagation = match text("propagationPolicy") {
        None | Some("Background") => Propagation::Background,
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        Some(other) => {
            let message = format!("propagationPolicy is {other:?}, expected Background, Foreground or Orphan");
            return Err(ApiError::bad_request(message));
        }
    };
    let propagation = match body.get("orphanDependents").and_then(Json::as_bool) {
        Some(true) => Propagation::Orphan,
        _ => propagation,
    };
    let grace = body.get("gracePeriodSeconds").and_then(Json::as_u64);
    let grace_period_seconds = if grace.is_some() { grace } else { query.number("gracePeriodSeconds")? };
    let preconditions = preconditions(&body)?;
    Ok(Asked { options: DeleteOptions { preconditions, grace_period_seconds, propagation }, dry_run })
}

fn preconditions(body: &Json) -> Result<Preconditions, ApiError> {
    let text = |name: &str| body.get("preconditions").and_then(|asked| asked.get(name)?.as_str());
    let parse = |text: &str| {
        let revision = text.parse().ok().and_then(|number| Revision::new(number).ok());
        revision.ok_or_else(|| {
            ApiError::bad_request(format!(
                "preconditions.resourceVersion is {text:?}, expected one that the server gave"
            ))
        })
    };
    let resource_version = text("resourceVersion").map(parse).transpose()?;
    Ok(Preconditions { uid: text("uid").map(str::to_owned), resource_version })
}
