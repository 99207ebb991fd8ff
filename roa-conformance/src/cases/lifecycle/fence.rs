//! The history breaks: nothing older can be resumed, and nobody does it twice.

use std::sync::Arc;

use roa_core::{At, Error, ListRequest, Position, Revision, Start, StoreState, TailEnd};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::cases::history::{History, rows};
use crate::client::{Client, things};
use crate::failure::{Outcome, ensure};
use crate::harness::{Harness, all, later};
use crate::watching::Hub;

pub(super) async fn fence_expires_all_old_rvs(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let mut history = History::new(&client, 78).await?;
    history.run(20).await?;
    let (before, position) = (client.state().await?, hub.hub.position());
    let (mut feed, mut watch) = (client.feed(before.head).await?, hub.watch_things(Start::After(before.head)).await?);
    let highest = later(before.head, 1_000)?;
    let after = client.store.fence(before.epoch, highest).await.map_err(|e| crate::harness::failed("fence", e))?;
    ensure_jumped(before, after, highest)?;
    ensure::equal("a second fence with nothing between", client.fence().await?, after)?;
    ensure_expired(&client, &hub, highest).await?;
    let page = client.list_things().await?;
    ensure::equal("what lives", (page.revision, rows(&page.entries)), (after.head, history.now().1.rows(&things())))?;
    let next = client.put("next", "1").await?;
    client.follows("the first commit after the break", after.head, next)?;
    let (batches, end) = feed.until_end().await?;
    ensure::that("a feed that ends with Expired", matches!(end, TailEnd::Expired { .. }), &(batches, end))?;
    let (_, end) = watch.until_end().await?;
    ensure::that("a watch that ends with Expired", matches!(end, TailEnd::Expired { .. }), &end)?;
    for (revision, _) in &history.past {
        ensure_expired(&client, &hub, *revision).await?;
    }
    let error = hub.refused("a position of before the break", Start::Resume(position)).await?;
    ensure::that("Expired", matches!(error, Error::Expired { .. }), &error)?;
    goes_on(&client, &hub, after, next).await
}

#[track_caller]
fn ensure_jumped(before: StoreState, after: StoreState, highest: Revision) -> Outcome {
    let least = before.head.max(highest).get() + Revision::JUMP;
    ensure::that(&format!("a head of {least} or more"), after.head.get() >= least, &after)?;
    ensure::equal("the floor", after.floor, after.head)?;
    ensure::equal("the epoch's counter", after.epoch.counter, before.epoch.counter + 1)?;
    ensure::that("another epoch", after.epoch.nonce != before.epoch.nonce, &after)
}

async fn ensure_expired(client: &Client, hub: &Hub, revision: Revision) -> Outcome {
    let mut refusals = vec![
        client.feed_refused("a feed of before the break", revision).await?,
        hub.refused("a watch of before the break", Start::After(revision)).await?,
    ];
    if client.store.capabilities().exact_lists {
        let request = ListRequest::new(things()).at(At::Exact(revision));
        refusals.push(client.list_refused("a list of before the break", request).await?);
    }
    refusals.iter().try_for_each(|error| ensure::that("Expired", matches!(error, Error::Expired { .. }), error))
}

/// Feeds and watches that begin in the new history see all of it.
async fn goes_on(client: &Client, hub: &Hub, after: StoreState, next: Revision) -> Outcome {
    let mut feed = client.feed(after.head).await?;
    ensure::equal("the first batch after the break", feed.next().await?.revision, next)?;
    let mut snapshot = hub.watch_things(Start::Snapshot).await?;
    snapshot.events_until(next).await?;
    let later = client.put("next", "2").await?;
    ensure::equal("the next events after the break", snapshot.next_batch().await?.0, later)?;
    let position = hub.hub.position();
    let expected = Position { store: client.store.id(), epoch: after.epoch, revision: later };
    ensure::equal("where the hub is", position, expected)
}

pub(super) async fn fence_race_two_clients_one_jump(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    for round in 0..harness.times(50, 10) {
        client.put("a", round).await?;
        let before = client.state().await?;
        let start = Arc::new(Barrier::new(4));
        let mut clients = JoinSet::new();
        for _ in 0..4 {
            let (client, start) = (client.clone(), Arc::clone(&start));
            clients.spawn(async move {
                start.wait().await;
                let fenced = client.store.fence(before.epoch, before.head).await;
                fenced.map_err(|error| crate::harness::failed("fence", error))
            });
        }
        let states = all(clients).await?;
        ensure_jumped(before, states[0], before.head)?;
        ensure::equal("what all who fenced at once were told", states.clone(), vec![states[0]; 4])?;
        ensure::equal("where the history stands", client.state().await?, states[0])?;
    }
    Ok(())
}
