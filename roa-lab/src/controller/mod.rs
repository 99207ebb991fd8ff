//! [`LabController`]: answers to each change of a lab, and takes one step at a time through its life.
//!
//! What is to be done follows from the lab's spec and status alone, and from what its provisioner sees; nothing is
//! remembered. Each step is written under the condition that the lab is as it was read: whoever comes second reads again.
//! A place is written down before anything is begun outside, and nothing outside is begun twice: provisioners know labs
//! by their uid.

mod agent;
mod cleanup;
mod failed;
mod leaving;
mod pending;
pub(crate) mod place;
mod provisioning;
mod ready;
mod start;

use std::sync::Arc;

use async_trait::async_trait;
use roa_core::{Action, Context, Controller, ReconcileError};
use roa_runtime::{Cache, Territory};

pub use agent::NodeAgent;

use crate::ledger::Ledger;
use crate::scheduler::Scheduler;
use crate::turn::Turn;
use crate::{Lab, LabSettings, LabState};

/// What keeps a lab's record until nothing of the lab is left outside.
pub const FINALIZER: &str = "lab.neuroglia.com/cleanup";

/// Brings labs up, watches over their time, and takes them away.
///
/// ```
/// use roa_core::Controller;
/// use roa_lab::{FINALIZER, LabController, LabSettings, Provisioners};
/// let settings = LabSettings::new("node-1", Provisioners::new());
/// let controller = LabController::new(settings);
/// assert_eq!(controller.finalizer(), Some(FINALIZER));
/// ```
#[derive(Debug)]
pub struct LabController {
    settings: LabSettings,
    mind: Arc<Mind>,
}

/// What the controller keeps from one call to the next: nothing that a restart may not forget.
#[derive(Debug)]
struct Mind {
    ledger: Ledger,
    scheduler: Scheduler,
}

impl LabController {
    /// A controller. There is one for each node: two with the same node id could promise the same local place to two labs.
    /// Places on declared workers are reserved in the store, so that any number of controllers share those.
    #[must_use]
    pub fn new(settings: LabSettings) -> Self {
        let mind = Mind { ledger: Ledger::default(), scheduler: Scheduler::new(settings.scheduling) };
        Self { settings, mind: Arc::new(mind) }
    }

    /// Keeps account of what labs hold of this node as they change in this cache, instead of looking at all of them for each
    /// that asks for a place. The cache must not run yet: what came before is not counted.
    ///
    /// ```
    /// use roa_lab::{Lab, LabController, LabSettings, Provisioners};
    /// use roa_runtime::Cache;
    /// let labs = Cache::<Lab>::new();
    /// let controller = LabController::new(LabSettings::new("node-1", Provisioners::new())).following(&labs);
    /// # drop(controller);
    /// ```
    #[must_use]
    pub fn following(self, labs: &Cache<Lab>) -> Self {
        self.mind.ledger.follow(labs, &self.settings.node);
        self
    }

    /// What acts on this node for labs that are here and that another process handles: all but those of `territory`.
    ///
    /// ```
    /// use roa_lab::{LabController, LabSettings, Provisioners};
    /// use roa_runtime::{Runnable, Territory};
    /// let controller = LabController::new(LabSettings::new("node-1", Provisioners::new()));
    /// assert_eq!(controller.agent(Territory::nothing()).name(), "lab-node-agent");
    /// ```
    #[must_use]
    pub fn agent(&self, territory: Territory) -> NodeAgent {
        NodeAgent::new(self.settings.clone(), Arc::clone(&self.mind), territory)
    }
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
        let turn = Turn::new(&lab, cx, &self.settings);
        match lab.status.state() {
            LabState::Pending => pending::step(&turn, &self.mind).await,
            LabState::Provisioning => provisioning::step(&turn, &self.mind).await,
            LabState::Ready => ready::step(&turn, &self.mind).await,
            LabState::Failed => failed::step(&turn).await,
            LabState::Deleting | LabState::Deleted => leaving::step(&turn).await,
        }
    }

    async fn finalize(&self, lab: Arc<Lab>, cx: &Context) -> Result<Action, ReconcileError> {
        cleanup::step(&Turn::new(&lab, cx, &self.settings)).await
    }
}
