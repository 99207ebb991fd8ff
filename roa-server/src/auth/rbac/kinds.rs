//! The kinds of roles and bindings, with their own rules.

use std::sync::Arc;

use roa_core::{Column, DynamicObject, KindDescriptor, NameRule, Scope, Violations};
use serde_json::{Value as Json, json};

use super::Rule;
use super::objects::{Binding, RBAC_GROUP, RbacKind, Role, Subject, binding, role};

/// No role has more rules, and no rule a longer list.
const MAX_RULES: usize = 512;

/// Role, ClusterRole, RoleBinding and ClusterRoleBinding, to be registered where `server.authorization` is `rbac`.
///
/// ```
/// use roa_core::KindRegistry;
/// let kinds = roa_server::auth::rbac_kinds().into_iter().fold(KindRegistry::new(), KindRegistry::with_kind);
/// assert!(kinds.by_name("clusterrolebindings").is_ok());
/// ```
#[must_use]
pub fn rbac_kinds() -> Vec<KindDescriptor> {
    RbacKind::ALL.into_iter().map(describe).collect()
}

fn describe(kind: RbacKind) -> KindDescriptor {
    let scope = match kind {
        RbacKind::Role | RbacKind::RoleBinding => Scope::Namespaced,
        RbacKind::ClusterRole | RbacKind::ClusterRoleBinding => Scope::Cluster,
    };
    let mut this = KindDescriptor::dynamic(RBAC_GROUP, "v1", kind.name(), kind.plural(), scope);
    this.names = NameRule::PathSegment;
    let (fields, schema): (&'static [&str], _) = match kind {
        RbacKind::Role => (&["rules"], role_schema(false)),
        RbacKind::ClusterRole => (&["rules", "aggregationRule"], role_schema(true)),
        _ => (&["roleRef", "subjects"], binding_schema()),
    };
    if fields.contains(&"roleRef") {
        this.columns = vec![Column::text("ROLE", "roleRef.name"), Column::text("KIND", "roleRef.kind")];
    }
    this.schema = Some(Arc::new(schema));
    this.unknown_fields =
        Arc::new(move |object| object.body.keys().filter(|name| !fields.contains(&name.as_str())).cloned().collect());
    this.validator = Arc::new(move |object, old| validate(kind, object, old));
    this
}

fn validate(kind: RbacKind, object: &DynamicObject, old: Option<&DynamicObject>) -> Violations {
    let decoded = match kind {
        RbacKind::Role | RbacKind::ClusterRole => role(object).map(|role| validate_role(kind, &role)),
        RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => binding(object).map(|now| {
            let mut found = validate_binding(kind, &now);
            let before = old.and_then(|old| binding(old).ok());
            let kept = before.is_none_or(|before| before.role_ref == now.role_ref);
            found.merge(Violations::unless(
                kept,
                "roleRef",
                "cannot change roleRef: delete the binding and make another",
            ));
            found
        }),
    };
    decoded.unwrap_or_else(|reason| Violations::one("", reason))
}

fn validate_role(kind: RbacKind, role: &Role) -> Violations {
    let rules = role.rules.as_deref().unwrap_or_default();
    let mut found = Violations::unless(rules.len() <= MAX_RULES, "rules", format!("has more than {MAX_RULES} rules"));
    for (position, rule) in rules.iter().enumerate() {
        found.merge(validate_rule(kind, rule).nested(&format!("rules[{position}]")));
    }
    for selector in role.aggregation_rule.iter().flat_map(|aggregation| &aggregation.cluster_role_selectors) {
        match selector.compile() {
            Ok(Some(_)) => {}
            Ok(None) => found.push("aggregationRule.clusterRoleSelectors", "has a selector that selects by nothing"),
            Err(reason) => found.push("aggregationRule.clusterRoleSelectors", reason),
        }
    }
    found
}

