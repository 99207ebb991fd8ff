//! Asking in somebody else's name: the headers `Impersonate-…`.

use std::collections::BTreeMap;

use thiserror::Error;

use super::rbac::SERVICE_ACCOUNT;
use super::{AUTHENTICATED, Attributes, Authorizer, Decision, Forbidden, ResourceTarget, UNAUTHENTICATED, User};

/// Longer lists of groups and extra values are refused.
const MAX_VALUES: usize = 64;

/// In whose name a request asks to be treated, as its headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// `Impersonate-User`.
    pub user: Option<String>,
    /// `Impersonate-Uid`.
    pub uid: Option<String>,
    /// `Impersonate-Group`, each.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-NAME`, each, by the name in lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Why a request is not treated in somebody else's name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImpersonationError {
    /// The headers contradict each other: 400.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The user may not: 403.
    #[error("{}", .0.message)]
    Forbidden(Box<Forbidden>),
    /// It is not known yet whether the user may: 503.
    #[error("the roles are not loaded yet")]
    NotReady,
}

impl Impersonation {
    /// What the headers say, by name and value, if they ask for it at all. Names may be of any case.
    #[must_use]
    pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut this = Self::default();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("impersonate-") {
                Some("user") => this.user = Some(value.to_owned()),
                Some("uid") => this.uid = Some(value.to_owned()),
                Some("group") => this.groups.push(value.to_owned()),
                Some(other) => {
                    if let Some(key) = other.strip_prefix("extra-") {
                        this.extra.entry(key.to_owned()).or_default().push(value.to_owned());
                    }
                }
                None => {}
            }
        }
        (this != Self::default()).then_some(this)
    }

    /// The user that the request is treated as coming from, if `by` may ask so: the verb `impersonate` on each user,
    /// group, uid and extra value. Whoever asked in truth, the audit log should say.
    ///
    /// # Errors
    /// [`ImpersonationError`].
    pub fn apply(&self, authorizer: &dyn Authorizer, by: &User) -> Result<User, ImpersonationError> {
        let Some(name) = self.user.as_deref().filter(|name| !name.is_empty()) else {
            let reason = "Impersonate-Group, -Uid or -Extra without Impersonate-User, expected the user as well";
            return Err(ImpersonationError::BadRequest(reason));
        };
        if self.groups.len() + self.extra.values().map(Vec::len).sum::<usize>() > MAX_VALUES {
            return Err(ImpersonationError::BadRequest("expected at most 64 groups and extra values to impersonate"));
        }
        let may = |target: ResourceTarget<'_>| permitted(authorizer, by, target);
        may(user_target(name))?;
        for name in &self.groups {
            may(ResourceTarget { resource: "groups", name, ..ResourceTarget::default() })?;
        }
        let group = "authentication.k8s.io";
        if let Some(name) = &self.uid {
            may(ResourceTarget { group, resource: "uids", name, ..ResourceTarget::default() })?;
        }
        for (subresource, values) in &self.extra {
            for name in values {
                may(ResourceTarget { group, resource: "userextras", subresource, name, ..ResourceTarget::default() })?;
            }
        }
        Ok(self.user(name))
    }

    fn user(&self, name: &str) -> User {
        let anonymous = User::anonymous();
        let mut user = if name == anonymous.name { anonymous } else { User::new(name, &self.groups) };
        if self.groups.iter().any(|group| group == UNAUTHENTICATED) {
            user.groups.retain(|group| group != AUTHENTICATED);
        }
        if let (Some((namespace, _)), true) = (account(name), self.groups.is_empty()) {
            let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            user.groups.extend(groups);
        }
        user.uid = self.uid.clone().unwrap_or_default();
        user.extra.clone_from(&self.extra);
        user
    }
}

/// A service account is asked for as such.
fn user_target(name: &str) -> ResourceTarget<'_> {
    match account(name) {
        Some((namespace, name)) => {
            ResourceTarget { resource: "serviceaccounts", namespace, name, ..ResourceTarget::default() }
        }
        None => ResourceTarget { resource: "users", name, ..ResourceTarget::default() },
    }
}

/// Namespace and name of a service account, by the name of its user.
fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}

