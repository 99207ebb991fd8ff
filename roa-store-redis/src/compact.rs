//! Compaction: the floor rises at once, and what lies below it is removed in steps that do not hold the server up.

use std::sync::Arc;

use redis::{Pipeline, Value};
use roa_core::{Revision, Timestamp};

use crate::codec;
use crate::error::RedisStoreError;
use crate::lineage::batch_bytes;
use crate::meta::{Meta, elements, epoch_text, revision, text};
use crate::preflight;
use crate::shared::{Concern, Shared};
use crate::{RedisConfig, connect};

/// How many batches are removed by one script.
const STEP: usize = 500;

/// Forgets the history up to a revision, as far as what is to be kept allows. Gives the floor.
pub(crate) async fn compact(shared: &Shared, to: Revision) -> Result<Revision, RedisStoreError> {
    let meta = shared.meta().await?;
    let (head, floor) = (meta.head, meta.floor);
    if to > head {
        return Err(RedisStoreError::TooLarge { requested: to, head });
    }
    // Zero is no revision: then all are to be kept.
    let newest = Revision::new(head.get().saturating_sub(shared.config.min_retain)).unwrap_or(floor);
    raise_floor(shared, &meta, to.min(newest)).await
}

async fn raise_floor(shared: &Shared, meta: &Meta, to: Revision) -> Result<Revision, RedisStoreError> {
    if to <= meta.floor {
        return Ok(meta.floor);
    }
    let keys = [shared.keys.meta.as_str(), &shared.keys.log];
    let raised = shared.ask(&shared.scripts.compact, &keys, |call| {
        call.arg(epoch_text(meta.epoch)).arg(to.get());
    });
    let floor = match raised.await? {
        Value::Array(refused) => {
            let word = refused.into_iter().next().map(text).transpose()?.unwrap_or_default();
            return Err(RedisStoreError::Refused(format!("the history was broken meanwhile ({word})")));
        }
        floor => revision(&text(floor)?)?,
    };
    trim(shared).await?;
    Ok(floor)
}

/// Removes what lies below the floor.
async fn trim(shared: &Shared) -> Result<(), RedisStoreError> {
    let keys = [shared.keys.meta.as_str(), &shared.keys.log];
    loop {
        let removed = shared.ask(&shared.scripts.trim, &keys, |call| {
            call.arg(STEP);
        });
        if removed.await? == Value::Int(0) {
            return Ok(());
        }
    }
}

/// Holds the log within its bounds, until the store is closed. All processes do; they do not harm each other.
pub(crate) async fn keep_bounds(shared: Arc<Shared>) {
    loop {
        let elapsed = tokio::time::timeout(shared.config.upkeep_interval, shared.link.closed()).await;
        if elapsed.is_ok() {
            return;
        }
        let kept = bound(&shared).await;
        let wrong = match kept {
            Ok(short_of_memory) => short_of_memory,
            Err(RedisStoreError::Closed) => return,
            Err(error) => Some(error.to_string()),
        };
        shared.trouble.note(Concern::Growing, wrong);
    }
}

/// Forgets what is over the bounds. Says if the server runs short of memory.
async fn bound(shared: &Shared) -> Result<Option<String>, RedisStoreError> {
    loop {
        let meta = shared.meta().await?;
        let Some(to) = excess(shared, &meta).await? else { break };
        raise_floor(shared, &meta, to).await?;
    }
    let mut line = shared.link.line().await?;
    let server = connect::info(&mut line.connection).await;
    if let Err(error) = &server {
        shared.link.note(&line, error);
    }
    Ok(preflight::memory_warning(&server?))
}

/// How far to raise the floor next; `None` if the log is within its bounds.
async fn excess(shared: &Shared, meta: &Meta) -> Result<Option<Revision>, RedisStoreError> {
    let batches = meta.head.get() - meta.floor.get();
    if !exceeds(&shared.config, batches, meta.log_bytes, 1) {
        return Ok(None);
    }
    // A stretch of the oldest: small enough to end close to the bound.
    let stretch = (batches / 64).clamp(1, 1_000);
    let to = meta.floor.get() + stretch;
    let newest = meta.head.get().saturating_sub(shared.config.min_retain.max(1));
    let (Ok(to), true) = (Revision::new(to), to <= newest) else { return Ok(None) };
    let hard = exceeds(&shared.config, batches, meta.log_bytes, 2);
    let old = match committed_at(shared, to).await? {
        Some(at) => shared.clock.now().duration_since(at) >= shared.config.log_min_age,
        None => false,
    };
    Ok((hard || old).then_some(to))
}

fn exceeds(config: &RedisConfig, batches: u64, bytes: u64, times: u64) -> bool {
    batches > config.log_max_batches.saturating_mul(times) || bytes > config.log_max_bytes.saturating_mul(times)
}

async fn committed_at(shared: &Shared, at: Revision) -> Result<Option<Timestamp>, RedisStoreError> {
    let id = format!("{at}-0");
    let mut range = redis::cmd("XRANGE");
    range.arg(&shared.keys.log).arg(&id).arg(&id);
    let mut commands = Pipeline::new();
    commands.add_command(range);
    let Some(entry) = elements(shared.ask_all(&commands).await?.pop().unwrap_or(Value::Nil))?.pop() else {
        return Ok(None);
    };
    batch_bytes(entry)?.map(|(_, batch)| Ok(codec::heading(&mut batch.into())?.committed_at)).transpose()
}
