//! [`LabController`]: answers to each change of a lab, one step at a time.

mod bring_up;
mod keep_up;
mod take_away;
mod wait;

use std::sync::{Arc, Once};
use std::time::Duration;

use async_trait::async_trait;
use roa_core::{Action, ConditionStatus, Context, Controller, Error, ReconcileError, Timestamp};

use crate::accounts::Accounts;
use crate::instance::Lab;
use crate::metrics::LabMetrics;
use crate::provision::{LabIdentity, ProvisionError, ProvisionRequest, Provisioner};
use crate::template::{LabTemplate, Template, builtin};
use crate::{Capacity, LabInstance, LabPolicy, LabState, Provisioners, conditions};

/// The finalizer of labs: on before the first outside effect, off when nothing is left outside.
pub const FINALIZER: &str = "lab.neuroglia.com/cleanup";

/// All that the controller and the reconciler of labs share.
#[derive(Debug, Clone)]
pub struct LabSettings {
    /// How patient they are.
    pub policy: LabPolicy,
    /// How much room there is.
    pub capacity: Capacity,
    /// The id of this machine: only its own `roa` acts on a lab's process.
    pub node: String,
    /// What brings labs up.
    pub provisioners: Provisioners,
    /// What is measured.
    pub metrics: LabMetrics,
}

/// Brings labs up, keeps them for their time, and takes them away.
#[derive(Debug)]
pub struct LabController {
    settings: LabSettings,
    accounts: Accounts,
    filled: Once,
}

impl LabController {
    /// A controller with these settings.
    #[must_use]
    pub fn new(settings: LabSettings) -> Self {
        Self { settings, accounts: Accounts::default(), filled: Once::new() }
    }

    const fn policy(&self) -> &LabPolicy {
        &self.settings.policy
    }

    /// Takes all labs into account before the first room is given away: caches are filled before controllers run.
    fn fill_accounts(&self, cx: &Context) {
        self.filled.call_once(|| {
            let labs = cx.cache::<LabInstance>().map(|cache| cache.list(None)).unwrap_or_default();
            labs.iter().for_each(|lab| self.accounts.note(lab));
        });
    }

    /// The template that a lab names: of its namespace, or built in.
    async fn template(&self, lab: &Lab, cx: &Context) -> Result<Option<LabTemplate>, ReconcileError> {
        template_of(lab, cx).await
    }

    fn is_elsewhere(&self, lab: &Lab) -> bool {
        is_elsewhere(&self.settings, lab)
    }
}

/// Whether another machine acts on a lab.
pub(crate) fn is_elsewhere(settings: &LabSettings, lab: &Lab) -> bool {
    lab.status.allocation.as_ref().is_some_and(|allocation| allocation.node != settings.node)
}

pub(crate) async fn template_of(lab: &Lab, cx: &Context) -> Result<Option<LabTemplate>, ReconcileError> {
    let api = cx.api::<LabTemplate>()?;
    let key = api.key(&lab.metadata.namespace, &lab.spec.template)?;
    let own: Option<Template> = match cx.cache::<LabTemplate>() {
        Some(cache) => cache.get(&key).map(|template| (*template).clone()),
        None => api.find(&key).await?,
    };
    Ok(own.map(|template| template.spec).or_else(|| builtin(&lab.spec.template)))
}

/// Which lab it is, for a provisioner.
pub(crate) fn identity(lab: &Lab) -> LabIdentity {
    let metadata = &lab.metadata;
    LabIdentity { uid: metadata.uid.clone(), namespace: metadata.namespace.clone(), name: metadata.name.clone() }
}

pub(crate) fn request(lab: &Lab, template: &LabTemplate) -> ProvisionRequest {
    ProvisionRequest {
        lab: identity(lab),
        process: template.process.clone(),
        simulated: template.simulated.clone(),
        environment: lab.spec.environment.clone(),
        attempt: lab.status.retries,
    }
}

