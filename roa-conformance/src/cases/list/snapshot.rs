//! Lists beside writers: each is of one moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roa_core::{ListRequest, Revision};
use tokio::task::JoinSet;

use crate::cases::history::{History, rows};
use crate::checker::State;
use crate::client::{Client, key, text, things};
use crate::failure::{Outcome, ensure};
use crate::harness::{Harness, all};

pub(super) async fn list_snapshot_under_writes(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let (names, stop) = (["a", "b", "y", "z"], Arc::new(AtomicBool::new(false)));
    let txn = names.iter().fold(client.txn(), |txn, name| txn.create(key(name), text(0)));
    let first = client.commit(txn).await?;
    let mut writer = JoinSet::new();
    writer.spawn(write_all(client.clone(), names, first, Arc::clone(&stop)));
    let listed = list_whole(&client, harness.times(500, 30)).await;
    stop.store(true, Ordering::SeqCst);
    all(writer).await?;
    listed
}

/// All four keys get the same value, again and again.
async fn write_all(client: Client, names: [&str; 4], mut last: Revision, stop: Arc<AtomicBool>) -> Outcome {
    let mut value = 0;
    while !stop.load(Ordering::SeqCst) {
        value += 1;
        let txn = names.iter().fold(client.txn(), |txn, name| txn.update(key(name), text(value), last));
        last = client.commit(txn).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn list_whole(client: &Client, times: usize) -> Outcome {
    for _ in 0..times {
        let page = client.list_things().await?;
        let values: Vec<_> = page.entries.iter().map(|entry| (&entry.value.bytes, entry.revision)).collect();
        ensure::equal("how many entries there are", values.len(), 4)?;
        ensure::that("four entries of one transaction", values.iter().all(|value| *value == values[0]), &values)?;
        ensure::that(&format!("entries of {} or before", page.revision), values[0].1 <= page.revision, &values)?;
        // So that the writer gets its turn, whatever the store is.
        tokio::task::yield_now().await;
    }
    Ok(())
}

pub(super) async fn list_revision_covers_items(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let mut feed = client.feed(begin).await?;
    let mut history = History::new(&client, 29).await?;
    let mut state = State::empty(begin);
    for _ in 0..harness.times(200, 20) {
        let (revision, model) = (history.step().await?, history.now().1);
        let page = client.list(ListRequest::new(things())).await?;
        ensure::equal("the list's revision", page.revision, revision)?;
        ensure::equal("the list", rows(&page.entries), model.rows(&things()))?;
        let newest = page.entries.iter().map(|entry| entry.revision).max();
        ensure::that(&format!("entries of {} or before", page.revision), newest <= Some(page.revision), &newest)?;
        feed.until(page.revision).await?.iter().for_each(|batch| state.apply(batch));
        let folded: Vec<_> = state.entries().cloned().collect();
        ensure::equal("what the log comes to at the list's revision", folded, page.entries)?;
    }
    Ok(())
}
