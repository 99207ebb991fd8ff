//! [`Permission`]: what somebody asked to do. Where an answer lasts, whether they still may: roles change, and tokens end.

use std::fmt;
use std::sync::Arc;

use crate::auth::{Attributes, Authorizer, Decision, Forbidden, User};
use crate::http::{ApiError, On, Proof};

/// Who asked to do what, to be decided about once or again and again.
#[derive(Clone)]
pub(crate) struct Permission {
    authorizer: Arc<dyn Authorizer>,
    proof: Proof,
    user: User,
    verb: &'static str,
    on: Arc<On>,
}

impl Permission {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>, proof: Proof, user: User, verb: &'static str, on: On) -> Self {
        Self { authorizer, proof, user, verb, on: Arc::new(on) }
    }

    /// In whose name it is.
    pub(crate) const fn user(&self) -> &User {
        &self.user
    }

    pub(crate) const fn verb(&self) -> &'static str {
        self.verb
    }

    pub(crate) fn on(&self) -> &On {
        &self.on
    }

    /// What is to be allowed.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        self.on.attributes(self.verb)
    }

    /// Whether it is allowed now.
    pub(crate) fn decide(&self) -> Decision {
        self.authorizer.authorize(&self.user, &self.attributes())
    }

    /// What is told of a decision against it.
    pub(crate) fn refused(&self, decision: &Decision) -> ApiError {
        ApiError::refused(&Forbidden::new(&self.user, &self.attributes(), decision))
    }

    /// Whether it still holds. As long as the roles are not known, it does.
    ///
    /// # Errors
    /// 401 once what was shown counts no longer; 403.
    pub(crate) async fn check(&self) -> Result<(), ApiError> {
        self.proof.check().await?;
        match self.decide() {
            decision @ Decision::Deny(_) => Err(self.refused(&decision)),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permission(of {}, to {} {:?})", self.user.name, self.verb, self.on)
    }
}
