//! [`Rule`]: what a role allows, and whether it allows something.

use serde::{Deserialize, Serialize};

use crate::auth::{Attributes, ResourceTarget, Target};

/// Stands for everything of its list.
pub(super) const ALL: &str = "*";

/// A rule of a role: verbs on resources, or on paths that are none.
///
/// ```
/// use roa_server::auth::{Attributes, ResourceTarget, Rule};
/// let rule = Rule::on_resources(&["get"], &["lab.example.com"], &["labs/status"]);
/// let mut target = ResourceTarget { group: "lab.example.com", resource: "labs", ..Default::default() };
/// assert!(!rule.allows(&Attributes::resource("get", target)), "a subresource is another resource");
/// target.subresource = "status";
/// assert!(rule.allows(&Attributes::resource("get", target)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Rule {
    /// The verbs; `*` is all of them.
    pub verbs: Vec<String>,
    /// The API groups; the empty text is the core group, `*` all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// The resources: `labs`, `labs/status`, `*/scale` (of every resource), or `*` (with all subresources).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// If there are any, only objects with these names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; one that ends with `*` is a beginning.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl Rule {
    /// Verbs on resources.
    #[must_use]
    pub fn on_resources(verbs: &[&str], groups: &[&str], resources: &[&str]) -> Self {
        Self { verbs: owned(verbs), api_groups: owned(groups), resources: owned(resources), ..Self::default() }
    }

    /// Verbs on paths that are no resources.
    #[must_use]
    pub fn on_paths(verbs: &[&str], paths: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(paths), ..Self::default() }
    }

    /// Every verb on every resource.
    #[must_use]
    pub fn everything() -> Self {
        Self::on_resources(&[ALL], &[ALL], &[ALL])
    }

    /// Every verb on every path that is no resource.
    #[must_use]
    pub fn every_path() -> Self {
        Self::on_paths(&[ALL], &[ALL])
    }

    /// Whether it allows that.
    #[must_use]
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        has(&self.verbs, attributes.verb)
            && match attributes.on {
                Target::Path(path) => self.non_resource_urls.iter().any(|pattern| path_matches(pattern, path)),
                Target::Resource(target) => self.allows_resource(&target),
            }
    }

    fn allows_resource(&self, target: &ResourceTarget<'_>) -> bool {
        has(&self.api_groups, target.group)
            && self.resources.iter().any(|pattern| resource_matches(pattern, target.resource, target.subresource))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == target.name))
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(super) fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|own| own == ALL || own == wanted)
}

pub(super) fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == ALL || of == resource),
    }
}

pub(super) fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix(ALL) {
        Some(beginning) => path.starts_with(beginning),
        None => pattern == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on<'a>(resource: &'a str, subresource: &'a str, name: &'a str) -> Attributes<'a> {
        Attributes::resource("get", ResourceTarget { group: "g", resource, subresource, namespace: "n", name })
    }

    #[test]
    fn t2_a_resource_and_its_subresources_are_allowed_apart() {
        let rule = |resources: &[&str]| Rule::on_resources(&["get"], &["g"], resources);
        let table: [(&[&str], &str, &str, bool); 11] = [
            (&["labs"], "labs", "", true),
            (&["labs"], "labs", "status", false),
            (&["labs/status"], "labs", "", false),
            (&["labs/status"], "labs", "status", true),
            (&["labs/status"], "labs", "scale", false),
            (&["*/scale"], "labs", "scale", true),
            (&["*/scale"], "labs", "", false),
            (&["*"], "labs", "status", true),
            (&["labs/*"], "labs", "status", false),
            (&["pools", "labs"], "labs", "", true),
            (&[], "labs", "", false),
        ];
        for (resources, resource, subresource, allowed) in table {
            assert_eq!(rule(resources).allows(&on(resource, subresource, "a")), allowed, "{resources:?} {subresource}");
        }
    }

    #[test]
    fn names_narrow_a_rule_also_for_requests_that_name_nothing() {
        let mut rule = Rule::on_resources(&["get"], &["g"], &["labs"]);
        rule.resource_names = vec!["a".into()];
        assert!(rule.allows(&on("labs", "", "a")) && !rule.allows(&on("labs", "", "b")));
        assert!(!rule.allows(&on("labs", "", "")), "else a create would pass");
    }

    #[test]
    fn a_path_is_allowed_whole_or_by_its_beginning() {
        let table = [
            ("/metrics", "/metrics", true),
            ("/metrics", "/metrics/x", false),
            ("/healthz/*", "/healthz/a", true),
            ("/healthz/*", "/healthz", false),
            ("/healthz*", "/healthz", true),
            ("*", "/anything", true),
            ("/*/x", "/y/x", false),
        ];
        for (pattern, path, allowed) in table {
            let rule = Rule::on_paths(&["get"], &[pattern]);
            assert_eq!(rule.allows(&Attributes::path("get", path)), allowed, "{pattern} {path}");
            assert!(!rule.allows(&Attributes::path("post", path)));
        }
        assert!(!Rule::everything().allows(&Attributes::path("get", "/metrics")));
        assert!(!Rule::every_path().allows(&on("labs", "", "")));
    }
}
