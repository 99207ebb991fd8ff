//! Nobody gives what they do not have: what a role or binding that is written may allow.

use roa_core::{DynamicObject, LabelSelector};

use super::Rule;
use super::compare::missing;
use super::objects::{RBAC_GROUP, RbacKind, RoleRef, binding, role};
use super::policy::Policy;
use crate::auth::{Attributes, Forbidden, ResourceTarget, User};

/// Whether a user may write a role or binding: who does must hold every permission that it gives, or be allowed to
/// `escalate` that role or `bind` to it.
pub(super) fn check(
    policy: &Policy,
    user: &User,
    before: Option<&DynamicObject>,
    after: &DynamicObject,
) -> Result<(), Box<Forbidden>> {
    let Some(kind) = RbacKind::of(after) else { return Ok(()) };
    if before.is_some_and(|before| before.body == after.body && before.metadata.labels == after.metadata.labels) {
        return Ok(());
    }
    let metadata = &after.metadata;
    // What is in no namespace gives everywhere, whatever its metadata say.
    let namespace = match kind {
        RbacKind::Role | RbacKind::RoleBinding => &*metadata.namespace,
        RbacKind::ClusterRole | RbacKind::ClusterRoleBinding => "",
    };
    let on_this = |verb| on(verb, kind.plural(), namespace, &metadata.name);
    let verb = if before.is_some() { "update" } else { "create" };
    let refused = |reason: &str| Box::new(Forbidden::because(&on_this(verb), reason));
    let given = match kind {
        RbacKind::Role | RbacKind::ClusterRole => {
            if policy.authorize(user, &on_this("escalate")).is_allowed() {
                return Ok(());
            }
            given_by_role(policy, after).map_err(|reason| refused(&reason))?
        }
        RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => {
            let to = binding(after).map_err(|reason| refused(&reason))?.role_ref;
            let plural = if to.kind == "Role" { "roles" } else { "clusterroles" };
            if policy.authorize(user, &on("bind", plural, namespace, &to.name)).is_allowed() {
                return Ok(());
            }
            given_by_binding(policy, &to, namespace).map_err(|reason| refused(&reason))?
        }
    };
    let held = policy.rules(user, namespace);
    missing(&held, &given).map_err(|reason| refused(&attempt(user, &reason)))
}

const fn on<'a>(verb: &'a str, resource: &'a str, namespace: &'a str, name: &'a str) -> Attributes<'a> {
    Attributes::resource(verb, ResourceTarget { group: RBAC_GROUP, resource, subresource: "", namespace, name })
}

/// The rules of a role, with those that it selects now. What it may select later its writer must hold as well: that is
/// everything.
fn given_by_role(policy: &Policy, after: &DynamicObject) -> Result<Vec<Rule>, String> {
    let role = role(after)?;
    let mut rules = role.rules.unwrap_or_default();
    let aggregation = role.aggregation_rule.unwrap_or_default();
    let selectors: Result<Vec<Option<LabelSelector>>, _> =
        aggregation.cluster_role_selectors.iter().map(super::objects::Selector::compile).collect();
    let selectors: Vec<LabelSelector> = selectors?.into_iter().flatten().collect();
    if !selectors.is_empty() {
        rules.extend(policy.rules_selected(&selectors));
        rules.extend([Rule::everything(), Rule::every_path()]);
    }
    Ok(rules)
}

fn given_by_binding(policy: &Policy, to: &RoleRef, namespace: &str) -> Result<Vec<Rule>, String> {
    let rules = policy.rules_of(to, namespace).map(|rules| rules.to_vec());
    rules.ok_or_else(|| {
        format!("{} {:?} not found: whoever binds to a role that may come later needs the verb bind", to.kind, to.name)
    })
}

fn attempt(user: &User, reason: &str) -> String {
    format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held: {reason}",
        user.name, user.groups
    )
}
