//! Ready: watches its health, and ends its time. What is wrong is told here and corrected by the sweep.

use roa_core::lifecycle::DeleteOptions;
use roa_core::{Action, ConditionStatus, Context, HumanDuration, ReconcileError};

use super::{LabController, ReconcileErrorOf, gone_is_fine, provisioner, request, until, write};
use crate::LabInstance;
use crate::conditions::{DEGRADED, EXPIRED, READY, set};
use crate::instance::Lab;
use crate::provision::Observation;

impl LabController {
    pub(super) async fn keep_up(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        let now = cx.now();
        let lives = lab.spec.duration.unwrap_or(HumanDuration(self.policy().default_duration));
        let expires_at = lab.status.ready_at.unwrap_or(now).saturating_add(lives.0);
        if now >= expires_at {
            return self.expire(lab, cx).await;
        }
        let mut next = lab.clone();
        next.status.expires_at = Some(expires_at);
        self.look(lab, &mut next, cx).await?;
        if next.status != lab.status || lab.status.observed_generation != lab.metadata.generation {
            write(lab, next, cx).await?;
            return Ok(Action::Done);
        }
        Ok(Action::RequeueAfter(self.policy().poll.min(until(expires_at, now))))
    }

    /// Notes in `next` whether the lab answers.
    async fn look(&self, lab: &Lab, next: &mut Lab, cx: &Context) -> Result<(), ReconcileError> {
        let Some(template) = self.template(lab, cx).await? else { return Ok(()) };
        let Ok(provisioner) = provisioner(&self.settings, &template) else { return Ok(()) };
        let now = cx.now();
        match provisioner.observe(&request(lab, &template)).await.map_err(ReconcileErrorOf::from)? {
            Observation::Ready { endpoint } => {
                if next.status.conditions.is_true(DEGRADED) {
                    next.status.message = "repaired".to_owned();
                }
                set(next, READY, ConditionStatus::True, "Answers", &endpoint, now);
                set(next, DEGRADED, ConditionStatus::False, "AsItShould", "", now);
                next.status.endpoint = Some(endpoint);
            }
            other => {
                let (reason, message) = shortcoming(&other);
                set(next, READY, ConditionStatus::False, reason, message, now);
            }
        }
        Ok(())
    }

    async fn expire(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        if !lab.status.conditions.is_true(EXPIRED) {
            let mut next = lab.clone();
            next.status.message = "its time is over".to_owned();
            set(&mut next, EXPIRED, ConditionStatus::True, "TimeIsOver", "", cx.now());
            write(lab, next, cx).await?;
            return Ok(Action::Done);
        }
        let (api, metadata) = (cx.api::<LabInstance>()?, &lab.metadata);
        let only_this = DeleteOptions::uid(&metadata.uid);
        gone_is_fine(api.delete(&metadata.namespace, &metadata.name, &only_this).await)?;
        Ok(Action::Done)
    }
}

/// Why what was seen is not a lab that answers: in a word, and in a sentence.
fn shortcoming(seen: &Observation) -> (&'static str, &str) {
    match seen {
        Observation::Unhealthy { reason, .. } => ("DoesNotAnswer", reason),
        Observation::Exited { message, .. } => ("Exited", message),
        Observation::Absent => ("Absent", "there is nothing outside"),
        _ => ("Starting", "it does not answer yet"),
    }
}
