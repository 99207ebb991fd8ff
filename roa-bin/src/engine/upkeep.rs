//! What keeps a store in order, whatever is in it: events go after their time, what is owned goes with its owner, and
//! writers that work against each other are named.

use std::sync::Arc;

use roa_runtime::{
    Clocks, EventRecorder, EventRecorderConfig, GarbageCollector, GarbageCollectorConfig, Manager, OscillationConfig,
    OscillationWatch, RuntimeMetrics,
};

/// The recorder of events: a sink from the begin, and one of the parts that [`add`] adds.
pub(super) fn recorder(clocks: &Clocks, metrics: &RuntimeMetrics) -> Arc<EventRecorder> {
    Arc::new(EventRecorder::new(EventRecorderConfig::default(), Arc::clone(&clocks.io), metrics))
}

/// Adds all of it to a manager.
pub(super) fn add(manager: &mut Manager, recorder: Arc<EventRecorder>, clocks: &Clocks, metrics: &RuntimeMetrics) {
    let (hub, io) = (manager.hub().clone(), Arc::clone(&clocks.io));
    let collector = GarbageCollector::new(hub.clone(), io, GarbageCollectorConfig::default(), metrics);
    manager.add_runnable(Arc::new(collector));
    manager.add_runnable(Arc::new(OscillationWatch::new(hub, OscillationConfig::default(), metrics)));
    manager.add_runnable(recorder);
}
