//! [`rewrite`]: a change feed that is not as the store gives it. Faults and mutants are made of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::unfold;
use roa_core::{Batch, Clock, ClockExt, Store, Tail, TailEnd};

/// What becomes of a batch.
#[derive(Debug)]
pub(crate) enum Edited {
    /// It, or another one, is given.
    Give(Arc<Batch>),
    /// What comes next comes later.
    Wait(Duration),
    /// The feed ends.
    End(TailEnd),
    /// The feed ends without a reason.
    Vanish,
}

/// What becomes of the end of a feed.
#[derive(Debug)]
pub(crate) enum AtEnd {
    /// It is given.
    Pass,
    /// It is not.
    Vanish,
    /// The feed goes on where the store's log begins now.
    Reopen(Arc<dyn Store>),
}

/// What is done to each batch of a feed.
pub(crate) type Edit = Box<dyn FnMut(Arc<Batch>) -> Vec<Edited> + Send>;

/// Gives what `edit` makes of each batch of a feed.
pub(crate) fn rewrite(tail: Tail, edit: Edit, at_end: AtEnd, clock: Arc<dyn Clock>) -> Tail {
    let (store, epoch, after) = (tail.store, tail.epoch, (tail.after, tail.after_txn));
    let rewriter = Rewriter { tail, edit, at_end, clock, edited: VecDeque::new() };
    let stream = unfold(Some(rewriter), |rewriter| async {
        let mut rewriter = rewriter?;
        match rewriter.next().await {
            Ok(batches) => Some((Ok(batches), Some(rewriter))),
            Err(end) => end.map(|end| (Err(end), None)),
        }
    });
    Tail::new(store, epoch, after, stream.fuse().boxed())
}

/// Leaves each batch as it is.
pub(crate) fn unchanged() -> Edit {
    Box::new(|batch| vec![Edited::Give(batch)])
}

struct Rewriter {
    tail: Tail,
    edit: Edit,
    at_end: AtEnd,
    clock: Arc<dyn Clock>,
    edited: VecDeque<Edited>,
}

impl Rewriter {
    /// The next batches, or the end; `None` for an end without a reason.
    async fn next(&mut self) -> Result<Vec<Arc<Batch>>, Option<TailEnd>> {
        loop {
            let batches = self.take()?;
            if !batches.is_empty() {
                return Ok(batches);
            }
            if let Some(Edited::Wait(delay)) = self.edited.front() {
                self.clock.sleep(*delay).await;
                self.edited.pop_front();
                continue;
            }
            match self.tail.next().await {
                Some(Ok(batches)) => self.edited.extend(batches.into_iter().flat_map(&mut self.edit)),
                Some(Err(end)) => self.end(end).await?,
                None => return Err(None),
            }
        }
    }

    /// The batches that can be given now.
    fn take(&mut self) -> Result<Vec<Arc<Batch>>, Option<TailEnd>> {
        let mut batches = Vec::new();
        while let Some(edited) = self.edited.pop_front() {
            match edited {
                Edited::Give(batch) => batches.push(batch),
                Edited::Vanish if batches.is_empty() => return Err(None),
                Edited::End(end) if batches.is_empty() => return Err(Some(end)),
                later => {
                    self.edited.push_front(later);
                    break;
                }
            }
        }
        Ok(batches)
    }

    async fn end(&mut self, end: TailEnd) -> Result<(), Option<TailEnd>> {
        match &self.at_end {
            AtEnd::Pass => Err(Some(end)),
            AtEnd::Vanish => Err(None),
            AtEnd::Reopen(store) => {
                let failed = |error| Some(TailEnd::Failed(Arc::new(error)));
                let floor = store.state().await.map_err(failed)?.floor;
                self.tail = store.tail(floor).await.map_err(failed)?;
                Ok(())
            }
        }
    }
}

/// The same batch with some of it changed.
pub(crate) fn with(batch: &Batch, change: impl FnOnce(&mut Batch)) -> Arc<Batch> {
    let mut changed = batch.clone();
    change(&mut changed);
    Arc::new(changed)
}
