//! Fences that a caller asks for: a declared break in the history.

use roa_core::{Epoch, Revision, StoreState};

use crate::error::RedisStoreError;
use crate::lineage;
use crate::shared::Shared;

/// Jumps past the head and past `highest` into a new epoch, unless the store has left the `expected` one, or has
/// committed nothing since its last jump and stands at `highest` or after it.
pub(crate) async fn fence(shared: &Shared, expected: Epoch, highest: Revision) -> Result<StoreState, RedisStoreError> {
    let mut line = shared.link.line().await?;
    let fenced = async {
        lineage::settle(shared, &mut line.connection).await?;
        if lineage::jump(shared, &mut line.connection, expected, highest).await? {
            tracing::info!(store = %shared.id, "fenced: the history goes on after a jump");
        }
        Ok(lineage::settle(shared, &mut line.connection).await?.state())
    };
    let fenced = fenced.await;
    if let Err(error) = &fenced {
        shared.link.note(&line, error);
    }
    fenced
}