fn validate_rule(kind: RbacKind, rule: &Rule) -> Violations {
    let mut found = Violations::unless(!rule.verbs.is_empty(), "verbs", "verbs must contain at least one value");
    let lists = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    if lists.iter().any(|list| list.len() > MAX_RULES) {
        found.push("", format!("has a list of more than {MAX_RULES} values"));
    }
    if rule.non_resource_urls.is_empty() {
        let reason = "resource rules must supply at least one api group";
        found.merge(Violations::unless(!rule.api_groups.is_empty(), "apiGroups", reason));
        let reason = "resource rules must supply at least one resource";
        found.merge(Violations::unless(!rule.resources.is_empty(), "resources", reason));
        return found;
    }
    let reason = "namespaced rules cannot apply to non-resource URLs";
    found.merge(Violations::unless(kind == RbacKind::ClusterRole, "nonResourceURLs", reason));
    let apart = rule.api_groups.is_empty() && rule.resources.is_empty() && rule.resource_names.is_empty();
    found.merge(Violations::unless(
        apart,
        "nonResourceURLs",
        "rules cannot apply to both regular resources and non-resource URLs",
    ));
    found
}

fn validate_binding(kind: RbacKind, binding: &Binding) -> Violations {
    let to = &binding.role_ref;
    let mut found =
        Violations::unless(to.api_group == RBAC_GROUP, "roleRef.apiGroup", format!("expected {RBAC_GROUP}"));
    let expected: &[&str] = if kind == RbacKind::RoleBinding { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    found.merge(Violations::unless(
        expected.contains(&&*to.kind),
        "roleRef.kind",
        format!("expected {}", expected.join(" or ")),
    ));
    found.merge(Violations::unless(!to.name.is_empty(), "roleRef.name", "must not be empty"));
    let subjects = binding.subjects.as_deref().unwrap_or_default();
    for (position, subject) in subjects.iter().enumerate() {
        found.merge(validate_subject(subject).nested(&format!("subjects[{position}]")));
    }
    found
}

fn validate_subject(subject: &Subject) -> Violations {
    let mut found = Violations::unless(!subject.name.is_empty(), "name", "must not be empty");
    match subject.kind.as_str() {
        "User" | "Group" => {
            let group = [RBAC_GROUP, ""].contains(&&*subject.api_group);
            found.merge(Violations::unless(group, "apiGroup", format!("expected {RBAC_GROUP}")));
            found.merge(Violations::unless(subject.namespace.is_empty(), "namespace", "must be empty for this kind"));
        }
        "ServiceAccount" => {
            found.merge(Violations::unless(subject.api_group.is_empty(), "apiGroup", "must be empty for this kind"));
            found.merge(Violations::unless(
                !subject.namespace.is_empty(),
                "namespace",
                "must not be empty for this kind",
            ));
        }
        _ => found.push("kind", "expected User, Group or ServiceAccount"),
    }
    found
}

fn texts(description: &str) -> Json {
    json!({"type": "array", "items": {"type": "string"}, "description": description})
}

fn role_schema(cluster: bool) -> Json {
    let mut rule = json!({
        "type": "object",
        "required": ["verbs"],
        "properties": {
            "verbs": texts("What may be done: get, list, watch, create, update, patch, delete, deletecollection; * is everything."),
            "apiGroups": texts("On resources of which groups; empty text is the core group, * all groups."),
            "resources": texts("On which resources: the plural, with a slash its subresource; * is all."),
            "resourceNames": texts("On objects of which names alone; without any, on all."),
        },
    });
    let mut properties = json!({});
    if cluster {
        rule["properties"]["nonResourceURLs"] =
            texts("On which paths that are no resources; one that ends with * is a beginning.");
        properties["aggregationRule"] = json!({
            "type": "object",
            "description": "Which other cluster roles' rules this role has too.",
            "properties": {"clusterRoleSelectors": {"type": "array", "items": selector_schema()}},
        });
    }
    properties["rules"] = json!({"type": "array", "items": rule, "description": "What the role allows."});
    json!({"type": "object", "properties": properties})
}

fn selector_schema() -> Json {
    let expression = json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {"key": {"type": "string"}, "operator": {"type": "string"}, "values": texts("Values of the label.")},
    });
    json!({
        "type": "object",
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": {"type": "array", "items": expression},
        },
    })
}

