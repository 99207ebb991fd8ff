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
    /// Whether there is a way to be recognised.
    pub recognises_users: bool,
    /// Whether requests that web pages of others make are refused: where somebody who shows nothing is let in.
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
            recognises_users: false,
            refuses_foreign_pages: true,
        }
    }

    /// The same, recognising users as far as there is a way to be.
    #[must_use]
    pub fn authenticated_by(mut self, authenticator: Arc<Authenticator>) -> Self {
        self.recognises_users = authenticator.recognises_anybody();
        self.refuses_foreign_pages = authenticator.lets_anybody_in();
        self.authenticator = Some(authenticator);
        self
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
