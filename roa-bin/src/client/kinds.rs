//! [`Kinds`]: what a server serves, as its discovery tells it.

use serde_json::Value as Json;

use super::{Ask, ClientError, Http};
use crate::admin::encode;
use crate::config::nearest_word;

/// Discovery in one document.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A kind, as a server serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
}

impl Kind {
    /// `group/version`, or just the version of the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`, or just the plural of the core group.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// An object of it, as people name it.
    pub(crate) fn object(&self, name: &str) -> String {
        let singular = if self.singular.is_empty() { &self.plural } else { &self.singular };
        if self.group.is_empty() { format!("{singular}/{name}") } else { format!("{singular}.{}/{name}", self.group) }
    }

    /// The same, short: where it is clear which group is meant.
    pub(crate) fn short_object(&self, name: &str) -> String {
        let singular = if self.singular.is_empty() { &self.plural } else { &self.singular };
        format!("{singular}/{name}")
    }

    /// The path of one object, or of a collection: of a namespace, or of all.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}", encode(&self.version))
        } else {
            format!("/apis/{}/{}", encode(&self.group), encode(&self.version))
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path += &format!("/namespaces/{}", encode(namespace));
        }
        path += &format!("/{}", encode(&self.plural));
        name.map_or_else(|| path.clone(), |name| format!("{path}/{}", encode(name)))
    }

    /// Whether it is of a group that is not Kubernetes' own.
    fn is_of_users(&self) -> bool {
        !self.group.is_empty() && !self.group.ends_with(".k8s.io")
    }

    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn is_called(&self, word: &str) -> bool {
        let short = self.short_names.iter().any(|short| short == word);
        short || self.plural == word || self.singular == word || self.kind.to_lowercase() == word
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        let own = [self.plural.as_str(), self.singular.as_str()];
        own.into_iter().chain(self.short_names.iter().map(String::as_str)).filter(|word| !word.is_empty())
    }
}

/// What a server serves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds(Vec<Kind>);

impl Kinds {
    /// Asks the server.
    ///
    /// # Errors
    /// It does not answer, or is no API.
    pub(crate) async fn discover(http: &Http) -> Result<Self, ClientError> {
        let mut kinds = Vec::new();
        for path in ["/api", "/apis"] {
            let (_, body) = http.ask(&Ask { accept: AGGREGATED, ..Ask::get(path) }).await?;
            let document: Json = serde_json::from_slice(&body).unwrap_or_default();
            let groups = document["items"].as_array().ok_or_else(|| ClientError::Strange {
                at: http.endpoint().to_string(),
                why: "it has no aggregated discovery".to_owned(),
            })?;
            groups.iter().for_each(|group| read_group(group, &mut kinds));
        }
        Ok(Self(kinds))
    }

    /// All of them, those of the core group first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }

    /// The kind that a word means: a plural, singular or short name, or a kind's name; with `.group` or
    /// `.version.group` behind it if several are called so.
    ///
    /// # Errors
    /// There is none; then the nearest is named.
    pub(crate) fn find(&self, word: &str) -> Result<&Kind, ClientError> {
        let lower = word.to_lowercase();
        let (name, place) = lower.split_once('.').unwrap_or((&lower, ""));
        let found = self.0.iter().find(|kind| {
            let there = place.is_empty() || kind.group == place || format!("{}.{}", kind.version, kind.group) == place;
            there && kind.is_called(name)
        });
        found.ok_or_else(|| self.stranger(word))
    }

