//! Roles and bindings, as their objects say it.

use roa_core::{DynamicObject, LabelSelector};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::Rule;

/// The API group of roles and bindings.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Which of the four kinds an object is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RbacKind {
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
}

impl RbacKind {
    pub(super) const ALL: [Self; 4] = [Self::Role, Self::ClusterRole, Self::RoleBinding, Self::ClusterRoleBinding];

    pub(super) fn of(object: &DynamicObject) -> Option<Self> {
        let (group, _) = object.api_version.split_once('/')?;
        Self::ALL.into_iter().find(|kind| group == RBAC_GROUP && kind.name() == object.kind)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Role => "Role",
            Self::ClusterRole => "ClusterRole",
            Self::RoleBinding => "RoleBinding",
            Self::ClusterRoleBinding => "ClusterRoleBinding",
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Role => "roles",
            Self::ClusterRole => "clusterroles",
            Self::RoleBinding => "rolebindings",
            Self::ClusterRoleBinding => "clusterrolebindings",
        }
    }
}

/// The part of a role that allows something.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Role {
    pub(super) rules: Option<Vec<Rule>>,
    pub(super) aggregation_rule: Option<AggregationRule>,
}

/// A cluster role also has the rules of those that one of the selectors matches.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AggregationRule {
    pub(super) cluster_role_selectors: Vec<Selector>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    match_labels: std::collections::BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// The selector, if it selects by anything; one by nothing selects nothing here.
    pub(super) fn compile(&self) -> Result<Option<LabelSelector>, String> {
        let labels = self.match_labels.iter();
        let selector = labels.fold(LabelSelector::default(), |selector, (key, value)| selector.eq(key, value));
        let selector =
            self.match_expressions.iter().try_fold(selector, |selector, Expression { key, operator, values }| {
                match operator.as_str() {
                    "In" => Ok(selector.is_in(key, values.clone())),
                    "NotIn" => Ok(selector.not_in(key, values.clone())),
                    "Exists" => Ok(selector.exists(key)),
                    "DoesNotExist" => Ok(selector.absent(key)),
                    other => Err(format!("operator {other:?}, expected In, NotIn, Exists or DoesNotExist")),
                }
            })?;
        Ok((!selector.is_everything()).then_some(selector))
    }
}

/// Who gets which role.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Binding {
    pub(super) role_ref: RoleRef,
    #[serde(default)]
    pub(super) subjects: Option<Vec<Subject>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RoleRef {
    pub(super) api_group: String,
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subject {
    pub(super) api_group: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Whom a subject stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Bearer {
    User(String),
    Group(String),
}

impl Subject {
    pub(super) fn bearer(&self) -> Option<Bearer> {
        match self.kind.as_str() {
            "User" => Some(Bearer::User(self.name.clone())),
            "Group" => Some(Bearer::Group(self.name.clone())),
            "ServiceAccount" => Some(Bearer::User(format!("{SERVICE_ACCOUNT}{}:{}", self.namespace, self.name))),
            _ => None,
        }
    }
}

/// What the user names of service accounts begin with; namespace and name follow.
pub(in crate::auth) const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The named fields of an object, as a type; unknown ones are left out.
pub(super) fn decode<T: for<'de> Deserialize<'de>>(object: &DynamicObject, fields: &[&str]) -> Result<T, String> {
    let known = object.body.iter().filter(|(name, _)| fields.contains(&name.as_str()));
    let known: Map<String, Json> = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    T::deserialize(Json::Object(known)).map_err(|error| error.to_string())
}

pub(super) fn role(object: &DynamicObject) -> Result<Role, String> {
    decode(object, &["rules", "aggregationRule"])
}

pub(super) fn binding(object: &DynamicObject) -> Result<Binding, String> {
    decode(object, &["roleRef", "subjects"])
}
