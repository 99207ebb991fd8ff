//! Change feeds: each pulls from the log by a cursor of its own, so that a slow one holds nothing up and costs nothing.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{Batch, Epoch, Revision, Tail, TailEnd};

use crate::error::MemoryError;
use crate::store::Shared;

/// The change feed after a revision.
pub(crate) fn open(shared: &Arc<Shared>, after: Revision) -> Result<Tail, MemoryError> {
    let (epoch, after_txn) = {
        let state = shared.read()?;
        (state.epoch, state.log.txn_of(after)?)
    };
    let reader = Reader { shared: Arc::clone(shared), epoch, cursor: after };
    let stream = unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(batches) => {
                reader.cursor = batches.last().map_or(reader.cursor, |last| last.revision);
                Some((Ok(batches), Some(reader)))
            }
            Err(end) => Some((Err(TailEnd::from(end)), None)),
        }
    });
    Ok(Tail::new(shared.id, epoch, (after, Some(after_txn)), stream.fuse().boxed()))
}

struct Reader {
    shared: Arc<Shared>,
    epoch: Epoch,
    /// The last revision that was given.
    cursor: Revision,
}

impl Reader {
    /// The next batches; waits until there are some.
    async fn next(&self) -> Result<Vec<Arc<Batch>>, MemoryError> {
        loop {
            if let Some(batches) = self.look()? {
                return Ok(batches);
            }
            let changed = self.shared.changed.notified();
            // Once more, for what came before that.
            if let Some(batches) = self.look()? {
                return Ok(batches);
            }
            changed.await;
        }
    }

    /// The batches that are there. A closed store's are given before its end is.
    fn look(&self) -> Result<Option<Vec<Arc<Batch>>>, MemoryError> {
        let state = self.shared.read_even_if_closed();
        let (floor, head) = (state.log.floor(), state.log.head());
        if state.epoch != self.epoch {
            return Err(MemoryError::Expired { floor, head });
        }
        let batches = state.log.after(self.cursor, self.shared.config.tail_chunk.get())?;
        if batches.is_empty() {
            return if state.closed { Err(MemoryError::Closed) } else { Ok(None) };
        }
        Ok(Some(batches))
    }
}
