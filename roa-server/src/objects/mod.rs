//! Objects over HTTP: what each verb does to them.

mod admit;
mod continue_token;
mod delete;
mod options;
mod patch;
mod read;
mod render;
mod scale;
mod subresource;
mod table;
mod target;
mod write;

use std::sync::Arc;
use std::time::Duration;

use hyper::{Method, StatusCode};
use roa_core::{DynamicObject, Error, ResourceStore, Timestamp};
use serde_json::Value as Json;

pub(crate) use options::WriteOptions;
pub(crate) use render::Rendering;
pub(crate) use target::{Part, Target};

use crate::auth::{RBAC_GROUP, User};
use crate::builtin;
use crate::http::{Answer, ApiError, Call, Form, answer};
use crate::server::Shared;
use crate::watch::{self, Permission};

/// How long the answer to a write of a role waits until the role holds.
const ROLE_WAIT: Duration = Duration::from_secs(2);

/// The objects of one request: the kinds are those of its beginning.
pub(crate) struct Objects {
    shared: Arc<Shared>,
    resources: ResourceStore,
    permission: Permission,
}

impl Objects {
    pub(crate) const fn new(shared: Arc<Shared>, resources: ResourceStore, permission: Permission) -> Self {
        Self { shared, resources, permission }
    }

    /// In whose name everything is done.
    const fn user(&self) -> &User {
        self.permission.user()
    }

    /// Does what a request asks for.
    ///
    /// # Errors
    /// What the client is told instead.
    pub(crate) async fn answer(&self, target: &Target, call: &Call) -> Result<Answer, ApiError> {
        let answered = self.do_what(target, call).await?;
        Ok(match &target.served.deprecation {
            Some(warning) => answer::with_warnings(answered, &[warning.to_string()]),
            None => answered,
        })
    }

    async fn do_what(&self, target: &Target, call: &Call) -> Result<Answer, ApiError> {
        if let Part::Told(name) = target.part {
            return match call.verb(true) {
                "get" => self.read_subresource(target, name, call).await,
                _ => Err(ApiError::method_not_allowed()),
            };
        }
        let form = if target.part == Part::Scale && call.takes_json() { Form::Object } else { call.form()? };
        let rendering = Rendering { served: Arc::clone(&target.served), form };
        let query = &call.query;
        self.check_verb(target, call)?;
        match (&call.method, target.name.is_some()) {
            (&Method::GET | &Method::HEAD, _) if call.is_watch() => {
                watch::begin(&self.shared, target, rendering, query, self.permission.clone()).await
            }
            (&Method::GET | &Method::HEAD, true) => self.get(target, &rendering, query).await,
            (&Method::GET | &Method::HEAD, false) => self.list(target, &rendering, query).await,
            (&Method::POST, false) if builtin::is_review(&target.served.kind) => {
                let asked = call.input.object()?.tree;
                builtin::answer_review(&target.served.kind, asked, &*self.shared.security.authorizer, self.user())
            }
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

    /// Whoever has just written a role may count on it: waits until it holds.
    async fn wait_for_role(&self, written: &DynamicObject, target: &Target) {
        let Some(roles) = self.shared.security.roles.as_ref().filter(|_| &*target.served.group == RBAC_GROUP) else {
            return;
        };
        let clock = &*self.shared.clock;
        if let Err(error) = roles.wait_for(written, clock, clock.monotonic() + ROLE_WAIT).await {
            tracing::warn!(%error, "a role that was written does not hold yet");
        }
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
            Form::Object => Ok(answer::json(code, scale)),
            _ => Err(ApiError::not_acceptable("application/json")),
        }
    }
}
