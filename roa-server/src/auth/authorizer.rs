//! [`Authorizer`]: decides who may do what.

use std::borrow::Cow;
use std::fmt::Debug;

use roa_core::DynamicObject;

use super::{Attributes, Forbidden, Rule, User};

/// What an authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It may be done, and why.
    Allow(Cow<'static, str>),
    /// It may not, and why, if there is more to say than that nothing allows it.
    Deny(Cow<'static, str>),
    /// It is not known yet; to be asked again soon: 503 with `Retry-After`, rather than 403.
    NotReady,
}

impl Decision {
    /// Whether it may be done.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// A word for logs: `allow`, `deny`, `not-ready`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Deny(_) => "deny",
            Self::NotReady => "not-ready",
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Allow(reason) | Self::Deny(reason) => reason,
            Self::NotReady => "the roles are not loaded yet",
        }
    }
}

/// Decides who may do what. Asked for every request, so it reads nothing from a store and never waits.
///
/// What a user may read is all of it: `list` and `watch` show whole objects, as `get` does.
pub trait Authorizer: Debug + Send + Sync + 'static {
    /// Whether the user may do that.
    fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision;

    /// All rules that hold for the user in a namespace (also those that hold everywhere); for cluster scope, those that
    /// hold everywhere.
    fn rules(&self, user: &User, namespace: &str) -> Vec<Rule>;

    /// Whether the user may write this object, besides being allowed to: who writes a role or binding must hold every
    /// permission that it gives. To be asked for every create and update, however it is asked for (patch, apply), with the
    /// object as it would be stored.
    ///
    /// # Errors
    /// [`Forbidden`], which names a permission that is not held.
    fn check_write(
        &self,
        user: &User,
        before: Option<&DynamicObject>,
        after: &DynamicObject,
    ) -> Result<(), Box<Forbidden>> {
        let _ = (user, before, after);
        Ok(())
    }

    /// Whether it knows what it decides by.
    fn is_ready(&self) -> bool {
        true
    }
}

/// Allows everything: `server.authorization = "none"`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn authorize(&self, _user: &User, _attributes: &Attributes<'_>) -> Decision {
        Decision::Allow("there is no authorisation".into())
    }

    fn rules(&self, _user: &User, _namespace: &str) -> Vec<Rule> {
        vec![Rule::everything(), Rule::every_path()]
    }
}