fn permitted(authorizer: &dyn Authorizer, by: &User, target: ResourceTarget<'_>) -> Result<(), ImpersonationError> {
    let attributes = Attributes::resource("impersonate", target);
    match authorizer.authorize(by, &attributes) {
        Decision::Allow(_) => Ok(()),
        Decision::NotReady => Err(ImpersonationError::NotReady),
        decision @ Decision::Deny(_) => {
            Err(ImpersonationError::Forbidden(Box::new(Forbidden::new(by, &attributes, &decision))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AllowAll, MASTERS, Rule};

    /// Allows by these rules, whoever asks.
    #[derive(Debug)]
    struct Allow(Vec<Rule>);

    impl Authorizer for Allow {
        fn authorize(&self, _user: &User, attributes: &Attributes<'_>) -> Decision {
            let allowed = self.0.iter().any(|rule| rule.allows(attributes));
            if allowed { Decision::Allow("".into()) } else { Decision::Deny("".into()) }
        }

        fn rules(&self, _user: &User, _namespace: &str) -> Vec<Rule> {
            self.0.clone()
        }
    }

    fn ask(headers: &[(&str, &str)], rules: &[Rule]) -> Result<User, ImpersonationError> {
        let asked = Impersonation::from_headers(headers.iter().copied()).unwrap();
        asked.apply(&Allow(rules.to_vec()), &User::new("bob", ["ops"]))
    }

    fn only(resource: &str, name: &str) -> Rule {
        let group = if resource.starts_with("userextras") { "authentication.k8s.io" } else { "" };
        let rule = Rule::on_resources(&["impersonate"], &[group], &[resource]);
        Rule { resource_names: vec![name.into()], ..rule }
    }

    #[test]
    fn t2_each_user_and_group_must_be_allowed() {
        let headers =
            [("Impersonate-User", "alice"), ("impersonate-group", "dev"), ("Impersonate-Extra-Scope", "read")];
        let rules = [only("users", "alice"), only("groups", "dev"), only("userextras/scope", "read")];
        let user = ask(&headers, &rules).unwrap();
        assert_eq!((&*user.name, user.is_in("dev"), user.is_in(AUTHENTICATED)), ("alice", true, true));
        assert_eq!(user.extra["scope"], ["read"]);
        assert!(!user.is_in("ops"), "nothing of the asker's own");
        for missing in 0..3 {
            let mut rules = rules.to_vec();
            rules.remove(missing);
            assert!(matches!(ask(&headers, &rules), Err(ImpersonationError::Forbidden(_))), "{missing}");
        }
        let masters = [("Impersonate-User", "alice"), ("Impersonate-Group", MASTERS)];
        let error = ask(&masters, &rules).unwrap_err().to_string();
        assert!(error.contains("User \"bob\" cannot impersonate resource \"groups\""), "{error}");
    }

    #[test]
    fn a_service_account_is_asked_for_as_such() {
        let headers = [("Impersonate-User", "system:serviceaccount:school:robot")];
        let user = ask(&headers, &[only("serviceaccounts", "robot")]).unwrap();
        assert!(user.is_in("system:serviceaccounts") && user.is_in("system:serviceaccounts:school"));
        assert!(ask(&headers, &[only("users", "system:serviceaccount:school:robot")]).is_err());
    }

    #[test]
    fn headers_that_contradict_each_other_are_refused() {
        let group = Impersonation::from_headers([("Impersonate-Group", "a")]).unwrap();
        assert!(matches!(group.apply(&AllowAll, &User::new("bob", ["ops"])), Err(ImpersonationError::BadRequest(_))));
        assert_eq!(Impersonation::from_headers([("Accept", "a"), ("X-Impersonate-User", "b")]), None);
        let many: Vec<_> = (0..65).map(|_| ("Impersonate-Group", "a")).chain([("Impersonate-User", "b")]).collect();
        assert!(matches!(ask(&many, &[Rule::everything()]), Err(ImpersonationError::BadRequest(_))));
    }

    #[test]
    fn who_is_impersonated_as_nobody_is_not_taken_for_recognised() {
        let user = ask(&[("Impersonate-User", "system:anonymous")], &[Rule::everything()]).unwrap();
        assert!(user.is_anonymous() && !user.is_in(AUTHENTICATED));
        let headers = [("Impersonate-User", "x"), ("Impersonate-Group", UNAUTHENTICATED)];
        assert!(!ask(&headers, &[Rule::everything()]).unwrap().is_in(AUTHENTICATED));
    }
}
