//! What keeps a store in order, whatever is in it: events go after their time, what is owned goes with its owner, what is
//! in a namespace with that, and writers that work against each other are named.

use std::sync::Arc;

use roa_core::{KindRegistry, Namespace, Result};
use roa_runtime::{
    Clocks, EventRecorder, EventRecorderConfig, GarbageCollector, GarbageCollectorConfig, Manager, NamespaceController,
    OscillationConfig, OscillationWatch, RuntimeMetrics,
};
use roa_server::DeclaredKinds;

use crate::config::settings::{self, Config};

/// The recorder of events: a sink from the begin, and one of the parts that [`add`] adds.
pub(super) fn recorder(clocks: &Clocks, metrics: &RuntimeMetrics) -> Arc<EventRecorder> {
    Arc::new(EventRecorder::new(EventRecorderConfig::default(), Arc::clone(&clocks.io), metrics))
}

/// Adds all of it to a manager.
///
/// # Errors
/// A kind is not registered.
pub(super) fn add(
    manager: &mut Manager,
    kinds: Arc<KindRegistry>,
    recorder: Arc<EventRecorder>,
    config: &Config,
    clocks: &Clocks,
    metrics: &RuntimeMetrics,
) -> Result<()> {
    let (hub, io) = (manager.hub().clone(), Arc::clone(&clocks.io));
    let declared = DeclaredKinds::new(kinds, hub, io);
    let kinds = declared.kinds().clone();
    manager.add_runnable(Arc::new(declared));
    manager.add_controller::<Namespace, _>(
        NamespaceController::new().with_kinds(kinds.clone()),
        super::lab::controller(config),
    )?;
    let settings::OscillationConfig { window, status_turns, max_fields } = config.oscillation;
    let oscillation = OscillationConfig { window: window.0, status_turns, max_fields };
    let (hub, io) = (manager.hub().clone(), Arc::clone(&clocks.io));
    let collector =
        GarbageCollector::new(hub.clone(), io, GarbageCollectorConfig::default(), metrics).with_kinds(kinds);
    manager.add_runnable(Arc::new(collector));
    manager.add_runnable(Arc::new(OscillationWatch::new(hub, oscillation, metrics)));
    manager.add_runnable(recorder);
    Ok(())
}
