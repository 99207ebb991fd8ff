//! The revisions that commits get, and the lives of keys.

use roa_core::{CommitError, Entry, Health, Revision};

use crate::client::{key, text};
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;
use crate::harness::{Harness, earlier};
use crate::{FreshOptions, client::Client};

pub(super) async fn revisions_dense_and_monotone(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let mut last = begin;
    for number in 0..harness.times(200, 20) {
        let next = client.put(&format!("k{}", number % 7), number).await?;
        ensure::equal("the next commit's revision", next.get(), last.get() + 1)?;
        ensure::equal("the head after a commit", client.head().await?, next)?;
        last = next;
    }
    let log = client.feed(begin).await?.until(last).await?;
    ensure_dense("the revisions in the log", &log, begin, last)
}

pub(super) async fn recreate_new_life(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    let updated = client.update("a", "2", first).await?;
    ensure_life(&client, first, updated, 2).await?;
    client.delete("a").await?;
    let again = client.create("a", "2").await?;
    ensure_life(&client, again, again, 1).await?;
    let stale = client.txn().update(key("a"), text("3"), updated);
    client.refused("an update of the life before", stale).await?;
    Ok(())
}

pub(super) async fn version_and_create_rev(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let created = client.create("a", "1").await?;
    ensure_life(&client, created, created, 1).await?;
    let mut last = created;
    for version in 2..10 {
        client.put("b", version).await?;
        last = client.update("a", version, last).await?;
        ensure_life(&client, created, last, version).await?;
    }
    let listed = client.list_things().await?.entries;
    let a = listed.first().ok_or_else(|| ensure::broken("a in the list", &listed))?;
    ensure::equal("a as it is listed", life(a), (created, last, 9))
}

async fn ensure_life(client: &Client, created: Revision, revision: Revision, version: u64) -> Outcome {
    let entry = client.entry("a").await?;
    ensure::equal(
        "create revision, revision and version of a",
        entry.as_deref().map(life),
        Some((created, revision, version)),
    )
}

fn life(entry: &Entry) -> (Revision, Revision, u64) {
    (entry.create_revision, entry.revision, entry.version)
}

pub(super) async fn identical_update_new_revision(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "same").await?;
    let mut feed = client.feed(first).await?;
    let second = client.update("a", "same", first).await?;
    client.follows("the revision of an identical update", first, second)?;
    ensure::entry("a", client.entry("a").await?.as_ref(), second, "same")?;
    ensure::equal("the next change", feed.next().await?.revision, second)
}

pub(super) async fn max_revision_2pow53_refused(harness: Harness) -> Outcome {
    let last = Revision::new(Revision::MAX).map_err(|error| ensure::broken("a last revision", &error))?;
    let client = harness.store_with(FreshOptions::default().opening(earlier(last, 2)?)).await?;
    let first = client.create("a", "1").await?;
    ensure::equal("the last revision but one", first, earlier(last, 1)?)?;
    ensure::equal("the last revision", client.update("a", "2", first).await?, last)?;
    for txn in [client.txn().create(key("b"), text("1")), client.txn().delete(key("a"), last)] {
        let error = client.refused("a commit after the last revision", txn).await?;
        ensure::that("Exhausted", matches!(error, CommitError::Exhausted(_)), &error)?;
    }
    ensure::entry("a", client.entry("a").await?.as_ref(), last, "2")?;
    let health = harness.within("health", client.store.health()).await?;
    ensure::that("a failing health at the last revision", matches!(health, Health::Failing(_)), &health)
}
