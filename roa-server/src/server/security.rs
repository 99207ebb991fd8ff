//! [`ApiSecurity`]: who may reach the API, and what is kept of what they did.

use std::fmt;
use std::sync::Arc;

use crate::audit::AuditLog;
use crate::auth::{AllowAll, AuthMetrics, Authenticator, Authorizer, Rbac};

/// Who may reach the API, and what is kept of what they did.
#[derive(Clone)]
#[non_exhaustive]
pub struct ApiSecurity {
    /// Recognises who asks; without it everybody is anonymous.
    pub authenticator: Option<Arc<Authenticator>>,
    /// Decides what they may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// The same, if it decides by roles: writes of roles wait until they hold.
    pub roles: Option<Rbac>,
    /// Keeps who wrote what.
    pub audit: Option<AuditLog>,
    /// What is counted of decisions.
    pub metrics: AuthMetrics,
    /// Whether requests that web pages of others make are refused: where nobody is recognised.
    pub refuses_foreign_pages: bool,
}

impl ApiSecurity {
    /// Open to everybody on this machine, but for the web pages of others.
    #[must_use]
    pub fn open() -> Self {
        Self {
            authenticator: None,
            authorizer: Arc::new(AllowAll),
            roles: None,
            audit: None,
            metrics: AuthMetrics::default(),
            refuses_foreign_pages: true,
        }
    }

    /// The same, recognising users; `recognises` says whether there is any way to be.
    #[must_use]
    pub fn authenticated_by(mut self, authenticator: Arc<Authenticator>, recognises: bool) -> Self {
        self.authenticator = Some(authenticator);
        self.refuses_foreign_pages = !recognises;
        self
    }

    /// Whether there is a way to be recognised.
    pub(crate) const fn recognises_users(&self) -> bool {
        self.authenticator.is_some() && !self.refuses_foreign_pages
    }

    /// The same, deciding by roles.
    #[must_use]
    pub fn authorized_by(mut self, roles: Rbac) -> Self {
        self.authorizer = Arc::new(roles.clone());
        self.roles = Some(roles);
        self
    }

    /// The same, keeping who wrote what.
    #[must_use]
    pub fn audited_by(mut self, audit: AuditLog) -> Self {
        self.audit = Some(audit);
        self
    }
}

impl fmt::Debug for ApiSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiSecurity({:?}, {:?})", self.authenticator, self.authorizer)
    }
}
