//! What is certain after a commit, and what is not.

use std::future::poll_fn;
use std::task::Poll;

use roa_core::CommitError;

use crate::Facility;
use crate::client::{Client, key, text};
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;
use crate::harness::Harness;

pub(super) async fn ambiguous_reported_on_cut(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    for number in 0..harness.times(64, 24) {
        ensure_whole_though_dropped(&client, number, number % 24).await?;
    }
    if harness.factory.facilities().contains(&Facility::Cuts) {
        ensure_cut_is_ambiguous(&harness, &client).await?;
    }
    Ok(())
}

/// A commit whose future is dropped after some polls: all of it has happened, or nothing; or it is still under way,
/// and all of it happens later.
async fn ensure_whole_though_dropped(client: &Client, number: usize, polls: usize) -> Outcome {
    let before = client.head().await?;
    let mut feed = client.feed(before).await?;
    let names = ["left", "right"].map(|side| format!("{side}{number}"));
    let txn = names.iter().fold(client.txn(), |txn, name| txn.create(key(name), text(number)));
    let id = txn.id;
    poll_some(polls, client.store.commit(txn)).await;
    client.create(&format!("after{number}"), number).await?;
    let page = client.list_things().await?;
    let written: Vec<_> = page.entries.iter().filter(|entry| entry.txn == id).map(|entry| entry.key.name()).collect();
    ensure::that("all writes of a dropped commit or none", matches!(written.len(), 0 | 2), &written)?;
    let others = page.entries.iter().filter(|entry| names.iter().any(|name| name == entry.key.name()));
    ensure::equal("how many of its keys are there", others.count(), written.len())?;
    let log = feed.until(page.revision).await?;
    let own = log.iter().filter(|batch| batch.txn == id).count();
    ensure::equal("how often the log has the dropped commit", own, written.len() / 2)?;
    ensure_dense("the log", &log, before, page.revision)
}

async fn poll_some<T>(polls: usize, future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 || future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The reply was lost, so the outcome is open; reading tells that it is the transaction's own.
async fn ensure_cut_is_ambiguous(harness: &Harness, client: &Client) -> Outcome {
    harness.within("arrange a cut", harness.factory.cut_next_reply(&client.store)).await??;
    let before = client.head().await?;
    let txn = client.txn().create(key("cut"), text("1"));
    let id = txn.id;
    match client.attempt(txn).await? {
        Err(CommitError::Ambiguous { txn, .. }) => ensure::equal("which transaction is unclear", txn, id)?,
        other => return Err(ensure::broken("an ambiguous outcome of a commit whose reply was lost", &other)),
    }
    if let Some(entry) = client.entry("cut").await? {
        ensure::equal("whose write it is", entry.txn, id)?;
        client.follows("its revision", before, entry.revision)?;
    }
    client.create("later", "1").await?;
    Ok(())
}

pub(super) async fn stale_epoch_commit_fenced(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let old = client.state().await?.epoch;
    let revision = client.commit(client.txn().expect_epoch(old).create(key("a"), text("1"))).await?;
    let new = client.fence().await?.epoch;
    ensure::that("another epoch after a fence", new != old, &new)?;
    let prepared = client.txn().expect_epoch(old).update(key("a"), text("2"), revision);
    match client.refused("a commit of the old epoch", prepared).await? {
        CommitError::Fenced { current } => ensure::equal("the epoch that the refusal names", current, new)?,
        other => return Err(ensure::broken("a fenced commit", &other)),
    }
    ensure::entry("a", client.entry("a").await?.as_ref(), revision, "1")?;
    let renewed = client.txn().expect_epoch(new).update(key("a"), text("3"), revision);
    let after = client.commit(renewed).await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), after, "3")
}