    /// The kind of a manifest.
    pub(crate) fn of_manifest(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.0.iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// The kinds of a category. Where none is in `all`, that is all kinds that are not of the system's own groups.
    pub(crate) fn category(&self, word: &str) -> Vec<&Kind> {
        let own = |kind: &&Kind| kind.categories.iter().any(|category| category == word);
        let found: Vec<_> = self.0.iter().filter(own).collect();
        if found.is_empty() && word == "all" {
            return self.0.iter().filter(|kind| kind.is_of_users() && kind.can("list")).collect();
        }
        found
    }

    fn stranger(&self, word: &str) -> ClientError {
        let near = nearest_word(&word.to_lowercase(), self.0.iter().flat_map(Kind::words));
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`roa get --kinds` names all kinds that the server has".to_owned(),
        };
        ClientError::NotFound { what: format!("kind {word:?}"), hint: Some(hint) }
    }
}

fn read_group(group: &Json, kinds: &mut Vec<Kind>) {
    let name = group["metadata"]["name"].as_str().unwrap_or_default();
    // The first version is the preferred one; a kind that only an older one has is found there.
    for version in array(&group["versions"]) {
        for resource in array(&version["resources"]) {
            kinds.push(Kind {
                group: name.to_owned(),
                version: text(&version["version"]),
                kind: text(&resource["responseKind"]["kind"]),
                plural: text(&resource["resource"]),
                singular: text(&resource["singularResource"]),
                short_names: array(&resource["shortNames"]).iter().map(text).collect(),
                categories: array(&resource["categories"]).iter().map(text).collect(),
                namespaced: resource["scope"] == "Namespaced",
                verbs: array(&resource["verbs"]).iter().map(text).collect(),
            });
        }
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn array(value: &Json) -> &[Json] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds() -> Kinds {
        let resource = |plural: &str, kind: &str, short: &str| {
            json!({"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "shortNames": [short],
                "singularResource": kind.to_lowercase(), "categories": ["all"], "verbs": ["get", "list"]})
        };
        let group = |name: &str, resources: Json| json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]});
        let mut kinds = Vec::new();
        read_group(&group("", json!([resource("events", "Event", "ev")])), &mut kinds);
        read_group(&group("lab.example.com", json!([resource("labs", "Lab", "lb")])), &mut kinds);
        read_group(&group("events.k8s.io", json!([resource("events", "Event", "ev")])), &mut kinds);
        Kinds(kinds)
    }

    #[test]
    fn a_kind_is_found_by_each_of_its_names() {
        let kinds = kinds();
        for word in ["labs", "lab", "lb", "Lab", "LABS", "lab.lab.example.com", "labs.v1.lab.example.com"] {
            assert_eq!(kinds.find(word).unwrap().qualified(), "labs.lab.example.com", "{word}");
        }
        assert_eq!(kinds.find("events").unwrap().group, "");
        assert_eq!(kinds.find("ev.events.k8s.io").unwrap().group, "events.k8s.io");
    }

    #[test]
    fn a_word_that_is_no_kind_names_the_nearest() {
        let hint = kinds().find("evnts").unwrap_err().hint().unwrap();
        assert_eq!(hint, "did you mean events?");
        assert!(kinds().find("refrigerators").unwrap_err().hint().unwrap().contains("--kinds"));
    }

    #[test]
    fn all_are_the_kinds_of_that_category_or_else_those_of_users() {
        let mut kinds = kinds();
        assert_eq!(kinds.category("all").len(), 3);
        kinds.0.iter_mut().for_each(|kind| kind.categories.clear());
        let all: Vec<_> = kinds.category("all").into_iter().map(Kind::qualified).collect();
        assert_eq!(all, ["labs.lab.example.com"]);
        assert!(kinds.category("some").is_empty());
    }

    #[test]
    fn paths_are_encoded_and_scoped() {
        let kinds = kinds();
        let lab = kinds.find("lab").unwrap();
        assert_eq!(lab.path(Some("a/b"), Some("x")), "/apis/lab.example.com/v1/namespaces/a%2Fb/labs/x");
        assert_eq!(lab.path(None, None), "/apis/lab.example.com/v1/labs");
        assert_eq!(kinds.find("ev").unwrap().path(Some("n"), None), "/api/v1/namespaces/n/events");
    }
}
