//! Deleting: one object, or those that a selector finds.

use hyper::StatusCode;
use roa_core::lifecycle::{DeleteOptions, Preconditions, Propagation};
use roa_core::{DEFAULT_NAMESPACE, DynamicObject, Error, Key, ListOptions, ResourceStore, Revision};
use serde::Deserialize;
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

/// The options of a deletion as clients send them. What is of another type than these must not count for nothing: the
/// object would be gone.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sent {
    dry_run: Option<Vec<String>>,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    grace_period_seconds: Option<u64>,
    preconditions: Option<SentPreconditions>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SentPreconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Sent {
    fn read(call: &Call) -> Result<Self, ApiError> {
        if call.input.bytes.is_empty() {
            return Ok(Self::default());
        }
        let body = call.input.object()?.tree;
        let is_mapping = |tree: &Json| tree.is_object() || tree.is_null();
        if !(is_mapping(&body) && body.get("preconditions").is_none_or(is_mapping)) {
            return Err(ApiError::bad_request("the body is no DeleteOptions: expected mappings"));
        }
        serde_json::from_value::<Option<Self>>(body)
            .map(Option::unwrap_or_default)
            .map_err(|error| ApiError::bad_request(format!("the body is no DeleteOptions: {error}")))
    }
}

/// The options of a deletion: in the body, or as parameters.
fn read_options(call: &Call) -> Result<Asked, ApiError> {
    let (sent, query) = (Sent::read(call)?, &call.query);
    let mut dry_run = query.dry_run()?;
    for asked in sent.dry_run.iter().flatten() {
        if asked != "All" {
            return Err(ApiError::bad_request(format!(
                "dryRun: Unsupported value: {asked:?}: supported values: \"All\""
            )));
        }
        dry_run = true;
    }
    let propagation = match sent.propagation_policy.as_deref().or_else(|| query.get("propagationPolicy")) {
        None | Some("Background") => Propagation::Background,
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        Some(other) => {
            let message = format!("propagationPolicy is {other:?}, expected Background, Foreground or Orphan");
            return Err(ApiError::bad_request(message));
        }
    };
    let propagation = if sent.orphan_dependents == Some(true) { Propagation::Orphan } else { propagation };
    let grace_period_seconds = match sent.grace_period_seconds {
        None => query.number("gracePeriodSeconds")?,
        grace => grace,
    };
    let preconditions = sent.preconditions.map(preconditions).transpose()?.unwrap_or_default();
    Ok(Asked { options: DeleteOptions { preconditions, grace_period_seconds, propagation }, dry_run })
}

fn preconditions(sent: SentPreconditions) -> Result<Preconditions, ApiError> {
    let parse = |text: String| {
        let revision = text.parse().ok().and_then(|number| Revision::new(number).ok());
        revision.ok_or_else(|| {
            ApiError::bad_request(format!(
                "preconditions.resourceVersion is {text:?}, expected one that the server gave"
            ))
        })
    };
    Ok(Preconditions { uid: sent.uid, resource_version: sent.resource_version.map(parse).transpose()? })
}
