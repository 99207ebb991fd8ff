//! Discovery one document at a time: versions, groups, and the resources of a group and version.

use serde_json::{Value as Json, json};

use super::{Catalog, Served};

impl Catalog {
    /// `/api`.
    pub(crate) fn core_versions(&self, address: &str) -> Json {
        json!({
            "kind": "APIVersions", "versions": self.versions("").collect::<Vec<_>>(),
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": address }],
        })
    }

    /// `/apis`.
    pub(crate) fn group_list(&self) -> Json {
        let groups: Vec<_> = self.groups().into_iter().map(|group| self.describe(group)).collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
    }

    /// `/apis/GROUP`.
    pub(crate) fn group(&self, group: &str) -> Option<Json> {
        self.versions(group).next()?;
        let mut described = self.describe(group);
        described["kind"] = json!("APIGroup");
        described["apiVersion"] = json!("v1");
        Some(described)
    }

    fn describe(&self, group: &str) -> Json {
        let version = |version| json!({ "groupVersion": format!("{group}/{version}"), "version": version });
        let versions: Vec<_> = self.versions(group).map(version).collect();
        json!({ "name": group, "versions": versions, "preferredVersion": versions.first() })
    }

    /// `/api/v1`, `/apis/GROUP/VERSION`.
    pub(crate) fn resource_list(&self, group: &str, version: &str) -> Option<Json> {
        let resources: Vec<_> = self.resources(group, version)?.flat_map(|served| entries(served)).collect();
        let place = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": place, "resources": resources,
        }))
    }
}

/// A resource, and its subresources.
fn entries(served: &Served) -> Vec<Json> {
    let kind = &served.kind;
    let mut resource = json!({
        "name": kind.plural, "singularName": kind.singular, "namespaced": served.is_namespaced(),
        "kind": kind.kind, "verbs": served.verbs,
    });
    if !kind.short_names.is_empty() {
        resource["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    let subresource = |name: &str, kind: &str| {
        json!({
            "name": format!("{}/{name}", served.kind.plural), "singularName": "", "namespaced": served.is_namespaced(),
            "kind": kind, "verbs": ["get", "patch", "update"],
        })
    };
    let mut entries = vec![resource];
    if served.has_scale() {
        let mut scale = subresource("scale", "Scale");
        scale["group"] = json!("autoscaling");
        scale["version"] = json!("v1");
        entries.push(scale);
    }
    if served.has_status {
        entries.push(subresource("status", &kind.kind));
    }
    for told in &served.subresources {
        let mut entry = subresource(told.name(), &kind.kind);
        entry["verbs"] = json!(["get"]);
        entries.push(entry);
    }
    entries
}
