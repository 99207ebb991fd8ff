//! [`Access`]: who asks for what, whether they may, and what the audit log keeps of it.

use std::sync::Arc;

use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use roa_core::Revision;
use rustls_pki_types::CertificateDer;

use super::{ApiError, Proof, Query, RequestId, Route};
use crate::audit::{AuditRecord, AuditedObject};
use crate::auth::{
    Attributes, Decision, Forbidden, Impersonation, ImpersonationError, ResourceTarget, User, is_foreign_page,
};
use crate::server::{ApiSecurity, Shared};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peer {
    /// From where.
    pub(crate) source: String,
    /// Its certificates, its own first, which TLS has verified.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

/// What was written: for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) revision: Option<Revision>,
}

/// Who asks for what.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) user: User,
    /// How whoever asks showed who they are.
    pub(crate) proof: Proof,
    impersonated_by: Option<User>,
    verb: &'static str,
    on: On,
    decision: Decision,
}

/// What a request is on.
#[derive(Debug)]
enum On {
    Path(String),
    Resource(AuditedObject),
}

impl Access {
    /// Recognises who asks, and decides whether they may.
    ///
    /// # Errors
    /// 401; 403 for a web page of somebody else, and for what the user may not ask in another's name.
    pub(crate) async fn ask(
        security: &ApiSecurity,
        peer: &Arc<Peer>,
        parts: &Parts,
        route: &Route,
        query: &Query,
        verb: &'static str,
    ) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        if security.refuses_foreign_pages && is_foreign(headers) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "Forbidden",
                "requests of other sites' pages are refused",
            ));
        }
        let proof = Proof::ask(security.authenticator.as_ref(), peer, headers).await?;
        let (user, impersonated_by) = impersonate(security, proof.user().clone(), headers)?;
        let on = On::of(route, parts.uri.path(), query);
        let mut this = Self { user, proof, impersonated_by, verb, on, decision: Decision::NotReady };
        this.decision = security.authorizer.authorize(&this.user, &this.attributes());
        security.metrics.decided(&this.decision);
        Ok(this)
    }

    /// Whether it may be done.
    ///
    /// # Errors
    /// 403; 503 while the roles are not known.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        match &self.decision {
            Decision::Allow(_) => Ok(()),
            Decision::NotReady => Err(ApiError::unavailable("the roles are not loaded yet")),
            decision => Err(ApiError::refused(&Forbidden::new(&self.user, &self.attributes(), decision))),
        }
    }

    fn attributes(&self) -> Attributes<'_> {
        match &self.on {
            On::Path(path) => Attributes::path(self.verb, path),
            On::Resource(AuditedObject { group, resource, subresource, namespace, name, .. }) => {
                Attributes::resource(self.verb, ResourceTarget { group, resource, subresource, namespace, name })
            }
        }
    }

    /// Keeps what was asked for and what came of it, if it would change something.
    pub(crate) async fn audit(
        self,
        shared: &Shared,
        id: &RequestId,
        peer: &Peer,
        query: &Query,
        code: StatusCode,
        written: Option<Written>,
    ) {
        let Some(log) = shared.security.audit.as_ref().filter(|_| !self.attributes().is_read()) else { return };
        let mut object = match self.on {
            On::Path(path) => AuditedObject { resource: path, ..AuditedObject::default() },
            On::Resource(object) => object,
        };
        if let Some(written) = &written {
            object.name.clone_from(&written.name);
            object.uid.clone_from(&written.uid);
        }
        let mut record = AuditRecord::new(shared.clock.now(), self.user, self.verb, object, &self.decision);
        id.as_str().clone_into(&mut record.request_id);
        record.impersonated_by = self.impersonated_by;
        record.source.clone_from(&peer.source);
        record.code = code.as_u16();
        record.dry_run = query.get("dryRun").is_some();
        record.resource_version = written.and_then(|written| written.revision);
        log.record(&record).await;
    }
}

impl On {
    fn of(route: &Route, path: &str, query: &Query) -> Self {
        let Route::Resource(resource) = route else { return Self::Path(path.to_owned()) };
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let mut name = text(&resource.name);
        if name.is_empty() {
            // A list or watch of one object by its name is allowed to who may see that object.
            let fields = query.fields().unwrap_or_default();
            let only = fields.requirements().find(|(path, _, equal)| *path == "metadata.name" && *equal);
            name = only.map(|(_, name, _)| name.to_owned()).unwrap_or_default();
        }
        Self::Resource(AuditedObject {
            group: resource.group.clone(),
            version: resource.version.clone(),
            resource: resource.plural.clone(),
            subresource: text(&resource.subresource),
            namespace: if resource.group.is_empty() && resource.plural == "namespaces" {
                text(&resource.name)
            } else {
                text(&resource.namespace)
            },
            name,
            ..AuditedObject::default()
        })
    }
}

/// The user in whose name it is to be done, and who asked if that is somebody else.
fn impersonate(security: &ApiSecurity, own: User, headers: &HeaderMap) -> Result<(User, Option<User>), ApiError> {
    let pairs = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let Some(asked) = Impersonation::from_headers(pairs) else { return Ok((own, None)) };
    match asked.apply(&*security.authorizer, &own) {
        Ok(user) => Ok((user, Some(own))),
        Err(ImpersonationError::BadRequest(reason)) => Err(ApiError::bad_request(reason)),
        Err(ImpersonationError::Forbidden(forbidden)) => Err(ApiError::refused(&forbidden)),
        Err(_) => Err(ApiError::unavailable("the roles are not loaded yet")),
    }
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    is_foreign_page(text(HOST), text(ORIGIN), text(HeaderName::from_static("sec-fetch-site")))
}
