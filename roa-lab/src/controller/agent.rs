//! [`NodeAgent`]: does on this node what can be done nowhere else, for labs that another process handles.
//!
//! A lab that is a process belongs to its node, and its key to the process that leads or has the key's shard: after a
//! restart these are often two. The owner's part is what follows from the lab's record: its time, its deletion, its
//! place. The agent's part is what takes a look or a step outside: bringing up, mending, ending. It takes the same steps as
//! the controller.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use roa_core::{ClockExt, Context, Error, Key, KeyOf, ListOptions, Monotonic, ReconcileError};
use roa_runtime::{Runnable, Territory};

use super::{Mind, cleanup, failed, provisioning, ready};
use crate::turn::Turn;
use crate::{Lab, LabInstance, LabReconciler, LabSettings, LabState};

/// How many labs it handles at once.
const AT_ONCE: usize = 8;

/// Acts on its node for labs that are here and that another process handles, also while its own process owns nothing.
///
/// It is under no fence, since what it does is not the owner's to give away: each of its writes is made under the condition
/// that the lab is as it was read, and an owner that writes meanwhile goes first. Nobody else begins or ends what is here,
/// for nobody else has the node's data directory.
///
/// ```
/// # use roa_lab::{LabController, LabSettings};
/// # use roa_runtime::Manager;
/// fn add(manager: &mut Manager, settings: LabSettings) {
///     let controller = LabController::new(settings);
///     manager.add_runnable(std::sync::Arc::new(controller.agent(manager.territory().clone())));
/// }
/// ```
#[derive(Debug)]
pub struct NodeAgent {
    settings: LabSettings,
    mind: Arc<Mind>,
    reconciler: LabReconciler,
    territory: Territory,
}

impl NodeAgent {
    pub(super) fn new(settings: LabSettings, mind: Arc<Mind>, territory: Territory) -> Self {
        Self { reconciler: LabReconciler::new(settings.clone()), settings, mind, territory }
    }

    /// Takes a step with each lab that needs one.
    ///
    /// # Errors
    /// When the labs can't be listed. What goes wrong with one of them is logged, and tried again with the next call.
    ///
    /// # Cancel safety
    /// As a call of the controller that is dropped: whoever comes next goes on.
    pub async fn look(&self, cx: &Context) -> Result<(), ReconcileError> {
        let mine = stream::iter(self.mine(&self.labs(cx).await?));
        mine.for_each_concurrent(AT_ONCE, |(key, lab)| async move { tell(&lab, self.step(&key, &lab, cx).await) })
            .await;
        Ok(())
    }

    /// Compares each ready lab with what is outside, and ends what is here and no lab's. Where the process handles any
    /// labs, its reconciler does the latter.
    ///
    /// # Errors
    /// When the labs, or what is outside, can't be listed.
    ///
    /// # Cancel safety
    /// As [`NodeAgent::look`].
    pub async fn sweep(&self, cx: &Context) -> Result<(), ReconcileError> {
        let labs = self.labs(cx).await?;
        let mine = stream::iter(self.mine(&labs));
        mine.for_each_concurrent(
            AT_ONCE,
            |(_, lab)| async move { tell(&lab, self.reconciler.compare(&lab, cx).await) },
        )
        .await;
        if self.territory.held().is_empty() {
            self.reconciler.end_orphans(&labs, cx).await?;
        }
        Ok(())
    }

    /// All labs that are known.
    async fn labs(&self, cx: &Context) -> Result<Vec<Arc<Lab>>, ReconcileError> {
        if let Some(cache) = cx.cache::<LabInstance>().filter(|cache| cache.revision().is_some()) {
            return Ok(cache.list(None));
        }
        let (labs, _) = cx.api::<LabInstance>()?.list(&ListOptions::everywhere()).await?;
        Ok(labs.into_iter().map(Arc::new).collect())
    }

