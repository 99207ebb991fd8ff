//! [`Attributes`]: what is asked for, in the words in which roles allow it.

use std::fmt;

/// What is asked for: a verb, on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or one of a kind's own; for a
    /// path the HTTP method in lower case.
    pub verb: &'a str,
    /// On what.
    pub on: Target<'a>,
}

/// What a verb is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// An object or several.
    Resource(ResourceTarget<'a>),
    /// A path that is no resource, such as `/metrics`.
    Path(&'a str),
}

/// An object or several of one resource; what is not said is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceTarget<'a> {
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The plural, such as `labinstances`.
    pub resource: &'a str,
    /// Such as `status` or `scale`.
    pub subresource: &'a str,
    /// The namespace; empty for cluster scope and for all namespaces. Of an object `namespaces/NAME` it is that namespace,
    /// so that roles within it allow to see it.
    pub namespace: &'a str,
    /// The name; for lists and watches that of the field selector `metadata.name=`, if there is one.
    pub name: &'a str,
}

impl<'a> Attributes<'a> {
    /// A verb on an object or several.
    #[must_use]
    pub const fn resource(verb: &'a str, target: ResourceTarget<'a>) -> Self {
        Self { verb, on: Target::Resource(target) }
    }

    /// A verb on a path that is no resource.
    #[must_use]
    pub const fn path(verb: &'a str, path: &'a str) -> Self {
        Self { verb, on: Target::Path(path) }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self.on {
            Target::Resource(_) => matches!(self.verb, "get" | "list" | "watch"),
            Target::Path(_) => matches!(self.verb, "get" | "head" | "options"),
        }
    }
}

/// The verb of a request for a resource: its HTTP method, whether it names one object, and whether it watches.
///
/// ```
/// use roa_server::auth::resource_verb;
/// assert_eq!(resource_verb("GET", false, true), "watch");
/// assert_eq!(resource_verb("DELETE", false, false), "deletecollection");
/// ```
#[must_use]
pub fn resource_verb(method: &str, named: bool, watch: bool) -> &'static str {
    match (method, named) {
        ("GET" | "HEAD", _) if watch => "watch",
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        // No role allows it by this name; only one that allows every verb does.
        _ => "unknown",
    }
}

/// As a refusal says it after the user's name: `cannot list resource …`.
impl fmt::Display for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb;
        let ResourceTarget { group, resource, subresource, namespace, .. } = match self.on {
            Target::Path(path) => return write!(f, "{verb} path {path:?}"),
            Target::Resource(target) => target,
        };
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(f, "{verb} resource \"{resource}{slash}{subresource}\" in API group {group:?} ")?;
        if namespace.is_empty() {
            f.write_str("at the cluster scope")
        } else {
            write!(f, "in the namespace {namespace:?}")
        }
    }
}