fn binding_schema() -> Json {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "required": ["roleRef"],
        "properties": {
            "roleRef": {
                "type": "object",
                "description": "The role that the subjects get; it can't be changed.",
                "required": ["kind", "name"],
                "properties": {
                    "apiGroup": {"type": "string", "default": RBAC_GROUP},
                    "kind": text("Role or ClusterRole."),
                    "name": text("Its name."),
                },
            },
            "subjects": {
                "type": "array",
                "description": "Who gets the role.",
                "items": {
                    "type": "object",
                    "required": ["kind", "name"],
                    "properties": {
                        "apiGroup": text("The group of the kind; for users and groups rbac.authorization.k8s.io."),
                        "kind": text("User, Group or ServiceAccount."),
                        "name": text("Its name."),
                        "namespace": text("The namespace of a service account."),
                    },
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rbac::tests::object;

    fn check(kind: RbacKind, body: &Json) -> String {
        let (namespace, kinds) = ("school", rbac_kinds());
        let descriptor = kinds.iter().find(|known| &*known.kind == kind.name()).unwrap();
        (descriptor.validator)(&object(kind, namespace, "a", body), None).to_string()
    }

    #[test]
    fn a_role_that_says_nothing_sensible_is_refused() {
        let table = [
            (RbacKind::Role, json!({"verbs": [], "apiGroups": [""], "resources": ["x"]}), "rules[0].verbs"),
            (RbacKind::Role, json!({"verbs": ["get"], "resources": ["x"]}), "rules[0].apiGroups"),
            (RbacKind::Role, json!({"verbs": ["get"], "apiGroups": [""]}), "rules[0].resources"),
            (RbacKind::Role, json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}), "rules[0].nonResourceURLs"),
            (RbacKind::ClusterRole, json!({"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["x"]}), "both"),
        ];
        for (kind, rule, expected) in table {
            let found = check(kind, &json!({"rules": [rule]}));
            assert!(found.contains(expected), "{found}");
        }
        assert!(check(RbacKind::Role, &json!({"rules": 7})).contains("invalid type"));
        let aggregated = json!({"aggregationRule": {"clusterRoleSelectors": [{}]}});
        assert!(check(RbacKind::ClusterRole, &aggregated).contains("selects by nothing"));
        let good = json!({"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]});
        assert_eq!(check(RbacKind::ClusterRole, &good), "");
        assert_eq!(check(RbacKind::Role, &json!({"rules": null})), "");
    }

    #[test]
    fn a_binding_names_a_role_and_subjects() {
        let to = |kind: &str| json!({"apiGroup": RBAC_GROUP, "kind": kind, "name": "view"});
        assert_eq!(check(RbacKind::RoleBinding, &json!({"roleRef": to("Role")})), "");
        assert!(check(RbacKind::ClusterRoleBinding, &json!({"roleRef": to("Role")})).contains("roleRef.kind"));
        let subjects =
            |subject: Json| check(RbacKind::RoleBinding, &json!({"roleRef": to("Role"), "subjects": [subject]}));
        assert_eq!(subjects(json!({"kind": "User", "name": "alice", "apiGroup": RBAC_GROUP})), "");
        assert_eq!(subjects(json!({"kind": "ServiceAccount", "name": "a", "namespace": "b"})), "");
        assert!(subjects(json!({"kind": "ServiceAccount", "name": "a"})).contains("subjects[0].namespace"));
        assert!(subjects(json!({"kind": "Robot", "name": "a"})).contains("subjects[0].kind"));
        assert!(check(RbacKind::RoleBinding, &json!({})).contains("roleRef"));
    }

    #[test]
    fn t2_what_a_binding_binds_to_cannot_change() {
        let kinds = rbac_kinds();
        let of = |name: &str| {
            let to = json!({"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name});
            object(RbacKind::RoleBinding, "school", "a", &json!({"roleRef": to}))
        };
        let check = |now, old| (kinds[2].validator)(&now, Some(&old)).to_string();
        assert!(check(of("admin"), of("view")).contains("cannot change roleRef"));
        assert_eq!(check(of("view"), of("view")), "");
    }

    #[test]
    fn fields_that_nobody_knows_are_named() {
        let unknown = object(RbacKind::Role, "school", "a", &json!({"rules": [], "rulez": []}));
        assert_eq!((rbac_kinds()[0].unknown_fields)(&unknown), ["rulez"]);
    }
}
