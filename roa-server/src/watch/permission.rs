//! [`Permission`]: whether who watches or follows still may. That lasts long; what is allowed changes, and tokens end.

use std::fmt;
use std::sync::Arc;

use crate::auth::{Attributes, Authorizer, Decision, Forbidden, ResourceTarget, User};
use crate::http::{ApiError, Proof};
use crate::objects::Target;

/// What was allowed, to be asked for again now and then.
#[derive(Clone)]
pub(crate) struct Permission {
    authorizer: Arc<dyn Authorizer>,
    proof: Proof,
    user: User,
    target: Target,
    verb: &'static str,
    subresource: &'static str,
}

impl Permission {
    /// To do this to what is asked for.
    pub(crate) fn new(
        authorizer: Arc<dyn Authorizer>,
        proof: Proof,
        user: User,
        target: Target,
        verb: &'static str,
        subresource: &'static str,
    ) -> Self {
        Self { authorizer, proof, user, target, verb, subresource }
    }

    /// Who it is.
    pub(super) const fn user(&self) -> &User {
        &self.user
    }

    /// Whether it still holds. As long as the roles are not known, it does.
    ///
    /// # Errors
    /// 401 once what was shown counts no longer; 403.
    pub(crate) async fn check(&self) -> Result<(), ApiError> {
        self.proof.check().await?;
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
