//! Provisioning: begins, looks, tries again.

use roa_core::{Action, ConditionStatus, Context, HumanDuration, ReconcileError};

use super::{LabController, ReconcileErrorOf, provisioner, request, until, write};
use crate::LabState;
use crate::conditions::{DEGRADED, PROVISIONED, READY, set};
use crate::instance::Lab;
use crate::provision::{Observation, ProvisionError};

impl LabController {
    pub(super) async fn bring_up(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        let now = cx.now();
        if let Some(at) = lab.status.next_attempt_at {
            if now < at {
                return Ok(Action::RequeueAfter(until(at, now)));
            }
            return self.begin_attempt(lab, cx).await;
        }
        let Some(template) = self.template(lab, cx).await? else {
            return self.failed_attempt(lab, "TemplateMissing", "the template is gone", cx).await;
        };
        let provisioner = match provisioner(&self.settings, &template) {
            Ok(provisioner) => provisioner,
            Err(message) => return self.fail(lab, "ProvisionerMissing", &message, cx).await,
        };
        let request = request(lab, &template);
        // What ended is an attempt that failed; only what was never begun, or is not there any more, is begun.
        let mut seen = provisioner.observe(&request).await.map_err(ReconcileErrorOf::from)?;
        if seen == Observation::Absent {
            match provisioner.start(&request).await {
                Ok(()) => seen = Observation::Starting,
                Err(error @ ProvisionError::AtCapacity { .. }) => return Err(ReconcileErrorOf::from(error).into()),
                Err(error) if error.is_retryable() => {
                    return self.failed_attempt(lab, error.reason(), &error.to_string(), cx).await;
                }
                Err(error) => return self.fail(lab, error.reason(), &error.to_string(), cx).await,
            }
        }
        match seen {
            Observation::Ready { endpoint } => self.is_up(lab, &endpoint, cx).await,
            Observation::Exited { message, .. } => self.failed_attempt(lab, "Exited", &message, cx).await,
            _ => Ok(Action::RequeueAfter(self.policy().poll)),
        }
    }

    async fn is_up(&self, lab: &Lab, endpoint: &str, cx: &Context) -> Result<Action, ReconcileError> {
        let (mut next, now) = (lab.clone(), cx.now().truncate_to_seconds());
        let lives = lab.spec.duration.unwrap_or(HumanDuration(self.policy().default_duration));
        next.status.go_to(LabState::Ready, "", now);
        next.status.endpoint = Some(endpoint.to_owned());
        next.status.ready_at = Some(now);
        next.status.expires_at = Some(now.saturating_add(lives.0));
        set(&mut next, PROVISIONED, ConditionStatus::True, "Provisioned", "", now);
        set(&mut next, READY, ConditionStatus::True, "Answers", endpoint, now);
        set(&mut next, DEGRADED, ConditionStatus::False, "AsItShould", "", now);
        write(lab, next, cx).await?;
        let since = lab.metadata.creation_timestamp.unwrap_or(now);
        self.settings.metrics.became_ready(now.duration_since(since));
        Ok(Action::Done)
    }

    /// The next attempt, after the wait: what has ended is begun anew.
    async fn begin_attempt(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        let Some(template) = self.template(lab, cx).await? else {
            return self.failed_attempt(lab, "TemplateMissing", "the template is gone", cx).await;
        };
        if let Ok(provisioner) = provisioner(&self.settings, &template) {
            provisioner.start(&request(lab, &template)).await.map_err(ReconcileErrorOf::from)?;
        }
        let mut next = lab.clone();
        next.status.next_attempt_at = None;
        next.status.provisioning_started_at = Some(cx.now().truncate_to_seconds());
        write(lab, next, cx).await?;
        Ok(Action::Done)
    }

    /// Tries again later, if it may.
    async fn failed_attempt(
        &self,
        lab: &Lab,
        reason: &'static str,
        message: &str,
        cx: &Context,
    ) -> Result<Action, ReconcileError> {
        if lab.status.retries >= self.policy().max_retries {
            return self.fail(lab, reason, message, cx).await;
        }
        let wait = self.policy().backoff(lab.status.retries, &**cx.random());
        let (mut next, now) = (lab.clone(), cx.now());
        next.status.retries += 1;
        next.status.next_attempt_at = Some(now.saturating_add(wait));
        let again = HumanDuration(std::time::Duration::from_secs(wait.as_secs().max(1)));
        next.status.message =
            format!("{message}; retry {} of {} in {again}", next.status.retries, self.policy().max_retries);
        set(&mut next, PROVISIONED, ConditionStatus::False, reason, message, now);
        write(lab, next, cx).await?;
        self.settings.metrics.failed(reason);
        Ok(Action::Done)
    }
}
