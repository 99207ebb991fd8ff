//! Fences: a declared break in the history, after which nothing older can be resumed.

use roa_core::{Epoch, Revision, StoreState};

use crate::error::MemoryError;
use crate::store::Shared;

/// Jumps past the head and past `highest` into a new epoch, unless the store has left the `expected` one, or has
/// committed nothing since its last jump and stands at `highest` or after it. Gives the state after it.
pub(crate) fn fence(shared: &Shared, expected: Epoch, highest: Revision) -> Result<StoreState, MemoryError> {
    let now = shared.clock.now();
    let (state, forgotten) = {
        let mut state = shared.write()?;
        if state.epoch != expected || state.jumped && highest <= state.log.head() {
            return Ok(state.summary());
        }
        let head = Revision::jump(state.log.head(), highest, now, &*shared.random);
        state.epoch = state.epoch.following(&*shared.random);
        state.jumped = true;
        let forgotten = state.log.jump(head);
        (state.summary(), forgotten)
    };
    shared.changed.notify();
    tracing::info!(store = %shared.id, head = %state.head, epoch = %state.epoch, "fenced: the history goes on after a jump");
    drop(forgotten);
    Ok(state)
}
