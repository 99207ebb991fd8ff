//! [`ApiError`]: what a request is answered that can't be done, as a `Status` object. Clients branch on its `reason`.

use hyper::StatusCode;
use roa_core::{Error, Expected, Key, Violation, Violations};
use serde_json::{Map, Value as Json, json};

use super::RequestId;
use crate::auth::{Forbidden, unauthorized};

/// The reason of a `Status` for a revision that is no longer kept.
pub(crate) const EXPIRED: &str = "Expired";
/// Seconds after which a client may try again what was refused for want of capacity.
const RETRY_AFTER: u32 = 1;

/// An error as clients are told it. Never more than they may know: the cause of a failure of the server is in its log.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) code: StatusCode,
    reason: &'static str,
    message: String,
    details: Map<String, Json>,
    pub(crate) retry_after: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Map::new(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// There is nothing at that path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn not_found(group: &str, plural: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", qualified(plural, group));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(group, plural, name)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn not_acceptable(expected: &str) -> Self {
        let message = format!("only the following media types are accepted: {expected}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    pub(crate) fn unsupported_media_type(expected: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {expected}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// A body of a type that is taken, with content that is not.
    pub(crate) fn unsupported_media_type_because(message: String) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the request is too large: expected a body of at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    pub(crate) fn too_many_requests(message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_after(RETRY_AFTER)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message).retry_after(RETRY_AFTER)
    }

    /// The body did not come in time: nothing was done.
    pub(crate) fn slow_body(limit: std::time::Duration) -> Self {
        let message = format!("the request's body did not come within {} s", limit.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "Timeout", message)
    }

    /// It took too long; a write may have happened.
    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// The message is for clients; what went wrong inside belongs in the log.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    pub(crate) fn conflict(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified(plural, group));
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(group, plural, name)
    }

    pub(crate) fn forbidden(group: &str, plural: &str, name: &str, why: &str) -> Self {
        let message = format!("{} {name:?} is forbidden: {why}", qualified(plural, group));
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, plural, name)
    }

    /// What roles do not allow.
    pub(crate) fn refused(forbidden: &Forbidden) -> Self {
        let Forbidden { message, name, group, kind, .. } = forbidden;
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(group, kind, name)
    }

    /// Nobody who is known. Why not, only the log says.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, unauthorized::REASON, unauthorized::MESSAGE)
    }

    /// An object breaks rules. Here `kind` is the kind itself, as in Kubernetes.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, violations: &Violations) -> Self {
        let described = |violation: &Violation| {
            let field = if violation.path.is_empty() { "<root>" } else { &violation.path };
            format!("{field}: {}", worded(violation))
        };
        let all: Vec<_> = violations.iter().map(described).collect();
        let all = if let [only] = all.as_slice() { only.clone() } else { format!("[{}]", all.join(", ")) };
        let message = format!("{} {name:?} is invalid: {all}", qualified(kind, group));
        let this = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).about(group, kind, name);
        violations
            .iter()
            .fold(this, |this, violation| this.cause(violation.reason.as_str(), worded(violation), &violation.path))
    }

    /// What the store or the rules of objects answered. `kind` names the kind of the object that was asked for.
    pub(crate) fn of(error: Error, kind: &str) -> Self {
        match error {
            Error::NotFound { key } => Self::not_found(key.group(), key.resource(), key.name()),
            Error::AlreadyExists { key } => Self::already_exists(&key),
            Error::Conflict { key, expected, current } => match (current, expected) {
                (None, _) => Self::not_found(key.group(), key.resource(), key.name()),
                (Some(_), Expected::OtherUid) => {
                    let why = "Precondition failed: the uid of the object is another one";
                    Self::conflict(key.group(), key.resource(), key.name(), why)
                }
                _ => Self::modified(&key),
            },
            Error::Expired { floor, .. } => {
                let message = format!("the provided resource version is too old: the oldest that is kept is {floor}");
                Self::new(StatusCode::GONE, EXPIRED, message)
            }
            Error::TooLarge { requested, head } => {
                Self::timeout(format!("Too large resource version: {requested}, current: {head}"))
                    .cause("ResourceVersionTooLarge", "Too large resource version", "")
                    .retry_after(RETRY_AFTER)
            }
            Error::Fenced(_) => {
                tracing::warn!(%error, "a request's write was fenced");
                let message = "the server's history changed meanwhile: read again, then retry";
                Self::new(StatusCode::CONFLICT, "Conflict", message)
            }
            Error::Ambiguous { .. } => {
                tracing::warn!(%error, "a request's write has no known outcome");
                Self::timeout("the request may or may not have been carried out: read before you retry")
            }
            Error::Invalid { subject, violations } => {
                let name = subject.rsplit(['/', ' ']).next().unwrap_or_default();
                Self::invalid("", kind, name, &violations)
            }
            Error::Transition { key, source } => {
                let found = Violations::one("status.state", source.to_string());
                Self::invalid(key.group(), kind, key.name(), &found)
            }
            Error::UnknownKind { .. } => Self::no_such_path(),
            Error::NamespaceTerminating { namespace } => {
                let why = "unable to create new content in it because it is being terminated";
                let message = "the namespace is being terminated";
                Self::forbidden("", "namespaces", &namespace, why).cause(
                    "NamespaceTerminating",
                    message,
                    "metadata.namespace",
                )
            }
            Error::Unavailable { .. } => {
                tracing::warn!(%error, "the store could not answer a request");
                Self::unavailable("the store can't be reached at the moment")
            }
            error => {
                tracing::error!(%error, "a request failed");
                Self::internal("an error inside of the server: its log says more")
            }
        }
    }

    fn already_exists(key: &Key) -> Self {
        let message = format!("{} {:?} already exists", qualified(key.resource(), key.group()), key.name());
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(key.group(), key.resource(), key.name())
    }

    fn modified(key: &Key) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(key.group(), key.resource(), key.name(), why)
    }

    /// What is told to people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Which object it is about; `kind` is mostly the plural.
    pub(crate) fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        for (field, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                self.details.insert(field.to_owned(), json!(value));
            }
        }
        self
    }

    /// One more reason, at a field of the object.
    pub(crate) fn cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let mut cause = json!({ "reason": reason, "message": message.into() });
        if !field.is_empty() {
            cause["field"] = json!(field);
        }
        if let Json::Array(causes) = self.details.entry("causes").or_insert_with(|| json!([])) {
            causes.push(cause);
        }
        self
    }

    /// Tells clients when to try again: without that, `kubectl` takes the answer for final.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self.details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        self
    }

    /// The same; of a failure of the server, with the id by which its log knows the request.
    pub(super) fn of_request(mut self, id: &RequestId) -> Self {
        if self.code == StatusCode::INTERNAL_SERVER_ERROR {
            self.message = format!("{} (request {id})", self.message);
        }
        self
    }

    /// The `Status` object.
    pub(crate) fn to_json(&self) -> Json {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code.as_u16(),
        });
        if !self.details.is_empty() {
            status["details"] = Json::Object(self.details.clone());
        }
        status
    }
}

