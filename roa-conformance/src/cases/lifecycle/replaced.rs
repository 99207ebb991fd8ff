//! Another history under the same name: a restored copy, another store.

use std::sync::Arc;

use roa_core::{CommitError, Error, Start, Store, TailEnd};

use crate::FaultStore;
use crate::client::{key, text};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;
use crate::watching::Told;

pub(super) async fn restore_from_backup_fenced(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let kept = client.create("kept", "1").await?;
    let backup = harness.within("back up", harness.factory.backup(&client.store)).await??;
    let lost = client.create("lost", "1").await?;
    let before = client.state().await?;
    let restored = harness.factory.restore(Arc::clone(&client.store), backup);
    let client = harness.client(harness.within("restore", restored).await??);
    ensure::entry("what was backed up", client.entry("kept").await?.as_ref(), kept, "1")?;
    ensure::equal("what was written after the backup", client.entry("lost").await?, None)?;
    let after = client.state().await?;
    ensure::that(&format!("a head and floor after {lost}"), after.head > lost && after.floor == after.head, &after)?;
    ensure::that("another epoch", after.epoch != before.epoch, &after)?;
    for old in [kept, lost] {
        let error = client.feed_refused("a feed of before the restore", old).await?;
        ensure::that("Expired", matches!(error, Error::Expired { .. }), &error)?;
    }
    let prepared = client.txn().expect_epoch(before.epoch).create(key("lost"), text("2"));
    let error = client.refused("a commit of before the restore", prepared).await?;
    ensure::that("Fenced", matches!(error, CommitError::Fenced { .. }), &error)?;
    let next = client.create("lost", "3").await?;
    client.follows("the first commit after the restore", after.head, next)
}

pub(super) async fn store_id_swap_expires(harness: Harness) -> Outcome {
    let (first, second) = (harness.store().await?, harness.store().await?);
    ensure::that("two stores with two ids", first.store.id() != second.store.id(), &first.store.id())?;
    let address = Arc::new(FaultStore::new(Arc::clone(&first.store), harness.clock()));
    let client = harness.client(Arc::clone(&address) as Arc<dyn Store>);
    let hub = harness.hub(&client).await?;
    let mut watch = hub.watch_things(Start::Now).await?;
    let written = client.create("a", "1").await?;
    watch.events_until(written).await?;
    let old = hub.hub.position();
    hub.watch_things(Start::Resume(old)).await?;
    for number in 0..5 {
        second.put("b", number).await?;
    }
    address.replace(Arc::clone(&second.store));
    let (told, end) = watch.until_end().await?;
    let foreign = told.iter().any(|told| matches!(told, Told::Batch(..)));
    ensure::that("nothing of another store", !foreign, &told)?;
    ensure::that("Expired when the store is another one", matches!(end, TailEnd::Expired { .. }), &end)?;
    // A new process at the same address, and the old one that has begun anew.
    for hub in [harness.hub(&second).await?, hub] {
        let error = hub.refused("a position of another store", Start::Resume(old)).await?;
        ensure::that("Expired", matches!(error, Error::Expired { .. }), &error)?;
        let mut again = hub.watch_things(Start::Snapshot).await?;
        let head = second.head().await?;
        match again.until(head).await?.last() {
            Some(Told::Synced(position)) => ensure::equal("whose snapshot it is", position.store, second.store.id())?,
            other => return Err(ensure::broken("a snapshot", &other)),
        }
    }
    Ok(())
}
