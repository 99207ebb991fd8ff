//! Writing: create, replace, patch, apply.

use hyper::StatusCode;
use roa_core::lifecycle::FieldValidation;
use roa_core::{DynamicObject, Error, MAX_CONFLICTS, ResourceStore};

use super::admit::{Admitted, drop_unknown};
use super::patch::Patch;
use super::{Objects, Part, Rendering, Target, WriteOptions, scale};
use crate::http::{Answer, ApiError, Call, Parsed, Written, answer};

/// What came of a write: the status code, the object as it is then, and what to warn of.
pub(super) type Done = (StatusCode, DynamicObject, Vec<String>);

/// Why a write was not done.
pub(super) enum Failed {
    /// Somebody else wrote in between: to be tried again with what they wrote.
    Overtaken(Error),
    /// Anything else.
    Answered(ApiError),
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self::Answered(error)
    }
}

impl Objects {
    /// Creates an object in a collection.
    pub(super) async fn create(&self, target: &Target, rendering: &Rendering, call: &Call) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        if target.served.is_namespaced() && target.namespace.is_none() {
            return Err(ApiError::method_not_allowed());
        }
        let Admitted { object, warnings } = self.admit(target, call.input.object()?, options.checks)?;
        let object = self.complete(target, None, &object, &options)?;
        let created = self.create_in(target, object, &options).await.map_err(|error| self.explain(error, target))?;
        self.written(target, rendering, (StatusCode::CREATED, created, warnings))
    }

    /// Replaces an object, or a part of it, by what is sent.
    pub(super) async fn replace(
        &self,
        target: &Target,
        rendering: &Rendering,
        call: &Call,
    ) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        let parsed = call.input.object()?;
        let current = self.current(target).await?;
        let Admitted { object: next, warnings } = match target.part {
            Part::Scale => {
                let object = scale::put(&target.served.kind, current.clone(), &parsed.tree)?;
                Admitted { object, warnings: Vec::new() }
            }
            Part::Main | Part::Status | Part::Told(_) => self.admit(target, parsed, options.checks)?,
        };
        let next = self.complete(target, Some(&current), &next, &options)?;
        let written = self.update(target, next, &options).await.map_err(|error| self.explain(error, target))?;
        self.written(target, rendering, (StatusCode::OK, written, warnings))
    }

    /// Changes an object, or a part of it. If somebody else writes in between, the patch is put on what they wrote; one
    /// that names a `resourceVersion` is refused then.
    pub(super) async fn patch(&self, target: &Target, rendering: &Rendering, call: &Call) -> Result<Answer, ApiError> {
        let options = WriteOptions::of(call)?;
        let patch = Patch::read(&call.input, &target.served)?;
        for last in (0..MAX_CONFLICTS).rev() {
            let outcome = match &patch {
                Patch::Apply(parsed) => self.apply_once(target, parsed, &options).await,
                patch => self.patch_once(target, patch, &options).await,
            };
            return match outcome {
                Ok(done) => self.written(target, rendering, done),
                Err(Failed::Overtaken(_)) if last > 0 => continue,
                Err(Failed::Overtaken(error)) => Err(self.explain(error, target)),
                Err(Failed::Answered(error)) => Err(error),
            };
        }
        Err(ApiError::internal("a patch was not tried"))
    }

    async fn patch_once(&self, target: &Target, patch: &Patch, options: &WriteOptions) -> Result<Done, Failed> {
        let current = self.current(target).await?;
        let version = current.metadata.resource_version;
        let mut tree = match target.part {
            Part::Scale => scale::of(&target.served.kind, &current),
            Part::Main | Part::Status | Part::Told(_) => {
                let mut shown = self.shown(target, current.clone());
                // What its kind no longer has is not what the client sent: it goes, and nobody is told off for it.
                drop_unknown(&target.served, &mut shown);
                shown
            }
        };
        patch.put_on(&mut tree)?;
        let Admitted { object: mut next, warnings } = match target.part {
            Part::Scale => {
                let object = scale::put(&target.served.kind, current.clone(), &tree)?;
                Admitted { object, warnings: Vec::new() }
            }
            Part::Main | Part::Status | Part::Told(_) => {
                self.admit(target, Parsed { tree, duplicates: Vec::new() }, options.checks)?
            }
        };
        if next.metadata.resource_version.is_none() {
            next.metadata.resource_version = version;
        }
        // A patch that names another version than the current one is refused for good.
        let is_current = next.metadata.resource_version == version;
        let next = self.complete(target, Some(&current), &next, options)?;
        match self.update(target, next, options).await {
            Ok(written) => Ok((StatusCode::OK, written, warnings)),
            Err(error @ Error::Conflict { .. }) if is_current => Err(Failed::Overtaken(error)),
            Err(error) => Err(Failed::Answered(self.explain(error, target))),
        }
    }

    async fn current(&self, target: &Target) -> Result<DynamicObject, ApiError> {
        self.resources.get(&target.key()?).await.map_err(|error| self.explain(error, target))
    }

    pub(super) async fn create_in(
        &self,
        target: &Target,
        object: DynamicObject,
        options: &WriteOptions,
    ) -> Result<DynamicObject, Error> {
        let created = self.writing(options).create(object, FieldValidation::Ignore).await?;
        self.wait_for_role(&created, target).await;
        Ok(created)
    }

    /// Writes the part that the path names.
    pub(super) async fn update(
        &self,
        target: &Target,
        next: DynamicObject,
        options: &WriteOptions,
    ) -> Result<DynamicObject, Error> {
        let resources = self.writing(options);
        let written = match target.part {
            Part::Status => resources.update_status(next).await,
            Part::Main | Part::Scale | Part::Told(_) => resources.update(next, FieldValidation::Ignore).await,
        }?;
        self.wait_for_role(&written, target).await;
        Ok(written)
    }

    fn writing(&self, options: &WriteOptions) -> ResourceStore {
        let resources = self.resources.clone().writing_as(options.manager.as_str());
        if options.dry_run { resources.dry_run() } else { resources }
    }

    /// The answer to a write.
    pub(super) fn written(&self, target: &Target, rendering: &Rendering, done: Done) -> Result<Answer, ApiError> {
        let (code, object, warnings) = done;
        let note = Written {
            name: object.metadata.name.clone(),
            uid: object.metadata.uid.clone(),
            revision: object.metadata.resource_version,
        };
        let mut answered = match target.part {
            Part::Scale => self.answer_scale(code, &scale::of(&target.served.kind, &object), rendering)?,
            Part::Main | Part::Status | Part::Told(_) => {
                let body = rendering.object(object, self.now()).to_string();
                answer::bytes(code, rendering.content_type(), body)
            }
        };
        answered.extensions_mut().insert(note);
        Ok(answer::with_warnings(answered, &warnings))
    }
}
