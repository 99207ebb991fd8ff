//! [`LabReconciler`]: looks at every lab from time to time, finds what is stuck, over time or other than it should, and
//! corrects it.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Action, ConditionStatus, Context, Drift, DriftKind, HumanDuration, ListOptions, ReconcileError, Reconciler,
    Timestamp,
};

use crate::conditions::{DEGRADED, READY, set};
use crate::controller::{
    LabSettings, ReconcileErrorOf, gone_is_fine, identity, is_elsewhere, provisioner, request, template_of, write,
};
use crate::instance::Lab;
use crate::provision::{LabIdentity, Observation};
use crate::{LabInstance, LabState};

/// How long after its time a lab may still be there before the sweep sees to it: the controller is a little late.
const LATE: std::time::Duration = std::time::Duration::from_secs(5);

/// Looks at every lab from time to time.
#[derive(Debug)]
pub struct LabReconciler {
    settings: LabSettings,
}

impl LabReconciler {
    /// A reconciler with these settings: those of the controller.
    #[must_use]
    pub const fn new(settings: LabSettings) -> Self {
        Self { settings }
    }

    fn stuck(&self, lab: &Lab, now: Timestamp) -> Option<Drift> {
        let begun = lab.status.provisioning_started_at.or(lab.status.state_since)?;
        let waited_until = lab.status.next_attempt_at.map_or(begun, |next| next.max(begun));
        let timeout = self.settings.policy.provisioning_timeout;
        (now.duration_since(waited_until) > timeout).then(|| {
            let message = format!("Provisioning timeout: not up within {}", HumanDuration(timeout));
            drift(DriftKind::Stuck, "ProvisioningTimeout", message)
        })
    }

    fn overdue(lab: &Lab, now: Timestamp) -> Option<Drift> {
        let expires = lab.status.expires_at?;
        (now > expires.saturating_add(LATE))
            .then(|| drift(DriftKind::TimedOut, "Overdue", format!("its time was over at {expires}")))
    }

    fn long_failed(&self, lab: &Lab, now: Timestamp) -> Option<Drift> {
        let since = lab.status.state_since?;
        let grace = self.settings.policy.cleanup_grace;
        (now.duration_since(since) > grace).then(|| {
            drift(DriftKind::TimedOut, "FailedForLong", format!("failed for longer than {}", HumanDuration(grace)))
        })
    }

    async fn fail(&self, lab: &Lab, found: &Drift, cx: &Context) -> Result<(), ReconcileError> {
        let mut next = lab.clone();
        next.status.go_to(LabState::Failed, found.message.clone(), cx.now());
        set(&mut next, READY, ConditionStatus::False, found.reason, &found.message, cx.now());
        write(lab, next, cx).await?;
        self.settings.metrics.failed(found.reason);
        Ok(())
    }

    async fn delete(lab: &Lab, cx: &Context) -> Result<(), ReconcileError> {
        let only_this = DeleteOptions::uid(&lab.metadata.uid);
        let api = cx.api::<LabInstance>()?;
        gone_is_fine(api.delete(&lab.metadata.namespace, &lab.metadata.name, &only_this).await)?;
        Ok(())
    }

    /// Brings up again what is gone, if that may still be tried.
    async fn repair(&self, lab: &Lab, found: &Drift, cx: &Context) -> Result<(), ReconcileError> {
        if lab.status.retries >= self.settings.policy.max_retries {
            return self.fail(lab, found, cx).await;
        }
        let mut next = lab.clone();
        next.status.retries += 1;
        next.status.message = format!("{}; being repaired", found.message);
        set(&mut next, DEGRADED, ConditionStatus::True, found.reason, &found.message, cx.now());
        set(&mut next, READY, ConditionStatus::False, found.reason, &found.message, cx.now());
        let lab = write(lab, next, cx).await?;
        let Some(template) = template_of(&lab, cx).await? else { return Ok(()) };
        if let Ok(provisioner) = provisioner(&self.settings, &template) {
            if found.reason == "EndpointDead" {
                provisioner.stop(&identity(&lab)).await.map_err(ReconcileErrorOf::from)?;
            }
            provisioner.start(&request(&lab, &template)).await.map_err(ReconcileErrorOf::from)?;
        }
        Ok(())
    }

