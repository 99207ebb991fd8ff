//! Nobody gives what they do not have: what a role or binding that is written may allow.

use roa_core::{DynamicObject, LabelSelector};

use super::objects::{RBAC_GROUP, RbacKind, RoleRef, binding, role};
use super::policy::Policy;
use super::rule::ALL;
use super::{Rule, rule};
use crate::auth::{Attributes, Forbidden, ResourceTarget, User};

/// More single permissions than this in one role are not compared, and refused.
const MAX_PERMISSIONS: usize = 100_000;

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

/// One verb on one resource (of one name, or of all), or on one path.
#[derive(Debug, Clone, Copy)]
enum Permission<'a> {
    Resource { verb: &'a str, group: &'a str, resource: &'a str, name: Option<&'a str> },
    Path { verb: &'a str, path: &'a str },
}

/// What of `given` no rule of `held` covers, in words; nothing if all is.
pub(super) fn missing(held: &[Rule], given: &[Rule]) -> Result<(), String> {
    let mut count = 0_usize;
    for rule in given {
        count = count.saturating_add(size(rule));
        if count > MAX_PERMISSIONS {
            return Err(format!("more than {MAX_PERMISSIONS} single permissions can't be compared"));
        }
        let lacking = permissions(rule).find(|wanted| !held.iter().any(|rule| covers(rule, wanted)));
        if let Some(lacking) = lacking {
            return Err(describe(&lacking));
        }
    }
    Ok(())
}

fn size(rule: &Rule) -> usize {
    let resources = [rule.api_groups.len(), rule.resources.len(), rule.resource_names.len().max(1)];
    let resources = resources.into_iter().fold(1, usize::saturating_mul);
    rule.verbs.len().saturating_mul(resources.saturating_add(rule.non_resource_urls.len()))
}

fn permissions(rule: &Rule) -> impl Iterator<Item = Permission<'_>> {
    rule.verbs.iter().flat_map(move |verb| {
        let paths = rule.non_resource_urls.iter().map(move |path| Permission::Path { verb, path });
        let groups = rule.api_groups.iter();
        let pairs = groups.flat_map(move |group| rule.resources.iter().map(move |resource| (group, resource)));
        let resources = pairs.flat_map(move |(group, resource)| {
            let all = rule.resource_names.is_empty().then_some(None);
            let names = rule.resource_names.iter().map(|name| Some(name.as_str())).chain(all);
            names.map(move |name| Permission::Resource { verb, group, resource, name })
        });
        resources.chain(paths)
    })
}

/// Whether a rule allows all that a permission does. A star in the permission only a star covers.
fn covers(held: &Rule, wanted: &Permission<'_>) -> bool {
    match *wanted {
        Permission::Path { verb, path } => {
            let beginning = |own: &str| own.strip_suffix(ALL).is_some_and(|own| path.starts_with(own));
            rule::has(&held.verbs, verb) && held.non_resource_urls.iter().any(|own| own == path || beginning(own))
        }
        Permission::Resource { verb, group, resource, name } => {
            let named = held.resource_names.is_empty()
                || name.is_some_and(|name| held.resource_names.iter().any(|own| own == name));
            rule::has(&held.verbs, verb)
                && rule::has(&held.api_groups, group)
                && held.resources.iter().any(|own| covers_resource(own, resource))
                && named
        }
    }
}

fn covers_resource(own: &str, wanted: &str) -> bool {
    let every = own.strip_prefix("*/");
    own == ALL || own == wanted || every.is_some_and(|own| wanted.split_once('/').is_some_and(|(_, sub)| sub == own))
}

fn describe(permission: &Permission<'_>) -> String {
    match permission {
        Permission::Path { verb, path } => format!("{{NonResourceURLs:[{path:?}], Verbs:[{verb:?}]}}"),
        Permission::Resource { verb, group, resource, name } => {
            let names = name.map(|name| format!(", ResourceNames:[{name:?}]")).unwrap_or_default();
            format!("{{APIGroups:[{group:?}], Resources:[{resource:?}]{names}, Verbs:[{verb:?}]}}")
        }
    }
}
