//! Questions that users ask about themselves, in the form of objects that are created and not kept: `kubectl auth can-i`,
//! `kubectl auth whoami`.

use hyper::StatusCode;
use roa_core::{KindDescriptor, Scope};
use serde_json::{Value as Json, json};

use crate::auth::{Authorizer, User, access_review, self_access_review, self_review, self_rules_review};
use crate::http::{Answer, ApiError, answer};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The kinds of questions.
pub(super) fn kinds() -> impl Iterator<Item = KindDescriptor> {
    let kinds = [
        (AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews"),
        (AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        (AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        (AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews"),
    ];
    kinds.into_iter().map(|(group, kind, plural)| {
        let mut kind = KindDescriptor::dynamic(group, "v1", kind, plural, Scope::Cluster);
        kind.status_subresource = false;
        kind
    })
}

/// Whether a kind is a question.
pub(crate) fn is_review(kind: &KindDescriptor) -> bool {
    matches!(&*kind.group, AUTHORIZATION | AUTHENTICATION)
}

/// The answer to a question.
///
/// # Errors
/// 400 if it asks for nothing.
pub(crate) fn answer(
    kind: &KindDescriptor,
    mut asked: Json,
    authorizer: &dyn Authorizer,
    user: &User,
) -> Result<Answer, ApiError> {
    let spec = asked.get("spec").cloned().unwrap_or_else(|| json!({}));
    let refused = |error: crate::auth::ReviewError| ApiError::bad_request(error.to_string());
    let status = match &*kind.plural {
        "selfsubjectaccessreviews" => self_access_review(authorizer, user, &spec).map_err(refused)?,
        "subjectaccessreviews" => access_review(authorizer, &spec).map_err(refused)?,
        "selfsubjectrulesreviews" => {
            let namespace = spec.get("namespace").and_then(Json::as_str).unwrap_or_default();
            self_rules_review(authorizer, user, namespace)
        }
        _ => self_review(user),
    };
    if !asked.is_object() {
        asked = json!({});
    }
    asked["apiVersion"] = json!(kind.api_version());
    asked["kind"] = json!(kind.kind);
    asked["status"] = status;
    Ok(answer::json(StatusCode::CREATED, &asked))
}
