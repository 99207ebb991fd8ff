//! [`Permission`]: whether who watches still may. A watch lasts long; what is allowed changes.

use std::fmt;
use std::sync::Arc;

use crate::auth::{Attributes, Authorizer, Decision, Forbidden, ResourceTarget, User};
use crate::http::ApiError;
use crate::objects::Target;

/// What a watch was allowed by, to be asked for again now and then.
#[derive(Clone)]
pub(crate) struct Permission {
    authorizer: Arc<dyn Authorizer>,
    user: User,
    target: Target,
}

impl Permission {
    pub(crate) const fn new(authorizer: Arc<dyn Authorizer>, user: User, target: Target) -> Self {
        Self { authorizer, user, target }
    }

    /// Whether it still holds. As long as that is not known, it does.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let (group, resource, name) = self.target.subject();
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        let on = ResourceTarget { group, resource, namespace, name, ..ResourceTarget::default() };
        let asked = Attributes::resource("watch", on);
        match self.authorizer.authorize(&self.user, &asked) {
            decision @ Decision::Deny(_) => Err(ApiError::refused(&Forbidden::new(&self.user, &asked, &decision))),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permission(of {})", self.user.name)
    }
}
