//! Deletion: stops what is outside, and says so, before the object goes.

use std::time::Duration;

use roa_core::{Action, ConditionStatus, Context, ReconcileError};

use super::{LabController, ReconcileErrorOf, identity, write};
use crate::LabState;
use crate::conditions::{READY, set};
use crate::instance::Lab;
use crate::provision::StopProgress;

/// How often it is looked whether a lab that was told to end has ended.
const LOOK: Duration = Duration::from_secs(1);

impl LabController {
    pub(super) async fn take_away(&self, lab: &Lab, cx: &Context) -> Result<Action, ReconcileError> {
        if lab.status.state() == LabState::Deleted {
            self.accounts.release(&lab.metadata.uid);
            return Ok(Action::Done);
        }
        if self.is_elsewhere(lab) {
            return Ok(Action::RequeueAfter(self.policy().poll));
        }
        if lab.status.state() != LabState::Deleting {
            let mut next = lab.clone();
            let why =
                if next.status.message.is_empty() { "asked to go".to_owned() } else { next.status.message.clone() };
            next.status.go_to(LabState::Deleting, why, cx.now());
            set(&mut next, READY, ConditionStatus::False, "Deleting", "", cx.now());
            write(lab, next, cx).await?;
            return Ok(Action::RequeueAfter(Duration::ZERO));
        }
        match self.settings.provisioners.stop(&identity(lab)).await.map_err(ReconcileErrorOf::from)? {
            StopProgress::Stopping => Ok(Action::RequeueAfter(LOOK.min(self.policy().poll))),
            StopProgress::Gone => {
                let mut next = lab.clone();
                next.status.go_to(LabState::Deleted, "", cx.now());
                next.status.endpoint = None;
                next.status.allocation = None;
                write(lab, next, cx).await?;
                self.accounts.release(&lab.metadata.uid);
                Ok(Action::Done)
            }
        }
    }
}
