//! [`User`]: who asks.

use std::collections::BTreeMap;

use serde::Serialize;

/// Every user who was recognised is in this group.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Who was not recognised is in this group, and has the name [`ANONYMOUS`].
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of who was not recognised.
pub const ANONYMOUS: &str = "system:anonymous";
/// Members may do everything, whatever the roles say.
pub const MASTERS: &str = "system:masters";

/// Who asks, as it was proved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize)]
#[non_exhaustive]
pub struct User {
    /// The name, as roles and the audit log know it.
    #[serde(rename = "username")]
    pub name: String,
    /// What tells two bearers of the same name apart, if whoever vouches for them says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups, in no particular order, none twice.
    pub groups: Vec<String>,
    /// What else whoever vouches for them says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user who was recognised: also in the group [`AUTHENTICATED`].
    ///
    /// ```
    /// use roa_server::auth::{AUTHENTICATED, User};
    /// let user = User::new("alice", ["ops"]);
    /// assert!(user.is_in("ops") && user.is_in(AUTHENTICATED));
    /// ```
    pub fn new<G: Into<String>>(name: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        let mut this = Self { name: name.into(), ..Self::default() };
        for group in groups.into_iter().map(Into::into).chain([AUTHENTICATED.to_owned()]) {
            if !this.groups.contains(&group) {
                this.groups.push(group);
            }
        }
        this
    }

    /// Somebody who was not recognised.
    #[must_use]
    pub fn anonymous() -> Self {
        Self { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Self::default() }
    }

    /// Whether the user is a member of a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Whether it was not recognised.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }
}
