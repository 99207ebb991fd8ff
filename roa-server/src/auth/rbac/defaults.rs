//! The roles that are there from the start: `cluster-admin`, `admin`, `edit`, `view`.

use std::collections::BTreeMap;
use std::sync::Arc;

use roa_core::lifecycle::FieldValidation;
use roa_core::{
    DynamicObject, Error, KindDescriptor, KindRegistry, Metadata, ResourceStore, Result, SYSTEM_GROUP, Scope,
};
use serde_json::{Map, Value as Json, json};

use super::objects::{RBAC_GROUP, RbacKind, role};
use super::{Rule, compare};
use crate::auth::MASTERS;
use crate::subresource::Subresource;

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
/// Whether a role gets the rules that a later version or another kind adds; `false` keeps it as it is.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// How often a role that others write meanwhile is read again.
const ATTEMPTS: usize = 5;

/// The roles that are there from the start, for these kinds, and the binding of `cluster-admin` to `system:masters`.
///
/// `view` reads all objects of namespaces but roles, bindings and secrets; `edit` also writes them; `admin` also gives
/// roles in its namespace. Each also has the rules of cluster roles that are labelled
/// `rbac.authorization.k8s.io/aggregate-to-view` (`-edit`, `-admin`) `: "true"`: so roles for kinds that are declared at
/// run time join them. What the program `tells` of objects is read like they are.
#[must_use]
pub fn default_roles(kinds: &KindRegistry, tells: &[Arc<dyn Subresource>]) -> Vec<DynamicObject> {
    let read: Vec<Rule> = [Rule::on_resources(&READ, &[""], &["namespaces"])]
        .into_iter()
        .chain(by_group(kinds, &READ, &["", "status", "scale"], tells))
        .collect();
    let edit: Vec<Rule> = read.iter().cloned().chain(by_group(kinds, &WRITE, &["", "scale"], &[])).collect();
    let give = Rule::on_resources(&[READ.as_slice(), &WRITE].concat(), &[RBAC_GROUP], &["roles", "rolebindings"]);
    let admin: Vec<Rule> = edit.iter().cloned().chain([give]).collect();
    vec![
        cluster_role("cluster-admin", &[Rule::everything(), Rule::every_path()], false),
        cluster_role("admin", &admin, true),
        cluster_role("edit", &edit, true),
        cluster_role("view", &read, true),
        object(
            RbacKind::ClusterRoleBinding,
            "cluster-admin",
            json!({
                "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": MASTERS}],
            }),
        ),
    ]
}

/// A rule for each group that has objects in namespaces.
fn by_group(kinds: &KindRegistry, verbs: &[&str], subresources: &[&str], tells: &[Arc<dyn Subresource>]) -> Vec<Rule> {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| is_ordinary(kind)) {
        let resources = groups.entry(&kind.group).or_default();
        for subresource in subresources {
            match *subresource {
                "" => resources.push(kind.plural.to_string()),
                "scale" if kind.scale_path.is_none() => {}
                subresource => resources.push(format!("{}/{subresource}", kind.plural)),
            }
        }
        let told = tells.iter().filter(|told| told.is_of(kind));
        resources.extend(told.map(|told| format!("{}/{}", kind.plural, told.name())));
    }
    let rule = |(group, resources): (&str, Vec<String>)| {
        let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
        Rule::on_resources(verbs, &[group], &resources)
    };
    groups.into_iter().map(rule).collect()
}

fn is_ordinary(kind: &KindDescriptor) -> bool {
    kind.scope == Scope::Namespaced
        && ![RBAC_GROUP, SYSTEM_GROUP].contains(&&*kind.group)
        && (&*kind.group, &*kind.plural) != ("", "secrets")
}

fn cluster_role(name: &str, rules: &[Rule], aggregates: bool) -> DynamicObject {
    let mut body = json!({ "rules": rules });
    if aggregates {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{name}");
        body["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    object(RbacKind::ClusterRole, name, body)
}

fn object(kind: RbacKind, name: &str, body: Json) -> DynamicObject {
    let mut metadata = Metadata::named("", name);
    metadata.labels.insert("kubernetes.io/bootstrapping".to_owned(), "rbac-defaults".to_owned());
    metadata.annotations.insert(AUTO_UPDATE.to_owned(), "true".to_owned());
    let body = if let Json::Object(body) = body { body } else { Map::new() };
    DynamicObject {
        api_version: format!("{RBAC_GROUP}/v1"),
        kind: kind.name().to_owned(),
        metadata,
        other_metadata: Map::new(),
        body,
    }
}

/// Creates those of the default roles that are missing, and gives those that are there the rules that they lack, unless
/// their annotation `rbac.authorization.kubernetes.io/autoupdate` says `false`. What else they allow stays. Says how many
/// it wrote.
///
/// # Errors
/// As [`ResourceStore::create`]; then it can be done again.
///
/// # Cancel safety
/// Safe: each role is written whole or not at all.
pub async fn create_default_roles(resources: &ResourceStore, tells: &[Arc<dyn Subresource>]) -> Result<usize> {
    let mut written = 0;
    for wanted in default_roles(resources.kinds(), tells) {
        let kind = Arc::clone(resources.kinds().by_manifest(&wanted.api_version, &wanted.kind)?);
        let key = kind.key("", &wanted.metadata.name)?;
        for attempt in 1.. {
            let outcome = match resources.get(&key).await {
                Ok(stored) => match updated(stored, &wanted) {
                    Some(object) => resources.update(object, FieldValidation::Ignore).await,
                    None => break,
                },
                Err(Error::NotFound { .. }) => resources.create(wanted.clone(), FieldValidation::Ignore).await,
                Err(error) => return Err(error),
            };
            match outcome {
                Ok(_) => {
                    written += 1;
                    break;
                }
                // Another process does the same.
                Err(Error::AlreadyExists { .. } | Error::Conflict { .. }) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(written)
}

/// The stored role with the rules that it lacks; `None` if it lacks none, or is to stay as it is.
fn updated(mut stored: DynamicObject, wanted: &DynamicObject) -> Option<DynamicObject> {
    if stored.metadata.annotations.get(AUTO_UPDATE).map(String::as_str) == Some("false") {
        return None;
    }
    let rules = |object: &DynamicObject| role(object).ok().and_then(|role| role.rules).unwrap_or_default();
    let mut has = rules(&stored);
    let lacks: Vec<Rule> =
        rules(wanted).into_iter().filter(|rule| compare::missing(&has, std::slice::from_ref(rule)).is_err()).collect();
    if lacks.is_empty() {
        return None;
    }
    has.extend(lacks);
    stored.body.insert("rules".to_owned(), serde_json::to_value(has).ok()?);
    Some(stored)
}
