//! Pending: waits for its time, its template and room.

use roa_core::{Action, ConditionStatus, Context, HumanDuration, ReconcileError};

use super::{LabController, until, write};
use crate::conditions::{SCHEDULED, WORKER_ASSIGNED, set};
use crate::instance::{Allocation, Lab};
use crate::template::LabTemplate;
use crate::{LabState, Resources};

/// The worker that serves everything when there is no other.
const LOCAL_WORKER: &str = "local";

impl LabController {
    pub(super) async fn wait(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        let now = cx.now();
        if let Some(start) = lab.spec.scheduled_start {
            let begin = start.saturating_sub(self.policy().lead);
            if now < begin {
                let message = format!("scheduled for {start}, begins at {begin}");
                self.hold(lab, "NotYet", &message, cx).await?;
                return Ok(Action::RequeueAfter(until(begin, now)));
            }
        }
        let Some(template) = self.template(lab, cx).await? else {
            let message = format!(
                "there is no template {:?} in namespace {} and none built in",
                lab.spec.template, lab.metadata.namespace
            );
            self.hold(lab, "TemplateMissing", &message, cx).await?;
            return Ok(Action::RequeueAfter(self.policy().poll));
        };
        if let Some(message) = self.too_long(lab, &template) {
            return self.fail(lab, "TooLong", &message, cx).await;
        }
        self.allocate(lab, &template, cx).await
    }

    /// What is wrong with how long the lab is to live, if its template allows less.
    fn too_long(&self, lab: &Lab, template: &LabTemplate) -> Option<String> {
        let wanted = lab.spec.duration.unwrap_or(HumanDuration(self.policy().default_duration));
        let max = template.max_duration.filter(|max| wanted > *max)?;
        Some(format!("a duration of {wanted} is more than the template {:?} allows, {max}", lab.spec.template))
    }

    /// Sets room aside and goes on, in one write; nothing outside has happened yet.
    async fn allocate(&self, lab: &Lab, template: &LabTemplate, cx: &Context) -> Result<Action, ReconcileError> {
        let resources = lab.spec.resources.or(template.resources).unwrap_or_default();
        let settings = &self.settings;
        let max = settings.policy.max_provisionings;
        if let Err(why) = self.accounts.reserve(&lab.metadata.uid, resources, &settings.capacity, max) {
            self.hold(lab, "Unschedulable", &why, cx).await?;
            return Ok(Action::RequeueAfter(self.policy().poll));
        }
        let outcome = write(lab, self.allocated(lab, resources, cx), cx).await;
        if outcome.is_err() {
            self.accounts.release(&lab.metadata.uid);
        }
        outcome?;
        Ok(Action::Done)
    }

    fn allocated(&self, lab: &Lab, Resources { cpu, memory }: Resources, cx: &Context) -> Lab {
        let (mut next, now) = (lab.clone(), cx.now());
        next.status.go_to(LabState::Provisioning, "", now);
        next.status.provisioning_started_at = Some(now.truncate_to_seconds());
        next.status.next_attempt_at = None;
        next.status.worker_ref = Some(LOCAL_WORKER.to_owned());
        next.status.allocation = Some(Allocation { node: self.settings.node.clone(), cpu, memory });
        set(&mut next, SCHEDULED, ConditionStatus::True, "Scheduled", "", now);
        set(&mut next, WORKER_ASSIGNED, ConditionStatus::True, "Assigned", LOCAL_WORKER, now);
        next
    }

    /// Stays pending, and says why.
    async fn hold(&self, lab: &Lab, reason: &str, message: &str, cx: &Context) -> Result<(), ReconcileError> {
        let mut next = lab.clone();
        next.status.go_to(LabState::Pending, message, cx.now());
        set(&mut next, SCHEDULED, ConditionStatus::False, reason, message, cx.now());
        write(lab, next, cx).await.map(|_| ())
    }
}
