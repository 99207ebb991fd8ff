//! [`Permission`]: whether who watches or follows still may. That lasts long; what is allowed changes.

use std::fmt;
use std::sync::Arc;

use crate::auth::{Attributes, Authorizer, Decision, Forbidden, ResourceTarget, User};
use crate::http::ApiError;
use crate::objects::Target;

/// What was allowed, to be asked for again now and then.
#[derive(Clone)]
pub(crate) struct Permission {
    authorizer: Arc<dyn Authorizer>,
    user: User,
    target: Target,
    verb: &'static str,
    subresource: &'static str,
}

impl Permission {
    /// To watch objects.
    pub(crate) const fn to_watch(authorizer: Arc<dyn Authorizer>, user: User, target: Target) -> Self {
        Self { authorizer, user, target, verb: "watch", subresource: "" }
    }

    /// To read a part of an object.
    pub(crate) const fn to_read(
        authorizer: Arc<dyn Authorizer>,
        user: User,
        target: Target,
        subresource: &'static str,
    ) -> Self {
        Self { authorizer, user, target, verb: "get", subresource }
    }

    /// Who it is.
    pub(super) const fn user(&self) -> &User {
        &self.user
    }

    /// Whether it still holds. As long as that is not known, it does.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let (group, resource, name) = self.target.subject();
        let namespace = self.target.namespace.as_deref().unwrap_or_default();
        let on = ResourceTarget { group, resource, subresource: self.subresource, namespace, name };
        let asked = Attributes::resource(self.verb, on);
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
