//! What keeps a store in order, whatever is in it: events go after their time, what is owned goes with its owner, what is
//! in a namespace with that, and writers that work against each other are named.

use std::sync::Arc;

use roa_core::{Namespace, Result};
use roa_runtime::{
    Clocks, ControllerConfig, EventRecorder, EventRecorderConfig, GarbageCollector, GarbageCollectorConfig, Manager,
    NamespaceController, OscillationConfig, OscillationWatch, RuntimeMetrics,
};

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
    recorder: Arc<EventRecorder>,
    clocks: &Clocks,
    metrics: &RuntimeMetrics,
) -> Result<()> {
    manager.add_controller::<Namespace, _>(NamespaceController::new(), ControllerConfig::default())?;
    let (hub, io) = (manager.hub().clone(), Arc::clone(&clocks.io));
    let collector = GarbageCollector::new(hub.clone(), io, GarbageCollectorConfig::default(), metrics);
    manager.add_runnable(Arc::new(collector));
    manager.add_runnable(Arc::new(OscillationWatch::new(hub, OscillationConfig::default(), metrics)));
    manager.add_runnable(recorder);
    Ok(())
}
