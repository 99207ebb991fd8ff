//! Writing: create, replace, patch.

use hyper::StatusCode;
use roa_core::lifecycle::FieldValidation;
use roa_core::{DynamicObject, Error, MAX_CONFLICTS, ResourceStore};
use serde_json::Value as Json;

use super::admit::Admitted;
use super::{Objects, Part, Rendering, Target, WriteOptions, scale};
use crate::builtin;
use crate::catalog::Conversion;
use crate::http::{Answer, ApiError, Call, Input, Parsed, answer};
use crate::patch;

/// The media types of patches.
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// A patch that was read.
enum Patch {
    Merge(Json),
    Json(Json),
}

impl Objects {
    /// Creates an object in a collection.
    pub(super) async fn create(&self, target: &Target, rendering: &Rendering, call: &Call) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        let admitted = self.admit(target, call.input.object()?, options.checks)?;
        let resources = self.writing(&options);
        if target.served.is_namespaced() {
            let Some(namespace) = &target.namespace else { return Err(ApiError::method_not_allowed()) };
            self.shared.config.namespaces.ensure(&resources, namespace).await?;
        }
        let created = resources.create(admitted.object, FieldValidation::Ignore).await;
        let mut created = created.map_err(|error| self.explain(error, target))?;
        if options.dry_run {
            created.metadata.resource_version = None;
        }
        self.written(StatusCode::CREATED, target, rendering, created, &admitted.warnings)
    }

    /// Replaces an object, or a part of it, by what is sent.
    pub(super) async fn replace(
        &self,
        target: &Target,
        rendering: &Rendering,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        let resources = self.writing(&options);
        let parsed = call.input.object()?;
        if target.part == Part::Scale {
            let current = self.current(target).await?;
            let next = scale::put(&target.served.kind, current, &parsed.tree)?;
            let written = self.update(target, &resources, next).await?;
            return self.written(StatusCode::OK, target, rendering, written, &[]);
        }
        let admitted = self.admit(target, parsed, options.checks)?;
        self.current(target).await?;
        let written = self.update(target, &resources, admitted.object).await?;
        self.written(StatusCode::OK, target, rendering, written, &admitted.warnings)
    }

    /// Changes an object, or a part of it. If somebody else writes in between, the patch is put on what they wrote; one
    /// that names a `resourceVersion` is refused then.
    pub(super) async fn patch(&self, target: &Target, rendering: &Rendering, call: &Call) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        let patch = read_patch(&call.input)?;
        for _ in 1..MAX_CONFLICTS {
            match self.patch_once(target, &patch, &options).await {
                Err(Failed::Conflict(_)) => {}
                outcome => return self.patched(target, rendering, outcome),
            }
        }
        let outcome = self.patch_once(target, &patch, &options).await;
        self.patched(target, rendering, outcome)
    }

    fn patched(
        &self,
        target: &Target,
        rendering: &Rendering,
        outcome: Result<(DynamicObject, Vec<String>), Failed>,
    ) -> Result<Answer, ApiError> {
        match outcome {
            Ok((object, warnings)) => self.written(StatusCode::OK, target, rendering, object, &warnings),
            Err(Failed::Conflict(error)) => Err(self.explain(error, target)),
            Err(Failed::Answered(error)) => Err(error),
        }
    }

    async fn patch_once(
        &self,
        target: &Target,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<(DynamicObject, Vec<String>), Failed> {
        let current = self.current(target).await?;
        let version = current.metadata.resource_version;
        let mut tree = match target.part {
            Part::Scale => scale::of(&target.served.kind, &current),
            Part::Main | Part::Status => shown(target, current.clone()),
        };
        apply(patch, &mut tree)?;
        let Admitted { object: mut next, warnings } = match target.part {
            Part::Scale => Admitted { object: scale::put(&target.served.kind, current, &tree)?, warnings: Vec::new() },
            Part::Main | Part::Status => self.admit(target, Parsed { tree, duplicates: Vec::new() }, options.checks)?,
        };
        if next.metadata.resource_version.is_none() {
            next.metadata.resource_version = version;
        }
        // A patch that names another version than the current one is refused for good.
        let is_current = next.metadata.resource_version == version;
        let resources = self.writing(options);
        match self.store(target, &resources, next).await {
            Ok(written) => Ok((written, warnings)),
            Err(error @ Error::Conflict { .. }) if is_current => Err(Failed::Conflict(error)),
            Err(error) => Err(Failed::Answered(self.explain(error, target))),
        }
    }

    async fn current(&self, target: &Target) -> Result<DynamicObject, ApiError> {
        self.resources.get(&target.key()?).await.map_err(|error| self.explain(error, target))
    }

    async fn update(
        &self,
        target: &Target,
        resources: &ResourceStore,
        next: DynamicObject,
    ) -> Result<DynamicObject, ApiError> {
        self.store(target, resources, next).await.map_err(|error| self.explain(error, target))
    }

    async fn store(
        &self,
        target: &Target,
        resources: &ResourceStore,
        next: DynamicObject,
    ) -> Result<DynamicObject, Error> {
        match target.part {
            Part::Status => resources.update_status(next).await,
            Part::Main | Part::Scale => resources.update(next, FieldValidation::Ignore).await,
        }
    }

    fn writing(&self, options: &WriteOptions) -> ResourceStore {
        let resources = self.resources.clone().writing_as(options.manager.as_str());
        if options.dry_run { resources.dry_run() } else { resources }
    }

    fn written(
        &self,
        code: StatusCode,
        target: &Target,
        rendering: &Rendering,
        object: DynamicObject,
        warnings: &[String],
    ) -> Result<Answer, ApiError> {
        if target.part == Part::Scale {
            return self.answer_scale(code, &scale::of(&target.served.kind, &object), rendering);
        }
        let body = rendering.object(object, self.now()).to_string();
        Ok(answer::with_warnings(answer::bytes(code, rendering.content_type(), body), warnings))
    }
}

/// Why a patch was not written.
enum Failed {
    /// Somebody else wrote in between.
    Conflict(Error),
    /// Anything else.
    Answered(ApiError),
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self::Answered(error)
    }
}

/// An object as the client sees it, and so as it patches it.
fn shown(target: &Target, object: DynamicObject) -> Json {
    match target.served.conversion {
        Conversion::None => object.to_json(),
        Conversion::Events => builtin::event_from_stored(object).to_json(),
    }
}

fn read_patch(input: &Input) -> Result<Patch, ApiError> {
    match input.media.as_str() {
        "application/merge-patch+json" => Ok(Patch::Merge(input.json()?.tree)),
        "application/json-patch+json" => Ok(Patch::Json(input.json()?.tree)),
        _ => Err(ApiError::unsupported_media_type(PATCHES)),
    }
}

fn apply(patch: &Patch, tree: &mut Json) -> Result<(), ApiError> {
    let applied = match patch {
        Patch::Merge(merge) => patch::merge_patch(tree, merge),
        Patch::Json(operations) => patch::json_patch(tree, operations.clone()),
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