    /// What exists outside, and for which the store has no lab: asked of the store itself, not of a cache.
    async fn orphans(&self, objects: &[Arc<Lab>], cx: &Context) -> Result<Vec<LabIdentity>, ReconcileError> {
        let known: HashSet<&str> = objects.iter().map(|lab| lab.metadata.uid.as_str()).collect();
        let mut suspects = Vec::new();
        for provisioner in self.settings.provisioners.iter() {
            let outside = provisioner.list().await.map_err(ReconcileErrorOf::from)?;
            suspects.extend(outside.into_iter().filter(|lab| !known.contains(lab.uid.as_str())));
        }
        if suspects.is_empty() {
            return Ok(suspects);
        }
        let (labs, _) = cx.api::<LabInstance>()?.list(&ListOptions::everywhere()).await?;
        let alive: HashSet<String> = labs.into_iter().map(|lab| lab.metadata.uid).collect();
        suspects.retain(|lab| !alive.contains(&lab.uid));
        Ok(suspects)
    }
}

fn drift(kind: DriftKind, reason: &'static str, message: String) -> Drift {
    Drift { kind, reason, message }
}

#[async_trait]
impl Reconciler for LabReconciler {
    type Resource = Lab;
    /// What its provisioner sees; `None` where there is nothing to see.
    type Observed = Option<Observation>;

    fn name(&self) -> &'static str {
        "lab-reconciler"
    }

    async fn observe(&self, lab: &Lab, cx: &Context) -> Result<Option<Observation>, ReconcileError> {
        let settled = lab.metadata.is_deleting() || lab.status.state() != LabState::Ready;
        if settled || is_elsewhere(&self.settings, lab) {
            return Ok(None);
        }
        let Some(template) = template_of(lab, cx).await? else { return Ok(None) };
        let Ok(provisioner) = provisioner(&self.settings, &template) else { return Ok(None) };
        Ok(Some(provisioner.observe(&request(lab, &template)).await.map_err(ReconcileErrorOf::from)?))
    }

    fn drift(&self, lab: &Lab, observed: &Option<Observation>, now: Timestamp) -> Option<Drift> {
        if lab.metadata.is_deleting() {
            return None;
        }
        match lab.status.state() {
            LabState::Provisioning => self.stuck(lab, now),
            LabState::Failed => self.long_failed(lab, now),
            LabState::Deleting | LabState::Deleted => {
                Some(drift(DriftKind::Stuck, "HalfDeleted", "is being taken away, but nobody asked for it".to_owned()))
            }
            LabState::Ready => Self::overdue(lab, now).or_else(|| match observed.as_ref()? {
                Observation::Absent => {
                    Some(drift(DriftKind::Drifted, "ProcessGone", "there is nothing outside".to_owned()))
                }
                Observation::Exited { message, .. } => Some(drift(DriftKind::Drifted, "ProcessGone", message.clone())),
                Observation::Unhealthy { reason, .. } => {
                    Some(drift(DriftKind::Drifted, "EndpointDead", reason.clone()))
                }
                _ => None,
            }),
            LabState::Pending => None,
        }
    }

    async fn correct(&self, lab: Arc<Lab>, found: Drift, cx: &Context) -> Result<Action, ReconcileError> {
        let key = cx.api::<LabInstance>()?.key(&lab.metadata.namespace, &lab.metadata.name)?;
        cx.warn(key, &lab.metadata, found.reason, &found.message);
        match found.reason {
            "ProvisioningTimeout" => self.fail(&lab, &found, cx).await?,
            "ProcessGone" | "EndpointDead" => self.repair(&lab, &found, cx).await?,
            _ => Self::delete(&lab, cx).await?,
        }
        Ok(Action::Done)
    }

    async fn after_sweep(&self, objects: &[Arc<Lab>], cx: &Context) -> Result<usize, ReconcileError> {
        self.settings.metrics.count(objects.iter().map(|lab| lab.status.state()));
        let orphans = self.orphans(objects, cx).await?;
        for orphan in &orphans {
            tracing::warn!(lab = %orphan, uid = orphan.uid, "found outside without a lab, stopping it");
            self.settings.provisioners.stop(orphan).await.map_err(ReconcileErrorOf::from)?;
        }
        Ok(orphans.len())
    }
}
