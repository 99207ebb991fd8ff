//! [`Turn`]: one look at one lab, with all that whoever looks may do about it.

use std::time::Duration;

use roa_core::lifecycle::{DeleteOptions, Preconditions};
use roa_core::{Action, Context, ReconcileError, Timestamp};

use crate::provision::{LabIdentity, ProvisionError, ProvisionRequest};
use crate::provisioners::Reach;
use crate::{Lab, LabInstance, LabPolicy, LabSettings, LabStatus, LabTemplate, builtin, conditions};

/// One look at one lab. All that it writes is written under the condition that the lab is as it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) cx: &'a Context,
    pub(crate) settings: &'a LabSettings,
    /// The time of the look.
    pub(crate) now: Timestamp,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(lab: &'a Lab, cx: &'a Context, settings: &'a LabSettings) -> Self {
        Self { lab, cx, settings, now: cx.now() }
    }

    pub(crate) const fn policy(&self) -> &'a LabPolicy {
        &self.settings.policy
    }

    /// The status, to be changed and written.
    pub(crate) fn status(&self) -> LabStatus {
        self.lab.status.clone()
    }

    /// Looks again soon: something is awaited.
    pub(crate) const fn poll(&self) -> Action {
        Action::RequeueAfter(self.policy().poll)
    }

    /// Looks again when that time has come.
    pub(crate) fn at(&self, time: Timestamp) -> Action {
        Action::RequeueAfter(time.duration_since(self.now))
    }

    /// Writes the status, unless nothing differs. Gives the lab as it is then.
    pub(crate) async fn write(&self, status: LabStatus) -> Result<Lab, ReconcileError> {
        let mut next = self.lab.clone();
        next.status = status;
        if next.status == self.lab.status {
            return Ok(next);
        }
        Ok(self.cx.api::<LabInstance>()?.update_status(&next).await?)
    }

    /// Asks the lab to go, if it is still as `lab` says.
    pub(crate) async fn delete(&self, lab: &Lab) -> Result<(), ReconcileError> {
        let metadata = &lab.metadata;
        let preconditions =
            Preconditions { uid: Some(metadata.uid.clone()), resource_version: metadata.resource_version };
        let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
        self.cx.api::<LabInstance>()?.delete(&metadata.namespace, &metadata.name, &options).await?;
        Ok(())
    }

    /// Says that the lab's time is over, and asks it to go.
    pub(crate) async fn expire(&self) -> Result<(), ReconcileError> {
        let mut next = self.status();
        next.message = "its time is over".to_owned();
        next.condition(conditions::EXPIRED, true, ("DurationOver", "its time is over"), self.now);
        let expired = self.write(next).await?;
        self.delete(&expired).await?;
        self.note("Expired", "its time is over");
        Ok(())
    }

    /// The lab's template: of its namespace, or else built in.
    pub(crate) async fn template(&self) -> Result<Option<LabTemplate>, ReconcileError> {
        let (namespace, name) = (&self.lab.metadata.namespace, &self.lab.spec.template);
        let api = self.cx.api::<LabTemplate>()?;
        let key = api.key(namespace, name)?;
        let own = match self.cx.cache::<LabTemplate>().filter(|cache| cache.revision().is_some()) {
            Some(cache) => cache.get(&key).map(|template| template.spec.clone()),
            None => api.find(&key).await?.map(|template| template.spec),
        };
        Ok(own.or_else(|| builtin(name)))
    }

    /// Whether somebody changed the spec since it was last taken up.
    pub(crate) const fn spec_changed(&self) -> bool {
        self.lab.metadata.generation > self.lab.status.observed_generation
    }

    /// For how long the lab is wanted: as it says, or an hour, or as long as labs of its template may be.
    pub(crate) fn duration(&self, template: Option<&LabTemplate>) -> Duration {
        let most = template.and_then(LabTemplate::max_duration).unwrap_or(Duration::MAX);
        self.lab.spec.duration().unwrap_or_else(|| self.policy().default_duration.min(most))
    }

    /// When the time of the lab is over, if it became ready at that time: no later than its template allows.
    pub(crate) fn end_of(&self, ready_at: Timestamp, template: Option<&LabTemplate>) -> Timestamp {
        let begin = self.lab.spec.scheduled_start().map_or(ready_at, |start| start.max(ready_at));
        let most = template.and_then(LabTemplate::max_duration).unwrap_or(Duration::MAX);
        begin.saturating_add(self.duration(template).min(most))
    }

    /// How the lab can be touched.
    ///
    /// # Errors
    /// When its provisioner is not registered: it is left as it is until that is.
    pub(crate) fn reach(&self) -> Result<Reach, ReconcileError> {
        let allocation = self.lab.status.allocation.as_ref();
        let reach = self.settings.provisioners.reach(allocation, &self.settings.node);
        reach.ok_or_else(|| {
            let name = allocation.map_or("", |allocation| &allocation.provisioner);
            let message = format!("the lab is with the provisioner {name:?}, which is not registered");
            ReconcileError::Transient { reason: "ProvisionerNotFound", message }
        })
    }

    pub(crate) fn identity(&self) -> LabIdentity {
        let metadata = &self.lab.metadata;
        LabIdentity { uid: metadata.uid.clone(), namespace: metadata.namespace.clone(), name: metadata.name.clone() }
    }

    /// What its provisioner is asked.
    pub(crate) fn request(&self, template: Option<LabTemplate>) -> ProvisionRequest {
        let (process, simulated) = template.map_or((None, None), |template| (template.process, template.simulated));
        let LabStatus { retries, restarts, .. } = self.lab.status;
        ProvisionRequest {
            lab: self.identity(),
            process,
            simulated,
            environment: self.lab.spec.environment.clone(),
            attempt: retries.saturating_add(restarts),
        }
    }

    /// Tells people that all is as it should be.
    pub(crate) fn note(&self, reason: &str, message: &str) {
        if let Ok(key) = self.key() {
            self.cx.note(key, &self.lab.metadata, reason, message);
        }
    }

    /// Tells people that somebody should look.
    pub(crate) fn warn(&self, reason: &str, message: &str) {
        if let Ok(key) = self.key() {
            self.cx.warn(key, &self.lab.metadata, reason, message);
        }
    }

    /// The lab came from under this key, so there is one.
    fn key(&self) -> roa_core::Result<roa_core::Key> {
        self.cx.api::<LabInstance>()?.key(&self.lab.metadata.namespace, &self.lab.metadata.name)
    }
}

/// What a provisioner's failure to look or to stop means: nothing for the lab, which is looked at again.
pub(crate) fn unclear(error: &ProvisionError) -> ReconcileError {
    let (reason, message) = (error.reason(), error.to_string());
    if let ProvisionError::Busy { after, .. } = error {
        return ReconcileError::Deferred { reason, message, after: *after };
    }
    if error.is_retryable() {
        ReconcileError::Transient { reason, message }
    } else {
        ReconcileError::Permanent { reason, message }
    }
}
