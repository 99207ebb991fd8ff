//! [`ClientError`]: why something could not be shown or done, and what to do about it.

use std::time::Duration;

use serde_json::Value as Json;
use thiserror::Error;

/// Why something could not be shown or done. Each says it in one line.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// What was typed means nothing.
    #[error("{what}")]
    Usage { what: String, hint: Option<String> },
    /// The server said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// An object is not there.
    #[error("{what} not found")]
    NotFound { what: String, hint: Option<String> },
    /// Nobody answers.
    #[error("no server answers at {at}: {why}")]
    Unreachable { at: String, why: String },
    /// It took too long.
    #[error("{at} did not answer within {after:?}")]
    TooSlow { at: String, after: Duration },
    /// Something else than the API answers.
    #[error("what answers at {at} is no API that roa knows: {why}")]
    Strange { at: String, why: String },
    /// A file that says how to reach the server can't be used.
    #[error("{what}")]
    Login { what: String },
    /// Waited for something that did not come.
    #[error("{what}")]
    Waited { what: String, hint: Option<String> },
    /// Some of several were not done.
    #[error("{what}")]
    Some { what: String },
    /// It was said already, one by one.
    #[error("some of them failed")]
    Told,
    /// There is no server, and the store can't be used without one.
    #[error("{what}")]
    NoStore { what: String, hint: String },
}

impl ClientError {
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: None }
    }

    /// What the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::NotFound { hint, .. } | Self::Waited { hint, .. } => hint.clone(),
            Self::NoStore { hint, .. } => Some(hint.clone()),
            Self::Refused(refusal) => refusal.hint().map(str::to_owned),
            Self::Unreachable { .. } => {
                Some("start `roa run` or `roa serve` there, or name another place with --server".to_owned())
            }
            Self::TooSlow { .. } => Some("--request-timeout gives it more time".to_owned()),
            Self::Strange { .. } => Some("name the server with --server".to_owned()),
            Self::Login { .. } | Self::Some { .. } | Self::Told => None,
        }
    }

    /// Whether it is the command line that is wrong.
    pub(crate) const fn is_usage(&self) -> bool {
        matches!(self, Self::Usage { .. })
    }

    /// Whether the server says that there is no such object.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound { .. }) || matches!(self, Self::Refused(refusal) if refusal.code == 404)
    }

    /// Whether the server does not know us, or does not let us.
    pub(crate) fn is_not_allowed(&self) -> bool {
        matches!(self, Self::Refused(refusal) if matches!(refusal.code, 401 | 403))
    }

    /// Whether the same may go well a moment later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } => true,
            Self::Refused(refusal) => refusal.code == 429 || refusal.code >= 500,
            _ => false,
        }
    }
}

/// What a server answered instead of doing it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    /// The status code of HTTP.
    pub(crate) code: u16,
    /// The reason, in one word of Kubernetes' conventions.
    pub(crate) reason: String,
    /// For people.
    pub(crate) message: String,
    /// Field by field: where, and what is wrong there.
    pub(crate) causes: Vec<(String, String)>,
}

impl Refusal {
    /// What a `Status` says; what is none is taken for a message.
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
        let status: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let causes = status["details"]["causes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let causes = causes.iter().map(|cause| (text(&cause["field"]), text(&cause["message"]))).collect();
        let message = match text(&status["message"]) {
            message if message.is_empty() => format!("the server answered {code}"),
            message => message,
        };
        Self { code, reason: text(&status["reason"]), message, causes }
    }

    /// Whether fields belong to somebody else.
    pub(crate) fn is_of_managers(&self) -> bool {
        self.code == 409 && self.reason == "Conflict" && !self.causes.is_empty()
    }

    fn hint(&self) -> Option<&'static str> {
        match (self.code, self.reason.as_str()) {
            (401, _) => Some("show who you are: --kubeconfig FILE with a token or a client certificate"),
            (403, "Forbidden") if self.message.contains("cannot") => Some("a Role and a RoleBinding would allow it"),
            (409, "Conflict") if self.is_of_managers() => {
                Some("leave these fields to them, or take them over with --force-conflicts")
            }
            (409, "Conflict") => Some("somebody else changed it meanwhile: do it again"),
            (415, _) => Some("the server is of another version: `roa --version`, and `/version` of the server"),
            (429, _) => Some("the server has too much to do: do it again in a moment"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_by_its_message() {
        let body = br#"{"kind":"Status","code":404,"reason":"NotFound","message":"labs \"a\" not found"}"#;
        let refusal = Refusal::read(404, body);
        assert_eq!((refusal.to_string().as_str(), refusal.reason.as_str()), ("labs \"a\" not found", "NotFound"));
        assert_eq!(Refusal::read(502, b"<html>").to_string(), "the server answered 502");
    }

    #[test]
    fn a_conflict_of_managers_names_the_way_out() {
        let body = br#"{"reason":"Conflict","message":"1 conflict","details":{"causes":[
            {"field":".spec.size","message":"conflict with \"other\"","reason":"FieldManagerConflict"}]}}"#;
        let refusal = Refusal::read(409, body);
        assert_eq!(refusal.causes, [(".spec.size".to_owned(), "conflict with \"other\"".to_owned())]);
        assert!(ClientError::Refused(Box::new(refusal)).hint().unwrap().contains("--force-conflicts"));
    }
}
