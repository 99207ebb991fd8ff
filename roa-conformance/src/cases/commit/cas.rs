//! One key, compared and written.

use roa_core::{CommitError, Revision};

use crate::client::{key, text};
use crate::failure::{Outcome, ensure};
use crate::harness::{Harness, later};

pub(super) async fn create_absent_ok(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let before = client.head().await?;
    ensure::equal("a before it was created", client.entry("a").await?, None)?;
    let revision = client.create("a", "1").await?;
    client.follows("the revision of the first commit", before, revision)?;
    ensure::entry("a", client.entry("a").await?.as_ref(), revision, "1")?;
    ensure::equal("the head", client.head().await?, revision)
}

pub(super) async fn create_existing_conflict(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let revision = client.create("a", "1").await?;
    let error = client.refused("creating a again", client.txn().create(key("a"), text("2"))).await?;
    ensure_conflict(&error, Some(revision))?;
    ensure::entry("a", client.entry("a").await?.as_ref(), revision, "1")
}

pub(super) async fn update_matching_rev(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    client.create("b", "1").await?;
    let second = client.update("a", "2", first).await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), second, "2")?;
    let third = client.update("a", "3", second).await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), third, "3")
}

pub(super) async fn update_stale_conflict_carries_current(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    let second = client.update("a", "2", first).await?;
    let error = client.refused("a stale update", client.txn().update(key("a"), text("3"), first)).await?;
    ensure_conflict(&error, Some(second))?;
    ensure::entry("a", client.entry("a").await?.as_ref(), second, "2")
}

pub(super) async fn update_absent_notfound(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let other = client.create("b", "1").await?;
    let error = client.refused("an update of nothing", client.txn().update(key("a"), text("1"), other)).await?;
    ensure_conflict(&error, None)?;
    let error = client.refused("a deletion of nothing", client.txn().delete(key("a"), other)).await?;
    ensure_conflict(&error, None)?;
    ensure::equal("a", client.entry("a").await?, None)
}

pub(super) async fn delete_matching(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let created = client.create("a", "1").await?;
    client.create("b", "1").await?;
    let before = client.head().await?;
    let deleted = client.commit(client.txn().delete(key("a"), created)).await?;
    client.follows("the revision of a deletion", before, deleted)?;
    ensure::equal("a", client.entry("a").await?, None)?;
    let names: Vec<_> = client.list_things().await?.entries.iter().map(|e| e.key.name().to_owned()).collect();
    ensure::equal("what is listed", names, vec!["b".to_owned()])
}

pub(super) async fn delete_stale(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    let second = client.update("a", "2", first).await?;
    let error = client.refused("a stale deletion", client.txn().delete(key("a"), first)).await?;
    ensure_conflict(&error, Some(second))?;
    ensure::entry("a", client.entry("a").await?.as_ref(), second, "2")
}

pub(super) async fn failed_cas_leaves_head(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    let second = client.update("a", "2", first).await?;
    let stale = [
        client.txn().create(key("a"), text("3")),
        client.txn().update(key("a"), text("3"), first),
        client.txn().delete(key("a"), first),
        client.txn().create(key("b"), text("1")).update(key("a"), text("3"), later(second, 1)?),
    ];
    for txn in stale {
        client.refused("a stale commit", txn).await?;
    }
    ensure::equal("b, whose transaction was refused", client.entry("b").await?, None)?;
    let next = client.create("c", "1").await?;
    client.follows("the revision after refused commits", second, next)
}

fn ensure_conflict(error: &CommitError, expected: Option<Revision>) -> Outcome {
    match error {
        CommitError::Conflict { key: named, current } => {
            ensure::equal("whose conflict", named, &key("a"))?;
            ensure::equal("what a conflict says is there", *current, expected)
        }
        other => Err(ensure::broken("a conflict", other)),
    }
}
