//! What users ask about their permissions: `kubectl auth can-i`, `can-i --list`, `whoami`.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use thiserror::Error;

use super::{Attributes, Authorizer, Decision, ResourceTarget, Rule, User};

/// A review that asks for nothing: 400.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("review: {0}")]
pub struct ReviewError(String);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccessSpec {
    resource_attributes: Option<Resource>,
    non_resource_attributes: Option<Path>,
    user: String,
    uid: String,
    groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    namespace: String,
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Path {
    path: String,
    verb: String,
}

/// Whether the user may do that.
///
/// ```
/// use roa_server::auth::{AllowAll, Attributes, User, can_i};
/// assert!(can_i(&AllowAll, &User::new("alice", ["ops"]), &Attributes::path("get", "/metrics")));
/// ```
pub fn can_i(authorizer: &dyn Authorizer, user: &User, attributes: &Attributes<'_>) -> bool {
    authorizer.authorize(user, attributes).is_allowed()
}

/// The `status` of a SelfSubjectAccessReview with this `spec`.
///
/// # Errors
/// [`ReviewError`] if it asks for neither a resource nor a path, or for both.
pub fn self_access_review(authorizer: &dyn Authorizer, user: &User, spec: &Json) -> Result<Json, ReviewError> {
    let spec: AccessSpec = parse(spec)?;
    Ok(status(&authorizer.authorize(user, &attributes(&spec)?)))
}

/// The `status` of a SubjectAccessReview with this `spec`: the same about another user. Who asks must be allowed to
/// `create` `subjectaccessreviews` in the group `authorization.k8s.io`.
///
/// # Errors
/// [`ReviewError`] if it names nobody, or asks for neither a resource nor a path, or for both.
pub fn access_review(authorizer: &dyn Authorizer, spec: &Json) -> Result<Json, ReviewError> {
    let spec: AccessSpec = parse(spec)?;
    if spec.user.is_empty() && spec.groups.is_empty() {
        return Err(ReviewError("at least one of user or group must be specified".to_owned()));
    }
    // Exactly the groups that are named: the question may be about any of them.
    let mut user = User::anonymous();
    (user.name, user.uid, user.groups) = (spec.user.clone(), spec.uid.clone(), spec.groups.clone());
    Ok(status(&authorizer.authorize(&user, &attributes(&spec)?)))
}

/// The `status` of a SelfSubjectRulesReview for a namespace.
#[must_use]
pub fn self_rules_review(authorizer: &dyn Authorizer, user: &User, namespace: &str) -> Json {
    let (paths, resources): (Vec<Rule>, Vec<Rule>) =
        authorizer.rules(user, namespace).into_iter().partition(|rule| !rule.non_resource_urls.is_empty());
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": !authorizer.is_ready()})
}

/// The `status` of a SelfSubjectReview: who asks.
#[must_use]
pub fn self_review(user: &User) -> Json {
    json!({ "userInfo": user })
}

fn parse(spec: &Json) -> Result<AccessSpec, ReviewError> {
    AccessSpec::deserialize(spec).map_err(|error| ReviewError(format!("spec: {error}")))
}

fn attributes(spec: &AccessSpec) -> Result<Attributes<'_>, ReviewError> {
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(Resource { namespace, verb, group, resource, subresource, name }), None) => {
            Ok(Attributes::resource(verb, ResourceTarget { group, resource, subresource, namespace, name }))
        }
        (None, Some(Path { path, verb })) => Ok(Attributes::path(verb, path)),
        _ => {
            Err(ReviewError("exactly one of nonResourceAttributes or resourceAttributes must be specified".to_owned()))
        }
    }
}

fn status(decision: &Decision) -> Json {
    let mut status = json!({"allowed": decision.is_allowed()});
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    if *decision == Decision::NotReady {
        status["evaluationError"] = decision.reason().into();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{AllowAll, Rbac};

    #[test]
    fn a_review_says_what_a_request_would_be_told() {
        let alice = User::new("alice", ["ops"]);
        let spec =
            json!({"resourceAttributes": {"verb": "list", "resource": "labs", "group": "lab", "namespace": "x"}});
        let status = self_access_review(&AllowAll, &alice, &spec).unwrap();
        assert_eq!(status, json!({"allowed": true, "reason": "there is no authorisation"}));
        let rbac = Rbac::new();
        assert_eq!(self_access_review(&rbac, &alice, &spec).unwrap()["allowed"], false);
        let root = json!({"user": "x", "groups": ["system:masters"], "resourceAttributes": {"verb": "get"}});
        assert_eq!(access_review(&rbac, &root).unwrap()["allowed"], true);
        let nobody = json!({"user": "x", "nonResourceAttributes": {"path": "/metrics", "verb": "get"}});
        assert_eq!(access_review(&rbac, &nobody).unwrap()["allowed"], false);
    }

    #[test]
    fn a_review_that_asks_for_nothing_is_refused() {
        let alice = User::new("alice", ["ops"]);
        for spec in [json!({}), json!(null), json!({"resourceAttributes": 7})] {
            assert!(self_access_review(&AllowAll, &alice, &spec).is_err(), "{spec}");
        }
        assert!(access_review(&AllowAll, &json!({"resourceAttributes": {"verb": "get"}})).is_err());
    }

    #[test]
    fn rules_are_listed_apart_for_resources_and_paths() {
        let listed = self_rules_review(&AllowAll, &User::new("alice", ["ops"]), "x");
        assert_eq!(listed["resourceRules"], json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]));
        assert_eq!(listed["nonResourceRules"], json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]));
        assert_eq!(listed["incomplete"], false);
        assert_eq!(self_review(&User::new("alice", ["ops"]))["userInfo"]["username"], "alice");
    }
}
