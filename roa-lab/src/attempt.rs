//! What a failed attempt to bring a lab up means for it: another attempt later, or the end of trying.

use std::time::Duration;

use roa_core::{Action, ConditionStatus, ReconcileError, Timestamp};

use crate::provision::ProvisionError;
use crate::turn::Turn;
use crate::{LabPolicy, LabState, LabStatus, conditions};

/// Why an attempt failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// A word for conditions and metrics, out of a fixed set.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Whether the same again can succeed.
    pub(crate) retryable: bool,
}

impl Failure {
    pub(crate) fn passing(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retryable: true }
    }
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        let hint = error.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        Self { reason: error.reason(), message: format!("{error}{hint}"), retryable: error.is_retryable() }
    }
}

impl Turn<'_> {
    /// Writes down that the current attempt failed, and what follows from it.
    pub(crate) async fn failed(&self, failure: &Failure) -> Result<Action, ReconcileError> {
        let next = match self.lab.status.state() {
            LabState::Ready => self.restarted_after(failure),
            _ => self.retried_after(failure),
        };
        let next = next.unwrap_or_else(|| self.given_up_after(failure));
        let (then, message) = (next.next_attempt_at, next.message.clone());
        self.write(next).await?;
        self.settings.metrics.failed(failure.reason);
        self.warn(failure.reason, &message);
        Ok(then.map_or(Action::Done, |then| self.at(then)))
    }

    /// Another attempt after the back-off; `None` if there were enough.
    fn retried_after(&self, failure: &Failure) -> Option<LabStatus> {
        let mut next = self.status();
        let retries = next.retries.checked_add(1).filter(|&retries| self.may_follow(failure, retries))?;
        let due = self.now.saturating_add(self.policy().backoff(retries, &**self.cx.random()));
        next.retries = retries;
        next.await_attempt(due);
        let (most, due) = (self.policy().max_retries, due.truncate_to_seconds());
        next.message = format!("{}; retry {retries} of {most} at {due}", failure.message);
        next.condition(conditions::PROVISIONED, false, (failure.reason, &failure.message), self.now);
        Some(next)
    }

    /// A lab that was ready is brought up again: at once, and after the back-off if that was of no use. `None` if there
    /// were enough of that.
    fn restarted_after(&self, failure: &Failure) -> Option<LabStatus> {
        let mut next = self.degraded_by(failure);
        let restarts = next.restarts.checked_add(1).filter(|&restarts| self.may_follow(failure, restarts))?;
        let wait = match restarts {
            1 => Duration::ZERO,
            _ => self.policy().backoff(restarts - 1, &**self.cx.random()),
        };
        next.restarts = restarts;
        next.await_attempt(self.now.saturating_add(wait));
        next.message = format!("{}; brought up again ({restarts} of {})", failure.message, self.policy().max_retries);
        Some(next)
    }

    const fn may_follow(&self, failure: &Failure, attempt: u32) -> bool {
        failure.retryable && attempt <= self.policy().max_retries
    }

    /// The status of a lab that was ready, and that something is wrong with now.
    pub(crate) fn degraded_by(&self, failure: &Failure) -> LabStatus {
        let mut next = self.status();
        if was_well_for_long(&next, self.policy(), self.now) {
            next.restarts = 0;
        }
        let why = (failure.reason, failure.message.as_str());
        next.message.clone_from(&failure.message);
        next.condition(conditions::DEGRADED, true, why, self.now);
        next.condition(conditions::READY, false, why, self.now);
        next
    }

    /// The status of a lab that is not tried any more, until its spec changes.
    pub(crate) fn given_up_after(&self, failure: &Failure) -> LabStatus {
        let mut next = self.status();
        next.enter(LabState::Failed, failure.reason, &failure.message, self.now);
        next.endpoint = None;
        next.next_attempt_at = None;
        next.conditions.remove(conditions::DEGRADED);
        let why = (failure.reason, failure.message.as_str());
        next.condition(conditions::PROVISIONED, false, why, self.now);
        next.condition(conditions::READY, false, why, self.now);
        next
    }
}

impl LabStatus {
    fn await_attempt(&mut self, due: Timestamp) {
        self.provisioning_started_at = None;
        self.next_attempt_at = Some(due);
    }
}

/// Whether a lab that was mended has been well since, for so long that what happened before does not count.
fn was_well_for_long(status: &LabStatus, policy: &LabPolicy, now: Timestamp) -> bool {
    let degraded = status.conditions.get(conditions::DEGRADED);
    degraded.is_some_and(|condition| {
        let well_for = now.duration_since(condition.last_transition_time);
        condition.status == ConditionStatus::False && well_for >= policy.provisioning_timeout
    })
}
