//! [`Policy`]: all roles and bindings, laid out by who has them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use roa_core::{DynamicObject, Key, LabelSelector};

use super::objects::{Bearer, Binding, RbacKind, RoleRef, binding, role};
use super::{Rule, built_in};
use crate::auth::{Attributes, Decision, MASTERS, Target, User};

/// Namespace (empty for the whole cluster) and name.
pub(super) type Place = (String, String);

/// All roles and bindings. What a request costs grows with the bindings of its user in its namespace alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    roles: HashMap<Place, Arc<[Rule]>>,
    cluster_roles: HashMap<String, ClusterRole>,
    bindings: HashMap<Place, Bound>,
    /// The names of bindings, by whom they bind and the namespace in which they do.
    by_bearer: HashMap<Bearer, HashMap<String, BTreeSet<String>>>,
}

#[derive(Debug, Clone)]
struct ClusterRole {
    labels: BTreeMap<String, String>,
    own: Arc<[Rule]>,
    selectors: Vec<LabelSelector>,
    /// The own rules and those of the roles that are selected, and what those select.
    rules: Arc<[Rule]>,
}

#[derive(Debug, Clone)]
struct Bound {
    to: RoleRef,
    bearers: Vec<Bearer>,
}

/// A rule that holds for a user.
#[derive(Debug, Clone, Copy)]
struct Granted<'a> {
    rule: &'a Rule,
    by: Source<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    BuiltIn,
    Binding { namespace: &'a str, name: &'a str, to: &'a RoleRef },
}

impl Policy {
    /// An object came, changed, or went.
    pub(super) fn changed(&mut self, kind: RbacKind, key: &Key, object: Option<&DynamicObject>) {
        let place = (key.namespace().to_owned(), key.name().to_owned());
        match kind {
            RbacKind::Role => match object.and_then(|object| readable(object, role(object))) {
                Some(role) => drop(self.roles.insert(place, role.rules.unwrap_or_default().into())),
                None => drop(self.roles.remove(&place)),
            },
            RbacKind::ClusterRole => self.cluster_role_changed(place.1, object),
            RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => {
                self.unbind(&place);
                if let Some(binding) = object.and_then(|object| readable(object, binding(object))) {
                    self.bind(place, binding);
                }
            }
        }
    }

    fn cluster_role_changed(&mut self, name: String, object: Option<&DynamicObject>) {
        match object.and_then(|object| Some((object, readable(object, role(object))?))) {
            None => drop(self.cluster_roles.remove(&name)),
            Some((object, role)) => {
                let own: Arc<[Rule]> = role.rules.unwrap_or_default().into();
                let aggregation = role.aggregation_rule.unwrap_or_default();
                let selectors = aggregation.cluster_role_selectors.iter();
                // One that can't be read selects nothing; such a one is never written.
                let selectors = selectors.filter_map(|selector| selector.compile().ok().flatten()).collect();
                let labels = object.metadata.labels.clone();
                self.cluster_roles.insert(name, ClusterRole { labels, rules: Arc::clone(&own), own, selectors });
            }
        }
        self.aggregate();
    }

    /// Collects the rules of those roles that have others' rules. There are few of them.
    fn aggregate(&mut self) {
        let aggregating = self.cluster_roles.iter().filter(|(_, role)| !role.selectors.is_empty());
        let collected: Vec<(String, Vec<Rule>)> = aggregating
            .map(|(name, _)| {
                let (mut rules, mut seen) = (Vec::new(), HashSet::new());
                self.collect(name, &mut seen, &mut rules);
                (name.clone(), rules)
            })
            .collect();
        for (name, rules) in collected {
            if let Some(role) = self.cluster_roles.get_mut(&name) {
                role.rules = rules.into();
            }
        }
    }

