//! What is outside and belongs to no lab: found, and ended.

use std::collections::HashSet;
use std::sync::Arc;

use roa_core::{Api, Context, Key, ListOptions, Metadata, ReconcileError, Resource};

use crate::provision::{LabIdentity, Provisioner, StopProgress};
use crate::turn::unclear;
use crate::{Lab, LabInstance, LabSettings};

/// Takes one step towards the end of each thing that no lab claims. Gives how many are gone with it. What can't be done
/// for one is tried for all others nevertheless.
pub(super) async fn end_all(settings: &LabSettings, labs: &[Arc<Lab>], cx: &Context) -> Result<usize, ReconcileError> {
    let search = Search { api: cx.api::<LabInstance>()?, labs, cx };
    let (mut ended, mut failure) = (0, None);
    for provisioner in settings.provisioners.iter() {
        match search.end_orphans_of(&**provisioner).await {
            Ok(count) => ended += count,
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(ended), Err)
}

struct Search<'a> {
    api: Api<Lab>,
    /// As of the begin of the sweep: what they claim needs no closer look.
    labs: &'a [Arc<Lab>],
    cx: &'a Context,
}

impl Search<'_> {
    async fn end_orphans_of(&self, provisioner: &dyn Provisioner) -> Result<usize, ReconcileError> {
        let uids: HashSet<&str> = self.labs.iter().filter(|lab| claims(lab, provisioner)).map(|lab| uid(lab)).collect();
        let listed = provisioner.list().await.map_err(|error| unclear(&error))?;
        let (mut ended, mut failure) = (0, None);
        for found in listed.iter().filter(|found| !uids.contains(found.uid.as_str())) {
            match self.end_orphan(provisioner, found).await {
                Ok(gone) => ended += usize::from(gone),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(ended), Err)
    }

    /// Ends it, if no lab claims it now: what was begun since the sweep began is no orphan.
    async fn end_orphan(&self, provisioner: &dyn Provisioner, found: &LabIdentity) -> Result<bool, ReconcileError> {
        if self.owner(found).await?.is_some_and(|lab| may_claim(&lab, provisioner)) {
            return Ok(false);
        }
        let progress = provisioner.stop(found).await.map_err(|error| unclear(&error))?;
        if progress == StopProgress::Stopping {
            return Ok(false);
        }
        self.tell(provisioner, found);
        Ok(true)
    }

    /// The lab with this identity, read from the store. That it can't be read is an error, never an absence.
    async fn owner(&self, found: &LabIdentity) -> Result<Option<Lab>, ReconcileError> {
        let is_it = |lab: &Lab| uid(lab) == found.uid;
        if let Some(key) = self.key(found) {
            return Ok(self.api.find(&key).await?.filter(is_it));
        }
        let (labs, _) = self.api.list(&ListOptions::everywhere()).await?;
        Ok(labs.into_iter().find(is_it))
    }

    fn key(&self, found: &LabIdentity) -> Option<Key> {
        self.api.key(&found.namespace, &found.name).ok()
    }

    fn tell(&self, provisioner: &dyn Provisioner, found: &LabIdentity) {
        let message =
            format!("{} had a lab {} that is not wanted any more; it was ended", provisioner.name(), found.uid);
        tracing::warn!(uid = found.uid, lab = %found, provisioner = provisioner.name(), "an orphan was ended");
        if let Some(key) = self.key(found) {
            let mut metadata = Metadata::named(&found.namespace, &found.name);
            metadata.uid.clone_from(&found.uid);
            self.cx.warn(key, &metadata, "OrphanEnded", message);
        }
    }
}

fn uid(lab: &Lab) -> &str {
    &lab.metadata().uid
}

fn claims(lab: &Lab, provisioner: &dyn Provisioner) -> bool {
    lab.status.allocation.as_ref().is_some_and(|allocation| allocation.provisioner == provisioner.name())
}

/// A lab that has no place yet may get one from this provisioner in the next moment.
fn may_claim(lab: &Lab, provisioner: &dyn Provisioner) -> bool {
    lab.status.allocation.is_none() || claims(lab, provisioner)
}
