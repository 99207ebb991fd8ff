//! What a client is told that may not do what it asks for: 401 and 403, in the words of Kubernetes.

use super::{Attributes, Decision, ResourceTarget, Target, User};

/// The facts of a 401: nobody is told what was wrong with the credentials.
pub mod unauthorized {
    /// The reason in the `Status`.
    pub const REASON: &str = "Unauthorized";
    /// The message in the `Status`.
    pub const MESSAGE: &str = "Unauthorized";
    /// The header `WWW-Authenticate`.
    pub const CHALLENGE: &str = "Bearer realm=\"roa\"";
}

/// The facts of a 403: message, and what `details` of the `Status` name. Its reason is `Forbidden`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forbidden {
    /// The whole message.
    pub message: String,
    /// `details.name`.
    pub name: String,
    /// `details.group`.
    pub group: String,
    /// `details.kind`: the plural.
    pub kind: String,
}

impl Forbidden {
    /// The refusal of what a user asked for, with the reason if the decision has one.
    ///
    /// ```
    /// use roa_server::auth::{Attributes, Decision, Forbidden, ResourceTarget, User};
    /// let target = ResourceTarget { group: "lab.example.com", resource: "labs", namespace: "school", ..Default::default() };
    /// let refusal = Forbidden::new(
    ///     &User::new("x", ["ops"]),
    ///     &Attributes::resource("list", target),
    ///     &Decision::Deny("".into()),
    /// );
    /// assert_eq!(
    ///     refusal.message,
    ///     "labs.lab.example.com is forbidden: User \"x\" cannot list resource \"labs\" in API group \"lab.example.com\" \
    ///      in the namespace \"school\""
    /// );
    /// ```
    #[must_use]
    pub fn new(user: &User, attributes: &Attributes<'_>, decision: &Decision) -> Self {
        let mut message = format!("User {:?} cannot {attributes}", user.name);
        if !decision.reason().is_empty() {
            message = format!("{message}: {}", decision.reason());
        }
        Self::because(attributes, &message)
    }

    /// The refusal of what was asked for, for another reason than that nothing allows it.
    #[must_use]
    pub fn because(attributes: &Attributes<'_>, reason: &str) -> Self {
        let Target::Resource(ResourceTarget { group, resource, name, .. }) = attributes.on else {
            let message = format!("forbidden: {reason}");
            return Self { message, name: String::new(), group: String::new(), kind: String::new() };
        };
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let message = if name.is_empty() {
            format!("{qualified} is forbidden: {reason}")
        } else {
            format!("{qualified} {name:?} is forbidden: {reason}")
        };
        Self { message, name: name.to_owned(), group: group.to_owned(), kind: resource.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &Attributes<'_>) -> String {
        Forbidden::new(&User::new("x", ["ops"]), attributes, &Decision::Deny("".into())).message
    }

    #[test]
    fn a_refusal_reads_as_that_of_kubernetes() {
        let mut target =
            ResourceTarget { group: "lab.neuroglia.com", resource: "labinstances", ..ResourceTarget::default() };
        let cluster = message(&Attributes::resource("list", target));
        assert_eq!(
            cluster,
            "labinstances.lab.neuroglia.com is forbidden: User \"x\" cannot list resource \"labinstances\" in API group \
             \"lab.neuroglia.com\" at the cluster scope"
        );
        (target.namespace, target.name, target.subresource) = ("default", "a", "status");
        let named = message(&Attributes::resource("patch", target));
        assert_eq!(
            named,
            "labinstances.lab.neuroglia.com \"a\" is forbidden: User \"x\" cannot patch resource \"labinstances/status\" in \
             API group \"lab.neuroglia.com\" in the namespace \"default\""
        );
        let core = ResourceTarget { resource: "events", namespace: "default", ..ResourceTarget::default() };
        let core = message(&Attributes::resource("list", core));
        assert!(core.starts_with("events is forbidden: ") && core.contains("in API group \"\" in"), "{core}");
        assert_eq!(message(&Attributes::path("get", "/metrics")), "forbidden: User \"x\" cannot get path \"/metrics\"");
    }
}
