//! Several processes share the work: each handles what it has, and each of its writes is fenced by that.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use roa_core::{Cancellation, CancellationSource, ChangeKind, KeyPrefix, Revision, SYSTEM_GROUP, Start};

use super::component::Component;
use super::{Manager, ManagerError, Mode};
use crate::lease::Nudge;
use crate::{Coordinator, HubItem, Layout, LayoutError, Selection, Tasks, Territory, WatchHub};

/// How this process takes part, before it runs.
pub(super) struct Part {
    /// Boxed: it moves a few times before it runs.
    pub(super) coordinator: Box<Coordinator>,
    pub(super) territory: Territory,
}

impl Part {
    /// Agrees with the others on how the work is divided; `None` for a process that is alone.
    pub(super) async fn take(
        mode: &Mode,
        coordinator: impl FnOnce(&str, &crate::LeaseConfig) -> Result<Coordinator, ManagerError>,
    ) -> Result<Option<Self>, ManagerError> {
        let (group, holder, config, layout) = match mode {
            Mode::Single => return Ok(None),
            Mode::Leader { lease, holder, config } => (lease, holder, config, Layout::Leader),
            Mode::Sharded { group, holder, config, by } => (group, holder, config, Layout::Sharded(*by)),
        };
        let mut coordinator = Box::new(coordinator(holder, config)?);
        let territory = coordinator.divide(group, layout).await?;
        Ok(Some(Self { coordinator, territory }))
    }
}

/// Works on what this process has, until `shutdown`; then gives it back. If the others have agreed on another layout
/// meanwhile, that is its end.
pub(super) async fn run(manager: &Manager, part: Part, shutdown: &Cancellation) -> Result<(), ManagerError> {
    let Part { coordinator, territory } = part;
    let (nudge, stop) = (coordinator.nudge(), CancellationSource::new());
    let (living, token) = (Tasks::new("coordinator", 1), stop.token());
    let lifetime = manager.config.mode.retry_period();
    living.spawn_draining("coordinator", move |_| coordinator.run(token))?;
    let helpers = Tasks::new("division of work", 2);
    let one = matches!(manager.config.mode, Mode::Leader { .. });
    let dispatcher = Dispatcher { components: manager.components.clone(), territory: territory.clone(), one };
    helpers.spawn("dispatcher", dispatcher.run())?;
    helpers.spawn("owners", follow_owners(manager.hub.clone(), nudge))?;
    let workers = manager.start(&CancellationSource::new())?;
    let outcome = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ok(()),
        () = territory.outvoted() => Err(outvoted(&manager.config.mode)),
    };
    territory.leave();
    manager.drain(&workers).await;
    vacate(manager, &territory).await;
    stop.cancel();
    // It gives itself one retry period.
    living.shutdown(&*manager.clocks.io, lifetime * 2).await;
    helpers.shutdown(&*manager.clocks.io, lifetime).await;
    outcome
}

fn outvoted(mode: &Mode) -> ManagerError {
    LayoutError::Outvoted { name: mode.group().unwrap_or_default().into() }.into()
}

/// Lets the slots be given back one by one as they empty: nothing runs in them any more.
async fn vacate(manager: &Manager, territory: &Territory) {
    let limit = manager.clocks.io.monotonic() + manager.config.mode.retry_period();
    tokio::select! {
        biased;
        () = territory.vacated() => {}
        () = manager.clocks.io.sleep_until(limit) => {}
    }
}

/// Tells the components what this process got and lost.
struct Dispatcher {
    components: Vec<Arc<dyn Component>>,
    territory: Territory,
    /// Whether all of it is one.
    one: bool,
}

impl Dispatcher {
    async fn run(self) {
        let mut changes = self.territory.changes();
        let mut known = BTreeMap::new();
        loop {
            changes.mark_unchanged();
            let held: BTreeMap<usize, Option<Revision>> = self.territory.held().into_iter().collect();
            self.tell(&known, &held);
            known = held;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn tell(&self, before: &BTreeMap<usize, Option<Revision>>, now: &BTreeMap<usize, Option<Revision>>) {
        let only_in = |one: &BTreeMap<usize, Option<Revision>>, other: &BTreeMap<usize, Option<Revision>>| {
            let differs = |(slot, since): &(&usize, &Option<Revision>)| other.get(*slot) != Some(*since);
            one.iter().filter(differs).map(|(slot, _)| *slot).collect::<HashSet<usize>>()
        };
        let (gone, new) = (only_in(before, now), only_in(now, before));
        if gone.is_empty() && new.is_empty() {
            return;
        }
        match now.is_empty() {
            true => tracing::info!("standing by"),
            false if self.one => tracing::info!("leading"),
            false => tracing::info!(held = now.len(), got = new.len(), gave = gone.len(), "handling shards"),
        }
        for component in &self.components {
            component.disown(&gone);
            component.adopt(&new);
        }
    }
}

/// Has the coordinator look when owners change, members come, or go: so that it need not wait for its next look.
async fn follow_owners(hub: WatchHub, nudge: Nudge) {
    let watches = [("leases", true), ("shards", true), ("heartbeats", false)].map(|(resource, always)| {
        let (hub, nudge) = (hub.clone(), nudge.clone());
        async move { follow(&hub, resource, always, &nudge).await }
    });
    futures_util::future::join_all(watches).await;
}

/// A watch that can't begin or ends leaves only the regular looks; it is begun again with the next process.
async fn follow(hub: &WatchHub, resource: &str, always: bool, nudge: &Nudge) {
    let Ok(prefix) = KeyPrefix::resource(SYSTEM_GROUP, resource) else { return };
    loop {
        let Ok(mut watch) = hub.watch(Selection::prefix(prefix.clone()), Start::Now).await else { return };
        while let Some(Ok(item)) = watch.next().await {
            let HubItem::Events(slice) = item else { continue };
            // A renewal is no news.
            if always || slice.events().any(|event| event.change != ChangeKind::Modified) {
                nudge.give();
            }
        }
    }
}
