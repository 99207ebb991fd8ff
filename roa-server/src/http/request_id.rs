//! [`RequestId`]: by which a client, the server's log and the audit log speak of the same request.

use std::fmt;

use hyper::header::HeaderName;
use roa_core::{Random, RandomExt};

use super::{Answer, answer};

/// Where a client finds it, as in Kubernetes.
const HEADER: HeaderName = HeaderName::from_static("audit-id");

/// The id of a request. It is the server's own: one that a client sends could be another's.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(super) fn new(random: &dyn Random) -> Self {
        Self(random.uuid().to_string())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same answer, telling it.
    pub(super) fn told_in(&self, answered: Answer) -> Answer {
        answer::with_header(answered, HEADER, &self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
