//! [`Access`]: who asks for what, whether they may, and what the audit log keeps of it.

use std::sync::Arc;

use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use roa_core::Revision;
use rustls_pki_types::CertificateDer;

use super::{ApiError, Audited, On, Proof, Query, RequestId, Route};
use crate::audit::AuditRecord;
use crate::auth::{Decision, Impersonation, ImpersonationError, User, is_foreign_page};
use crate::server::{ApiSecurity, Shared};
use crate::watch::Permission;

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

/// Who asks for what, whether they may, and how whoever asks showed who they are.
#[derive(Debug)]
pub(crate) struct Access {
    permission: Permission,
    impersonated_by: Option<User>,
    decision: Decision,
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
        let on = On::of(route, parts.uri.path(), query, verb);
        let permission = Permission::new(Arc::clone(&security.authorizer), proof, user, verb, on);
        let decision = permission.decide();
        security.metrics.decided(&decision);
        Ok(Self { permission, impersonated_by, decision })
    }

    /// What was decided about, to be asked for again where an answer lasts.
    pub(crate) const fn permission(&self) -> &Permission {
        &self.permission
    }

    /// Whether it may be done.
    ///
    /// # Errors
    /// 403; 503 while the roles are not known.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        match &self.decision {
            Decision::Allow(_) => Ok(()),
            Decision::NotReady => Err(ApiError::unavailable("the roles are not loaded yet")),
            decision => Err(self.permission.refused(decision)),
        }
    }

    /// What the audit log is to keep of it, if it would change something.
    pub(crate) fn audited(&self, shared: &Shared, id: &RequestId, peer: &Peer, query: &Query) -> Option<Audited> {
        let permission = &self.permission;
        let log = shared.security.audit.clone().filter(|_| !permission.attributes().is_read())?;
        let (user, verb, object) = (permission.user().clone(), permission.verb(), permission.on().audited());
        let mut record = AuditRecord::new(shared.clock.now(), user, verb, object, &self.decision);
        id.as_str().clone_into(&mut record.request_id);
        record.impersonated_by.clone_from(&self.impersonated_by);
        record.source.clone_from(&peer.source);
        record.dry_run = query.get("dryRun").is_some();
        Some(Audited::new(log, record))
    }
}

/// The user in whose name it is to be done, and who asked if that is somebody else.
fn impersonate(security: &ApiSecurity, own: User, headers: &HeaderMap) -> Result<(User, Option<User>), ApiError> {
    // One that can't be read must not count for none: then it would be done in the name of whoever asks.
    let asking = headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate-"));
    let pairs: Result<Vec<_>, ApiError> = asking
        .map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
            Ok(value) => Ok((name.as_str(), value)),
            Err(_) => Err(ApiError::bad_request(format!("the header {name} is no UTF-8"))),
        })
        .collect();
    let Some(asked) = Impersonation::from_headers(pairs?) else { return Ok((own, None)) };
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
