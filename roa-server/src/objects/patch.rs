//! [`Patch`]: a patch that was read, and server-side apply.

use hyper::StatusCode;
use roa_core::{DynamicObject, Error};
use serde_json::Value as Json;

use super::admit::{default, read, to_stored};
use super::write::{Done, Failed};
use super::{Objects, Part, Target, WriteOptions};
use crate::apply::{ApplyError, Conflict, apply};
use crate::catalog::Served;
use crate::http::{ApiError, Form, Input, Parsed};
use crate::objects::Rendering;
use crate::patch::{json_patch, merge_patch, strategic_merge_patch};

/// The media types of patches.
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
/// The media type of what only Kubernetes' own kinds take.
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A patch that was read.
pub(super) enum Patch {
    /// A JSON merge patch.
    Merge(Json),
    /// A strategic merge patch.
    Strategic(Json),
    /// A JSON patch.
    Json(Json),
    /// A configuration to apply.
    Apply(Parsed),
}

impl Patch {
    /// # Errors
    /// 415 for a type that the kind does not take, 400 for what does not parse.
    pub(super) fn read(input: &Input, served: &Served) -> Result<Self, ApiError> {
        match input.media.as_str() {
            STRATEGIC if served.is_builtin() => Ok(Self::Strategic(input.json()?.tree)),
            "application/merge-patch+json" => Ok(Self::Merge(input.json()?.tree)),
            "application/json-patch+json" => Ok(Self::Json(input.json()?.tree)),
            "application/apply-patch+yaml" => Ok(Self::Apply(input.yaml()?)),
            _ => Err(ApiError::unsupported_media_type(PATCHES)),
        }
    }

    /// Puts it on an object.
    ///
    /// # Errors
    /// 422 if it does not fit, 413 if it is too large.
    pub(super) fn put_on(&self, tree: &mut Json) -> Result<(), ApiError> {
        let applied = match self {
            Self::Merge(merge) => merge_patch(tree, merge),
            Self::Strategic(merge) => strategic_merge_patch(tree, merge),
            Self::Json(operations) => json_patch(tree, operations.clone()),
            Self::Apply(_) => return Err(ApiError::internal("a configuration is no patch")),
        };
        applied.map_err(|error| {
            let (code, reason) = match error.status() {
                413 => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
                422 => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
                _ => (StatusCode::BAD_REQUEST, "BadRequest"),
            };
            ApiError::new(code, reason, format!("the patch was not applied: {error}"))
        })
    }
}

impl Objects {
    /// Applies a configuration to the object as it is now, which may not exist yet.
    pub(super) async fn apply_once(
        &self,
        target: &Target,
        parsed: &Parsed,
        options: &WriteOptions,
    ) -> Result<Done, Failed> {
        if !options.names_manager {
            let found = roa_core::Violations::one("fieldManager", "Required value: is required for apply patch");
            return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", &found).into());
        }
        if target.part == Part::Scale {
            return Err(ApiError::unsupported_media_type(PATCHES).into());
        }
        let mut applied = parsed.tree.clone();
        let warnings = read(target, &mut applied, &parsed.duplicates, options.checks)?;
        let live = match self.resources.get(&target.key()?).await {
            Ok(live) => Some(live),
            Err(Error::NotFound { .. }) if target.part == Part::Main => None,
            Err(error) => return Err(self.explain(error, target).into()),
        };
        let merged = self.merge(target, live.as_ref(), &applied, options)?;
        match live {
            None => self.create_applied(target, merged, options, warnings).await,
            Some(live) => self.update_applied(target, &live, merged, options, warnings).await,
        }
    }

    fn merge(
        &self,
        target: &Target,
        live: Option<&DynamicObject>,
        applied: &Json,
        options: &WriteOptions,
    ) -> Result<DynamicObject, ApiError> {
        let shown = live.map(|live| self.shown(target, live.clone()));
        let api_version = target.served.api_version();
        let writer = self.writer(target, options, &api_version);
        let merged = apply(&target.served.schema, shown.as_ref(), applied, &writer, options.force);
        let merged = default(target, merged.map_err(|error| refused(&error, target))?);
        self.check_schema(target, shown.as_ref(), &merged)?;
        let merged = to_stored(target, merged)?;
        self.check_write(live, &merged)?;
        Ok(merged)
    }

    async fn create_applied(
        &self,
        target: &Target,
        merged: DynamicObject,
        options: &WriteOptions,
        warnings: Vec<String>,
    ) -> Result<Done, Failed> {
        match self.create_in(target, merged, options).await {
            Ok(created) => Ok((StatusCode::CREATED, created, warnings)),
            Err(error @ Error::AlreadyExists { .. }) => Err(Failed::Overtaken(error)),
            Err(error) => Err(Failed::Answered(self.explain(error, target))),
        }
    }

    async fn update_applied(
        &self,
        target: &Target,
        live: &DynamicObject,
        mut merged: DynamicObject,
        options: &WriteOptions,
        warnings: Vec<String>,
    ) -> Result<Done, Failed> {
        let version = live.metadata.resource_version;
        if merged.metadata.resource_version.is_none() {
            merged.metadata.resource_version = version;
        }
        let is_current = merged.metadata.resource_version == version;
        match self.update(target, merged, options).await {
            Ok(written) => Ok((StatusCode::OK, written, warnings)),
            Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) if is_current => {
                Err(Failed::Overtaken(error))
            }
            Err(error) => Err(Failed::Answered(self.explain(error, target))),
        }
    }

    /// An object as the client sees it, and so as it changes it.
    pub(super) fn shown(&self, target: &Target, object: DynamicObject) -> Json {
        let rendering = Rendering { served: std::sync::Arc::clone(&target.served), form: Form::Object };
        rendering.converted(object).to_json()
    }
}

fn refused(error: &ApplyError, target: &Target) -> ApiError {
    let (group, plural, name) = target.subject();
    match error {
        ApplyError::Conflicts(conflicts) => {
            let refused = ApiError::new(StatusCode::CONFLICT, "Conflict", conflicts.to_string());
            let refused = refused.about(group, plural, name);
            let causes = conflicts.conflicts.iter();
            causes
                .fold(refused, |refused, conflict| refused.cause(Conflict::REASON, conflict.message(), &conflict.field))
        }
        error => ApiError::bad_request(error.to_string()),
    }
}