/// What is wrong, beginning with the words that Kubernetes has for it.
fn worded(violation: &Violation) -> String {
    const WORDS: [&str; 8] = [
        "Invalid value",
        "Required value",
        "Unsupported value",
        "Duplicate value",
        "Forbidden",
        "Too long",
        "Too many",
        "Not found",
    ];
    let message = &violation.message;
    if WORDS.iter().any(|words| message.starts_with(words)) {
        message.clone()
    } else {
        format!("Invalid value: {message}")
    }
}

/// `labs.lab.example.com`, or just the plural in the core group.
pub(crate) fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::Revision;

    fn key() -> Key {
        Key::new("lab.example.com", "labs", "school", "one").unwrap()
    }

    #[test]
    fn clients_branch_on_the_reason_so_each_error_has_its_own() {
        let revision = Revision::new(7).unwrap();
        let conflict = |expected, current| Error::Conflict { key: key(), expected, current };
        let cases = [
            (Error::NotFound { key: key() }, 404, "NotFound"),
            (Error::AlreadyExists { key: key() }, 409, "AlreadyExists"),
            (conflict(Expected::Revision(revision), Some(revision)), 409, "Conflict"),
            (conflict(Expected::OtherUid, Some(revision)), 409, "Conflict"),
            (conflict(Expected::Revision(revision), None), 404, "NotFound"),
            (Error::Expired { floor: revision, head: revision }, 410, "Expired"),
            (Error::TooLarge { requested: revision, head: revision }, 504, "Timeout"),
            (Error::invalid("Lab school/one", Violations::one("spec.size", "is -1")), 422, "Invalid"),
            (Error::unavailable("secret address"), 503, "ServiceUnavailable"),
            (Error::corrupt("secret bytes"), 500, "InternalError"),
        ];
        for (error, code, reason) in cases {
            let status = ApiError::of(error, "Lab").to_json();
            assert_eq!((status["code"].as_u64(), status["reason"].as_str()), (Some(code), Some(reason)), "{status}");
            assert!(!status.to_string().contains("secret"), "t21: {status}");
        }
    }

    #[test]
    fn every_violation_is_a_cause_with_its_field() {
        let mut found = Violations::one("spec.size", "is -1");
        found.push("spec.owner", "is empty");
        let status = ApiError::invalid("lab.example.com", "Lab", "one", &found).to_json();
        assert_eq!(status["details"]["causes"][1]["field"], "spec.owner");
        assert_eq!(
            status["message"],
            "Lab.lab.example.com \"one\" is invalid: [spec.size: Invalid value: is -1, spec.owner: Invalid value: is empty]"
        );
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        let refused = ApiError::too_many_requests("too many");
        assert_eq!(
            (refused.retry_after, refused.to_json()["details"]["retryAfterSeconds"].as_u64()),
            (Some(1), Some(1))
        );
    }
}