    /// Those that are here, and another process's to handle.
    fn mine(&self, labs: &[Arc<Lab>]) -> Vec<(Key, Arc<Lab>)> {
        let here = labs.iter().filter(|lab| self.is_here(lab));
        let keyed = here.filter_map(|lab| Some((KeyOf::of(&**lab).ok()?.key().clone(), Arc::clone(lab))));
        keyed.filter(|(key, _)| !self.territory.owns(key)).collect()
    }

    /// Whether only this node can touch the lab.
    fn is_here(&self, lab: &Lab) -> bool {
        lab.status.allocation.as_ref().is_some_and(|held| {
            let provisioner = self.settings.provisioners.get(&held.provisioner);
            held.node == self.settings.node && provisioner.is_some_and(|provisioner| provisioner.is_local())
        })
    }

    async fn step(&self, key: &Key, seen: &Arc<Lab>, cx: &Context) -> Result<(), ReconcileError> {
        if !self.needs_step(&Turn::new(seen, cx, &self.settings)).await? {
            return Ok(());
        }
        // What the cache shows may be old, and this process is not the only one that writes.
        let Some(lab) = cx.api::<LabInstance>()?.find(key).await?.filter(|lab| self.is_here(lab)) else {
            return Ok(());
        };
        let turn = Turn::new(&lab, cx, &self.settings);
        match (lab.metadata.is_deleting(), lab.status.state()) {
            (true, LabState::Deleting | LabState::Deleted) => cleanup::take_away(&turn).await?,
            (false, LabState::Provisioning) => provisioning::step(&turn, &self.mind).await?,
            (false, LabState::Ready) => ready::keep(&turn, &self.mind).await?,
            (false, LabState::Failed) => failed::step(&turn).await?,
            _ => return Ok(()),
        };
        Ok(())
    }

    /// Whether anything is to be done, by what is known. For most labs at most times there is not.
    async fn needs_step(&self, turn: &Turn<'_>) -> Result<bool, ReconcileError> {
        Ok(match (turn.lab.metadata.is_deleting(), turn.lab.status.state()) {
            (deleting, LabState::Deleting | LabState::Deleted) => deleting,
            (deleting, LabState::Provisioning) => !deleting,
            (false, LabState::Ready) => turn.lab.status.is_degraded() || turn.displaced().await?.is_some(),
            (false, LabState::Failed) => turn.spec_changed(),
            _ => false,
        })
    }
}

/// That somebody else was faster, or that its provisioner is busy, is no news.
fn tell(lab: &Lab, outcome: Result<(), ReconcileError>) {
    match outcome {
        Ok(()) => {}
        Err(
            error @ (ReconcileError::Resource(Error::Conflict { .. } | Error::NotFound { .. })
            | ReconcileError::Deferred { .. }),
        ) => tracing::debug!(uid = lab.metadata.uid, %error, "left to the next look"),
        Err(error) => tracing::warn!(uid = lab.metadata.uid, %error, "nothing could be done for a lab of this node"),
    }
}

#[async_trait]
impl Runnable for NodeAgent {
    fn name(&self) -> &'static str {
        "lab-node-agent"
    }

    /// Nothing: there is one for each process.
    async fn run(&self, cx: &Context) {
        cx.cancelled().await;
    }

    async fn run_in_each(&self, cx: &Context) {
        let mut sweep_due = cx.clock().monotonic();
        while !cx.is_cancelled() {
            if let Err(error) = self.round(cx, &mut sweep_due).await {
                tracing::warn!(%error, "the labs of this node could not be looked at, trying again");
            }
            tokio::select! {
                () = cx.cancelled() => {}
                () = cx.clock().sleep(self.settings.policy.poll) => {}
            }
        }
    }
}

impl NodeAgent {
    async fn round(&self, cx: &Context, sweep_due: &mut Monotonic) -> Result<(), ReconcileError> {
        let now = cx.clock().monotonic();
        if now >= *sweep_due {
            *sweep_due = now + self.settings.policy.sweep;
            self.sweep(cx).await?;
        }
        self.look(cx).await
    }
}
