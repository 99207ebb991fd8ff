//! Compaction: the log forgets its oldest batches before its bounds make it. Live entries stay.

use roa_core::Revision;

use crate::error::MemoryError;
use crate::store::Shared;

/// Forgets the history up to and including a revision, save the newest revisions that the configuration keeps. Gives
/// the floor after it.
pub(crate) fn compact(shared: &Shared, to: Revision) -> Result<Revision, MemoryError> {
    let (floor, forgotten) = {
        let mut state = shared.write()?;
        let head = state.log.head();
        if to > head {
            return Err(MemoryError::TooLarge { requested: to, head });
        }
        // Zero is no revision: then all are to be kept.
        let newest = Revision::new(head.get().saturating_sub(shared.config.min_retain)).unwrap_or(state.log.floor());
        let forgotten = state.log.forget(to.min(newest));
        (state.log.floor(), forgotten)
    };
    tracing::debug!(store = %shared.id, %floor, batches = forgotten.len(), "compacted the log");
    Ok(floor)
}