    fn collect<'a>(&'a self, name: &'a str, seen: &mut HashSet<&'a str>, rules: &mut Vec<Rule>) {
        let Some(role) = self.cluster_roles.get(name).filter(|_| seen.insert(name)) else { return };
        rules.extend(role.own.iter().cloned());
        let selected = |other: &ClusterRole| role.selectors.iter().any(|selector| selector.matches(&other.labels));
        let mut others: Vec<_> = self.cluster_roles.iter().filter(|(_, other)| selected(other)).collect();
        others.sort_unstable_by_key(|(name, _)| *name);
        for (other, _) in others {
            self.collect(other, seen, rules);
        }
    }

    fn bind(&mut self, place: Place, binding: Binding) {
        let subjects = binding.subjects.unwrap_or_default();
        let bearers: Vec<Bearer> = subjects.iter().filter_map(super::objects::Subject::bearer).collect();
        for bearer in &bearers {
            let places = self.by_bearer.entry(bearer.clone()).or_default();
            places.entry(place.0.clone()).or_default().insert(place.1.clone());
        }
        self.bindings.insert(place, Bound { to: binding.role_ref, bearers });
    }

    fn unbind(&mut self, place: &Place) {
        let Some(bound) = self.bindings.remove(place) else { return };
        for bearer in bound.bearers {
            let Some(places) = self.by_bearer.get_mut(&bearer) else { continue };
            if let Some(names) = places.get_mut(&place.0) {
                names.remove(&place.1);
                if names.is_empty() {
                    places.remove(&place.0);
                }
            }
            if places.is_empty() {
                self.by_bearer.remove(&bearer);
            }
        }
    }

    /// The rules of the role that a binding in this namespace binds to, if there is that role.
    pub(super) fn rules_of(&self, to: &RoleRef, namespace: &str) -> Option<&Arc<[Rule]>> {
        match to.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(&to.name).map(|role| &role.rules),
            "Role" if !namespace.is_empty() => self.roles.get(&(namespace.to_owned(), to.name.clone())),
            _ => None,
        }
    }

    /// The rules of all cluster roles that these select, with what those select.
    pub(super) fn rules_selected(&self, selectors: &[LabelSelector]) -> Vec<Rule> {
        let (mut rules, mut seen) = (Vec::new(), HashSet::new());
        for (name, role) in &self.cluster_roles {
            if selectors.iter().any(|selector| selector.matches(&role.labels)) {
                self.collect(name, &mut seen, &mut rules);
            }
        }
        rules
    }

    fn granted<'a>(&'a self, user: &'a User, namespace: &'a str) -> impl Iterator<Item = Granted<'a>> {
        let groups = user.groups.iter().cloned().map(Bearer::Group);
        let bearers: Vec<Bearer> = [Bearer::User(user.name.clone())].into_iter().chain(groups).collect();
        let places = bearers.into_iter().filter_map(|bearer| self.by_bearer.get(&bearer));
        let namespaces = move || ["", namespace].into_iter().take(if namespace.is_empty() { 1 } else { 2 });
        let names = places.flat_map(move |places| namespaces().filter_map(|namespace| places.get_key_value(namespace)));
        let bindings = names.flat_map(|(namespace, names)| names.iter().map(move |name| (namespace, name)));
        let bound = bindings.flat_map(move |(namespace, name)| {
            let bound = self.bindings.get(&(namespace.clone(), name.clone()));
            bound.into_iter().flat_map(move |bound| {
                let by = Source::Binding { namespace, name, to: &bound.to };
                let rules = self.rules_of(&bound.to, namespace).into_iter().flat_map(|rules| rules.iter());
                rules.map(move |rule| Granted { rule, by })
            })
        });
        built_in::rules(user).map(|rule| Granted { rule, by: Source::BuiltIn }).chain(bound)
    }

    pub(super) fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allow(format!("RBAC: the group {MASTERS} may do everything").into());
        }
        let namespace = match attributes.on {
            Target::Resource(target) => target.namespace,
            Target::Path(_) => "",
        };
        match self.granted(user, namespace).find(|granted| granted.rule.allows(attributes)) {
            Some(granted) => Decision::Allow(granted.by.to_string().into()),
            None => Decision::Deny("".into()),
        }
    }

    /// All rules that hold for a user in a namespace, none twice.
    pub(super) fn rules(&self, user: &User, namespace: &str) -> Vec<Rule> {
        if user.is_in(MASTERS) {
            return vec![Rule::everything(), Rule::every_path()];
        }
        let mut rules: Vec<Rule> = Vec::new();
        let mut seen = HashSet::new();
        rules.extend(
            self.granted(user, namespace).map(|granted| granted.rule).filter(|rule| seen.insert(*rule)).cloned(),
        );
        rules
    }
}

impl std::fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("RBAC: allowed to everybody"),
            Self::Binding { namespace: "", name, to } => {
                write!(f, "RBAC: allowed by ClusterRoleBinding {name:?} of {} {:?}", to.kind, to.name)
            }
            Self::Binding { namespace, name, to } => {
                write!(f, "RBAC: allowed by RoleBinding \"{namespace}/{name}\" of {} {:?}", to.kind, to.name)
            }
        }
    }
}

/// What could be read; else nothing, so that it allows nothing.
fn readable<T>(object: &DynamicObject, read: Result<T, String>) -> Option<T> {
    let name = object.display_name();
    read.inspect_err(|error| tracing::error!(%name, %error, "a role or binding can't be read and allows nothing")).ok()
}
