//! [`LabReconciler`]: looks at every lab from time to time, for what no change tells: stuck, out of time, or not as it is
//! outside. And at what is outside and no lab's.
//!
//! What it finds is written into the lab, and an event says it; what it takes to mend it is mostly the controller's work,
//! which sees that write like any other.

mod correct;
mod find;
mod orphans;

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{Action, Context, Drift, ReconcileError, Reconciler, Timestamp};

use crate::admission::may_be_under_way;
use crate::provision::Observation;
use crate::provisioners::Reach;
use crate::turn::{Turn, unclear};
use crate::{Lab, LabSettings, LabState};

/// Sweeps over all labs.
///
/// ```
/// use roa_core::Reconciler;
/// use roa_lab::{LabReconciler, LabSettings, Provisioners};
/// let reconciler = LabReconciler::new(LabSettings::new("node-1", Provisioners::new()));
/// assert_eq!(reconciler.name(), "lab-reconciler");
/// ```
#[derive(Debug)]
pub struct LabReconciler {
    settings: LabSettings,
}

impl LabReconciler {
    /// A reconciler; its driver's interval is the policy's `sweep`.
    #[must_use]
    pub const fn new(settings: LabSettings) -> Self {
        Self { settings }
    }

    /// Compares a lab with what is outside, and corrects what is not as the lab says. All else is for who handles the lab.
    pub(crate) async fn compare(&self, lab: &Arc<Lab>, cx: &Context) -> Result<(), ReconcileError> {
        let seen = self.observe(lab, cx).await?;
        let drift = seen.outside.as_ref().and_then(|_| self.drift(lab, &seen, cx.now()));
        match drift {
            Some(drift) => self.correct(Arc::clone(lab), drift, cx).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes one step towards the end of each thing outside that none of the labs claims. Gives how many are gone with it.
    pub(crate) async fn end_orphans(&self, labs: &[Arc<Lab>], cx: &Context) -> Result<usize, ReconcileError> {
        orphans::end_all(&self.settings, labs, cx).await
    }
}

/// What a sweep sees of a lab besides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How it is outside. `None` if there is nothing to look at, nobody who could, or nothing that can be seen from this
    /// node.
    outside: Option<Observation>,
    /// Why it can't stay on its worker, if it can't.
    displaced: Option<String>,
}

#[async_trait]
impl Reconciler for LabReconciler {
    type Resource = Lab;
    type Observed = Seen;

    fn name(&self) -> &'static str {
        "lab-reconciler"
    }

    async fn observe(&self, lab: &Lab, cx: &Context) -> Result<Seen, ReconcileError> {
        let turn = Turn::new(lab, cx, &self.settings);
        let has_place = matches!(lab.status.state(), LabState::Provisioning | LabState::Ready);
        let displaced = if has_place { turn.displaced().await? } else { None };
        let mut seen = Seen { displaced, outside: None };
        let of_interest = lab.status.state() == LabState::Ready && !lab.status.is_degraded();
        // What is wrong already needs no look outside, and must not depend on one.
        if !of_interest || self.drift(lab, &seen, turn.now).is_some() {
            return Ok(seen);
        }
        let Ok(Reach::Here(provisioner)) = turn.reach() else { return Ok(seen) };
        let request = turn.request(turn.template().await?);
        seen.outside = Some(provisioner.observe(&request).await.map_err(|error| unclear(&error))?);
        Ok(seen)
    }

    fn drift(&self, lab: &Lab, seen: &Seen, now: Timestamp) -> Option<Drift> {
        find::find(lab, seen, now, &self.settings.policy)
    }

    async fn correct(&self, lab: Arc<Lab>, drift: Drift, cx: &Context) -> Result<Action, ReconcileError> {
        correct::correct(&Turn::new(&lab, cx, &self.settings), &drift).await
    }

    async fn after_sweep(&self, labs: &[Arc<Lab>], cx: &Context) -> Result<usize, ReconcileError> {
        self.settings.metrics.count(labs.iter().map(|lab| lab.status.state()));
        let tried = labs.iter().filter(|lab| may_be_under_way(lab)).map(|lab| lab.metadata.uid.as_str());
        let tried: HashSet<&str> = tried.collect();
        self.settings.provisioners.gates().for_each(|gate| gate.sweep(|uid| tried.contains(uid)));
        self.end_orphans(labs, cx).await
    }
}
