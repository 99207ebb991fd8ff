//! Discovery in one document for all groups: `APIGroupDiscoveryList`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::Served;

/// The document of the core group, or of all others.
pub(super) fn document(
    served: &BTreeMap<(String, String), BTreeMap<String, Arc<Served>>>,
    core: bool,
    version: &str,
) -> String {
    let mut groups: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
    for ((group, version), resources) in served.iter().filter(|((group, _), _)| group.is_empty() == core) {
        let resources: Vec<_> = resources.values().map(|served| resource(served)).collect();
        let version = json!({ "version": version, "freshness": "Current", "resources": resources });
        groups.entry(group).or_default().push(version);
    }
    let items: Vec<_> = groups.into_iter().map(|(name, versions)| group(name, &versions)).collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {}, "items": items,
    })
    .to_string()
}

fn group(name: &str, versions: &[Json]) -> Json {
    let metadata = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    json!({ "metadata": metadata, "versions": versions })
}

fn resource(served: &Served) -> Json {
    let kind = &served.kind;
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": { "group": served.group, "version": served.version, "kind": kind.kind },
        "scope": if served.is_namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": served.verbs,
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresources = subresources(served);
    if !subresources.is_empty() {
        resource["subresources"] = json!(subresources);
    }
    resource
}

fn subresources(served: &Served) -> Vec<Json> {
    let one = |name: &str, group: &str, version: &str, kind: &str| {
        json!({
            "subresource": name, "responseKind": { "group": group, "version": version, "kind": kind },
            "verbs": ["get", "patch", "update"],
        })
    };
    let mut found = Vec::new();
    if served.has_status {
        found.push(one("status", &served.group, &served.version, &served.kind.kind));
    }
    if served.has_scale() {
        found.push(one("scale", "autoscaling", "v1", "Scale"));
    }
    for told in &served.subresources {
        let mut entry = one(told.name(), &served.group, &served.version, &served.kind.kind);
        entry["verbs"] = json!(["get"]);
        found.push(entry);
    }
    found
}
