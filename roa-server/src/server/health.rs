//! `/livez` and `/readyz`: check by check, for those who ask.

use std::fmt;
use std::sync::Arc;

use hyper::StatusCode;

use super::Shared;
use crate::http::{Answer, ApiError, Probe, Query, answer};

/// One check, and why it fails if it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Its name.
    pub name: String,
    /// Why it fails; `None` if it passes.
    pub failure: Option<String>,
}

/// Asks for all checks of readiness.
#[derive(Clone)]
pub struct HealthChecks(Arc<dyn Fn() -> Vec<HealthCheck> + Send + Sync>);

impl HealthChecks {
    /// What `ask` gives at the moment of a request.
    pub fn new(ask: impl Fn() -> Vec<HealthCheck> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Nothing is checked: ready whenever it answers.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Vec::new)
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthChecks")
    }
}

/// What is always checked: that a request is answered.
const PING: &str = "ping";

impl Shared {
    /// The answer of a probe: short if all is well, check by check if not, or if `verbose` asks for it.
    pub(crate) fn health(&self, probe: Probe, only: Option<&str>, query: &Query) -> Result<Answer, ApiError> {
        let mut checks = vec![HealthCheck { name: PING.to_owned(), failure: None }];
        if probe == Probe::Ready {
            checks.extend((self.health.0)());
        }
        if let Some(only) = only {
            checks.retain(|check| check.name == only);
            if checks.is_empty() {
                return Err(ApiError::no_such_path());
            }
        }
        let word = if probe == Probe::Ready { "readyz" } else { "livez" };
        let passes = checks.iter().all(|check| check.failure.is_none());
        let code = if passes { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
        if passes && !query.has("verbose") {
            return Ok(answer::text(code, "ok"));
        }
        let lines = checks.iter().map(|HealthCheck { name, failure }| match failure {
            None => format!("[+]{name} ok\n"),
            Some(reason) => format!("[-]{name} failed: {reason}\n"),
        });
        let verdict = if passes { "passed" } else { "failed" };
        Ok(answer::text(code, lines.collect::<String>() + &format!("{word} check {verdict}\n")))
    }
}
