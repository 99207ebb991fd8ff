//! A store that was closed, or whose process ended, is there again.

use std::sync::Arc;

use roa_core::{Durability, Error, StoreState};

use crate::cases::history::{History, rows};
use crate::client::{Client, things};
use crate::failure::{Outcome, ensure};
use crate::feed::ensure_dense;
use crate::harness::{Harness, earlier};

/// How a store ends before it is opened again.
#[derive(Debug, Clone, Copy)]
enum End {
    Closed,
    Crashed,
}

/// Opens a client's store again after it ended.
async fn open_again(harness: &Harness, client: Client, end: End) -> Outcome<Client> {
    let (id, store) = (client.store.id(), Arc::clone(&client.store));
    drop(client);
    let opened = match end {
        End::Closed => harness.within("reopen the store", harness.factory.reopen(store)).await??,
        End::Crashed => harness.within("open the crashed store", harness.factory.crash(store)).await??,
    };
    ensure::equal("whose store was opened again", opened.id(), id)?;
    Ok(harness.client(opened))
}

/// How the stores of this factory can end without losing what was acknowledged.
fn ends(harness: &Harness) -> Vec<End> {
    let survives = harness.factory.capabilities().durability >= Durability::ProcessCrash;
    if survives { vec![End::Closed, End::Crashed] } else { vec![End::Closed] }
}

pub(super) async fn reopen_preserves_all(harness: Harness) -> Outcome {
    for end in ends(&harness) {
        let mut client = harness.store().await?;
        let mut history = History::new(&client, 75).await?;
        history.run(30).await?;
        client.compact(history.past[10].0).await?;
        for _ in 0..3 {
            let before = client.state().await?;
            let log = client.feed(before.floor).await?.until(before.head).await?;
            let entries = client.list_things().await?.entries;
            client = open_again(&harness, client, end).await?;
            ensure::equal(
                &format!("where the history of a store stands that was {end:?}"),
                client.state().await?,
                before,
            )?;
            ensure::equal("its entries", client.list_things().await?.entries, entries)?;
            ensure::equal("its log", client.feed(before.floor).await?.until(before.head).await?, log)?;
            let next = client.put("next", before.head).await?;
            client.follows("its next commit", before.head, next)?;
        }
        ensure::that("what was there before", !history.now().1.rows(&things()).is_empty(), &end)?;
    }
    Ok(())
}

pub(super) async fn reopen_head_after_deleting_last_key(harness: Harness) -> Outcome {
    for end in ends(&harness) {
        let client = harness.store().await?;
        client.create("a", "1").await?;
        client.create("b", "1").await?;
        client.delete("b").await?;
        let deleted = client.delete("a").await?;
        let client = open_again(&harness, client, end).await?;
        ensure::equal(&format!("the head of an empty store that was {end:?}"), client.head().await?, deleted)?;
        let next = client.create("a", "2").await?;
        client.follows("the next commit, whose revision must be new", deleted, next)?;
        let page = client.list_things().await?;
        ensure::equal("what is there", rows(&page.entries).len(), 1)?;
    }
    Ok(())
}

pub(super) async fn reopen_empty_log_floor(harness: Harness) -> Outcome {
    for end in ends(&harness) {
        let client = harness.store().await?;
        client.create("a", "1").await?;
        let head = client.put("a", "2").await?;
        ensure::equal("the floor", client.compact(head).await?, head)?;
        let client = open_again(&harness, client, end).await?;
        let StoreState { floor, head: reached, .. } = client.state().await?;
        ensure::equal(&format!("floor and head of a store that was {end:?}"), (floor, reached), (head, head))?;
        let error = client.feed_refused("a feed of what is no longer kept", earlier(head, 1)?).await?;
        ensure::that("Expired", matches!(error, Error::Expired { .. }), &error)?;
        let mut feed = client.feed(head).await?;
        let next = client.put("a", "3").await?;
        ensure_dense("the feed after the floor", &feed.until(next).await?, head, next)?;
    }
    Ok(())
}