/// The provisioner that a template names.
pub(crate) fn provisioner<'a>(
    settings: &'a LabSettings,
    template: &LabTemplate,
) -> Result<&'a Arc<dyn Provisioner>, String> {
    settings.provisioners.get(&template.provisioner).ok_or_else(|| {
        let names = settings.provisioners.names();
        format!("there is no provisioner {:?}, expected one of {names}", template.provisioner)
    })
}

impl From<ProvisionError> for ReconcileErrorOf {
    fn from(error: ProvisionError) -> Self {
        Self(ReconcileError::Transient { reason: error.reason(), message: error.to_string() })
    }
}

/// A failed look at the world outside, as an error of a reconcile.
pub(crate) struct ReconcileErrorOf(pub(crate) ReconcileError);

impl From<ReconcileErrorOf> for ReconcileError {
    fn from(error: ReconcileErrorOf) -> Self {
        error.0
    }
}

/// Writes a lab's status if it differs from what was read; the change that this makes leads to the next step.
pub(crate) async fn write(lab: &Lab, mut next: Lab, cx: &Context) -> Result<Lab, ReconcileError> {
    next.status.observed_generation = lab.metadata.generation;
    if next.status == lab.status {
        return Ok(next);
    }
    Ok(cx.api::<LabInstance>()?.update_status(&next).await?)
}

/// Until a time: at once if it has passed.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.duration_since(now)
}

#[async_trait]
impl Controller for LabController {
    type Resource = Lab;

    fn name(&self) -> &'static str {
        "lab-controller"
    }

    fn finalizer(&self) -> Option<&str> {
        Some(FINALIZER)
    }

    async fn reconcile(&self, lab: Arc<Lab>, cx: &Context) -> Result<Action, ReconcileError> {
        self.fill_accounts(cx);
        self.accounts.note(&lab);
        match lab.status.state() {
            LabState::Pending => self.wait(&lab, cx).await,
            LabState::Provisioning | LabState::Ready if self.is_elsewhere(&lab) => Ok(Action::Done),
            LabState::Provisioning => self.bring_up(&lab, cx).await,
            LabState::Ready => self.keep_up(&lab, cx).await,
            LabState::Failed => self.try_anew(&lab, cx).await,
            // Without a deletion of the object: an earlier controller's, which the sweep sees to.
            LabState::Deleting | LabState::Deleted => Ok(Action::Done),
        }
    }

    async fn finalize(&self, lab: Arc<Lab>, cx: &Context) -> Result<Action, ReconcileError> {
        self.take_away(&lab, cx).await
    }
}

impl LabController {
    /// A changed spec is a new try.
    async fn try_anew(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        if lab.metadata.generation <= lab.status.observed_generation {
            return Ok(Action::Done);
        }
        let mut next = lab.clone();
        let now = cx.now();
        next.status.go_to(LabState::Pending, "the spec has changed: a new try", now);
        next.status.retries = 0;
        next.status.next_attempt_at = None;
        next.status.allocation = None;
        conditions::set(&mut next, conditions::PROVISIONED, ConditionStatus::Unknown, "SpecChanged", "", now);
        write(lab, next, cx).await?;
        Ok(Action::Done)
    }

    /// Gives a lab up, for a reason that is told.
    async fn fail(
        &self,
        lab: &Lab,
        reason: &'static str,
        message: &str,
        cx: &Context,
    ) -> Result<Action, ReconcileError> {
        let mut next = lab.clone();
        next.status.go_to(LabState::Failed, message, cx.now());
        conditions::set(&mut next, conditions::READY, ConditionStatus::False, reason, message, cx.now());
        write(lab, next, cx).await?;
        self.settings.metrics.failed(reason);
        cx.warn(
            cx.api::<LabInstance>()?.key(&lab.metadata.namespace, &lab.metadata.name)?,
            &lab.metadata,
            reason,
            message,
        );
        Ok(Action::Done)
    }
}

/// An object that is gone needs nothing more.
pub(crate) fn gone_is_fine<T>(outcome: Result<T, Error>) -> Result<(), Error> {
    match outcome {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
