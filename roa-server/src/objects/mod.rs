//! Objects over HTTP: what each verb does to them.

mod admit;
mod continue_token;
mod delete;
mod options;
mod read;
mod render;
mod scale;
mod table;
mod target;
mod write;

use std::sync::Arc;

use hyper::{Method, StatusCode};
use roa_core::{Error, ResourceStore, Timestamp};
use serde_json::Value as Json;

pub(crate) use options::WriteOptions;
pub(crate) use render::Rendering;
pub(crate) use target::{Part, Target};

use crate::http::{Answer, ApiError, Call, answer};
use crate::server::Shared;
use crate::watch;

/// The objects of one request: the kinds are those of its beginning.
pub(crate) struct Objects {
    shared: Arc<Shared>,
    resources: ResourceStore,
}

impl Objects {
    pub(crate) fn new(shared: Arc<Shared>, resources: ResourceStore) -> Self {
        Self { shared, resources }
    }

    /// Does what a request asks for.
    ///
    /// # Errors
    /// What the client is told instead.
    pub(crate) async fn answer(&self, target: &Target, call: &Call) -> Result<Answer, ApiError> {
        let rendering = Rendering { served: Arc::clone(&target.served), form: call.form()? };
        let query = &call.query;
        self.check_verb(target, call)?;
        match (&call.method, target.name.is_some()) {
            (&Method::GET | &Method::HEAD, _) if call.is_watch() => {
                watch::begin(&self.shared, target, rendering, query).await
            }
            (&Method::GET | &Method::HEAD, true) => self.get(target, &rendering, query).await,
            (&Method::GET | &Method::HEAD, false) => self.list(target, &rendering, query).await,
            (&Method::POST, false) => self.create(target, &rendering, call).await,
            (&Method::PUT, true) => self.replace(target, &rendering, call).await,
            (&Method::PATCH, true) => self.patch(target, &rendering, call).await,
            (&Method::DELETE, true) if target.part == Part::Main => self.delete(target, &rendering, call).await,
            (&Method::DELETE, false) => self.delete_collection(target, &rendering, call).await,
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    /// Whether a kind can be asked for that at all.
    fn check_verb(&self, target: &Target, call: &Call) -> Result<(), ApiError> {
        if target.part != Part::Main && !matches!(call.verb(target.name.is_some()), "get" | "update" | "patch") {
            return Err(ApiError::method_not_allowed());
        }
        let known = target.served.verbs.contains(&call.verb(target.name.is_some()));
        if known { Ok(()) } else { Err(ApiError::method_not_allowed()) }
    }

    fn now(&self) -> Timestamp {
        self.resources.clock().now()
    }

    /// What a client is told of an error about `target`.
    fn explain(&self, error: Error, target: &Target) -> ApiError {
        let (group, _, name) = target.subject();
        match error {
            Error::Invalid { violations, subject } => {
                let name = if name.is_empty() { subject.rsplit(['/', ' ']).next().unwrap_or_default() } else { name };
                ApiError::invalid(group, &target.served.kind.kind, name, &violations)
            }
            error => ApiError::of(error, &target.served.kind.kind),
        }
    }

    fn answer_scale(&self, code: StatusCode, scale: &Json, rendering: &Rendering) -> Result<Answer, ApiError> {
        match rendering.form {
            crate::http::Form::Object => Ok(answer::json(code, scale)),
            _ => Err(ApiError::not_acceptable("application/json")),
        }
    }
}
