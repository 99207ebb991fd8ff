//! [`Route`]: what a path asks for.

use percent_encoding::percent_decode_str;
use roa_core::names;

use super::ApiError;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`.
    Root,
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`, each with the name of one check or none.
    Health(Probe, Option<String>),
    /// `/metrics`.
    Metrics,
    /// `/api`: the versions of the core group.
    CoreVersions,
    /// `/apis`: the groups.
    Groups,
    /// `/apis/GROUP`.
    Group(String),
    /// `/api/v1` and `/apis/GROUP/VERSION`: the resources.
    Resources(GroupVersion),
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`: where each document stands.
    OpenApiIndex,
    /// `/openapi/v3/api/v1` and its like.
    OpenApi(GroupVersion),
    /// A collection or an object.
    Resource(ResourcePath),
}

/// Which probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Whether the process lives.
    Live,
    /// Whether others may rely on it.
    Ready,
}

/// A group and a version; the core group is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupVersion {
    pub(crate) group: String,
    pub(crate) version: String,
}

/// A collection or an object, as its path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Route {
    /// What `path` asks for. A slash at its end does not count: some clients send one.
    ///
    /// # Errors
    /// 400 for a segment that is no UTF-8 or could lead elsewhere, 404 for a path that nothing stands at.
    pub(crate) fn parse(path: &str) -> Result<Self, ApiError> {
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let segments = trimmed.split('/').skip(1).map(decode).collect::<Result<Vec<_>, _>>()?;
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        Self::of(&segments).ok_or_else(ApiError::no_such_path)
    }

    fn of(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            [] => Self::Root,
            ["version"] => Self::Version,
            ["livez" | "healthz"] => Self::Health(Probe::Live, None),
            ["readyz"] => Self::Health(Probe::Ready, None),
            ["livez" | "healthz", check] => Self::Health(Probe::Live, Some((*check).to_owned())),
            ["readyz", check] => Self::Health(Probe::Ready, Some((*check).to_owned())),
            ["metrics"] => Self::Metrics,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiIndex,
            ["openapi", "v3", "api", version] => Self::OpenApi(GroupVersion::new("", version)),
            ["openapi", "v3", "apis", group, version] => Self::OpenApi(GroupVersion::new(group, version)),
            ["api", version] => Self::Resources(GroupVersion::new("", version)),
            ["apis", group, version] => Self::Resources(GroupVersion::new(group, version)),
            ["api", version, rest @ ..] => Self::Resource(ResourcePath::of("", version, rest)?),
            ["apis", group, version, rest @ ..] => Self::Resource(ResourcePath::of(group, version, rest)?),
            _ => return None,
        })
    }
}

impl GroupVersion {
    fn new(group: &str, version: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned() }
    }
}

impl ResourcePath {
    fn of(group: &str, version: &str, rest: &[&str]) -> Option<Self> {
        let (namespace, rest) = match rest {
            // A namespace is an object itself, and has subresources of its own.
            ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => (None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            _ => (None, rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, None, None),
            [plural, name] => (plural, Some(name), None),
            [plural, name, subresource] => (plural, Some(name), Some(subresource)),
            _ => return None,
        };
        let owned = |text: &&str| (*text).to_owned();
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            namespace,
            plural: owned(plural),
            name: name.map(owned),
            subresource: subresource.map(owned),
        })
    }
}

/// A segment as it is meant. Names become parts of keys, so what could lead elsewhere ends here.
fn decode(segment: &str) -> Result<String, ApiError> {
    let text = percent_decode_str(segment).decode_utf8();
    let text = text.map_err(|_| ApiError::bad_request("a segment of the path is not UTF-8"))?;
    if text.is_empty() || text.contains('\0') {
        return Err(ApiError::bad_request("a segment of the path is empty, or contains NUL"));
    }
    names::path_segment(&text).map_err(|reason| ApiError::bad_request(format!("a segment of the path {reason}")))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> ResourcePath {
        match Route::parse(path) {
            Ok(Route::Resource(resource)) => resource,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn objects_and_collections_are_named_by_their_paths() {
        let status = resource("/apis/lab.example.com/v1/namespaces/school/labs/one/status");
        assert_eq!((status.group.as_str(), status.namespace.as_deref()), ("lab.example.com", Some("school")));
        assert_eq!((status.name.as_deref(), status.subresource.as_deref()), (Some("one"), Some("status")));
        let everywhere = resource("/apis/lab.example.com/v1/labs");
        assert_eq!((everywhere.plural.as_str(), everywhere.namespace, everywhere.name), ("labs", None, None));
    }

    #[test]
    fn a_namespace_is_an_object_and_a_place() {
        let object = resource("/api/v1/namespaces/school");
        assert_eq!((object.plural.as_str(), object.name.as_deref()), ("namespaces", Some("school")));
        let status = resource("/api/v1/namespaces/school/status");
        assert_eq!((status.plural.as_str(), status.subresource.as_deref()), ("namespaces", Some("status")));
        let events = resource("/api/v1/namespaces/school/events");
        assert_eq!((events.plural.as_str(), events.namespace.as_deref()), ("events", Some("school")));
    }

    #[test]
    fn a_slash_at_the_end_does_not_count() {
        assert_eq!(Route::parse("/version/").unwrap(), Route::Version);
        assert_eq!(Route::parse("/apis/").unwrap(), Route::Groups);
        assert_eq!(Route::parse("/").unwrap(), Route::Root);
    }

    #[test]
    fn t11_no_segment_leads_elsewhere() {
        for bad in [
            "/apis/../version",
            "/api/v1/namespaces/%2e%2e/events",
            "/api/v1/namespaces/a%2Fb",
            "/api//v1",
            "/api/v1/events/a%00b",
            "/api/v1/events/%ff",
            "/api/v1/events/%25",
        ] {
            assert_eq!(Route::parse(bad).unwrap_err().code, 400, "{bad}");
        }
        assert_eq!(Route::parse("/nothing/here").unwrap_err().code, 404);
        assert_eq!(Route::parse("/api/v1/a/b/c/d/e").unwrap_err().code, 404);
    }
}
