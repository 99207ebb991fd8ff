//! Lists in pages.

use std::num::NonZeroUsize;

use roa_core::{Continue, Error, ListRequest, Page, Start};
use roa_runtime::Selection;

use crate::cases::history::{History, rows};
use crate::client::{Client, key, key_in, text, things, things_in};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;
use crate::watching::{Told, events};

fn limit(entries: usize) -> NonZeroUsize {
    NonZeroUsize::new(entries).unwrap_or(NonZeroUsize::MIN)
}

fn continued(page: &Page) -> Outcome<Continue> {
    page.next.clone().ok_or_else(|| ensure::broken("a next page", page))
}

pub(super) async fn paging_complete_no_dup_under_writes(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let mut history = History::new(&client, 31).await?;
    history.run(60).await?;
    for (round, size) in (0..harness.times(60, 8)).zip([1, 2, 3, 5, 8, 13, 24, 100].into_iter().cycle()) {
        history.step().await?;
        let (revision, model) = history.now();
        let prefix = if round % 3 == 0 { things_in("n") } else { things() };
        let request = ListRequest::new(prefix.clone()).limit(limit(size));
        let mut page = client.list(request.clone()).await?;
        let mut entries = Vec::new();
        loop {
            ensure::equal("the page's revision", page.revision, revision)?;
            ensure::that(&format!("at most {size} entries"), page.entries.len() <= size, &page.entries.len())?;
            entries.append(&mut page.entries);
            history.run(2).await?;
            let Some(next) = page.next else { break };
            ensure::equal("the revision of the next page", next.revision, revision)?;
            page = client.list(request.clone().resume(next)).await?;
        }
        ensure::equal(&format!("all pages of {size} together"), rows(&entries), model.rows(&prefix))?;
    }
    Ok(())
}

pub(super) async fn continue_after_compaction_expired(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    for name in ["a", "b", "c", "d"] {
        client.create(name, "1").await?;
    }
    let request = ListRequest::new(things()).limit(limit(2));
    let next = continued(&client.list(request.clone()).await?)?;
    client.put("c", "2").await?;
    client.compact(next.revision).await?;
    let page = client.list(request.clone().resume(next.clone())).await?;
    let values: Vec<_> = page.entries.iter().map(|entry| entry.value.clone()).collect();
    ensure::equal("the second page at the floor", values, vec![text("1"), text("1")])?;
    let head = client.put("d", "2").await?;
    client.compact(head).await?;
    match client.list_refused("going on after a compaction", request.resume(next)).await? {
        Error::Expired { floor, head: h } => ensure::equal("floor and head of the refusal", (floor, h), (head, head)),
        other => Err(ensure::broken("Expired", &other)),
    }
}

pub(super) async fn continue_token_foreign_prefix_rejected(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    for (namespace, name) in [("a", "1"), ("a", "2"), ("ab", "1"), ("ab", "2")] {
        client.commit(client.txn().create(key_in(namespace, name), text("1"))).await?;
    }
    let own = ListRequest::new(things_in("a")).limit(limit(1));
    let next = continued(&client.list(own.clone()).await?)?;
    for foreign in [things_in("ab"), things_in(""), things_in("b")] {
        let request = ListRequest::new(foreign).resume(next.clone());
        let error = client.list_refused("a list that goes on after a foreign key", request).await?;
        ensure::that("Invalid", matches!(error, Error::Invalid { .. }), &error)?;
    }
    let rest = client.list(own.resume(next)).await?.entries;
    ensure::equal("the rest of its own list", rest.first().map(|entry| entry.key.clone()), Some(key_in("a", "2")))
}

pub(super) async fn rare_match_paging(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let common = harness.times(1_000, 100);
    fill(&client, common).await?;
    let rare = client.commit(client.txn().create(key_in("n", "rare"), object("rare"))).await?;
    fill_after(&client).await?;
    ensure_found_in_pages(&client, common).await?;
    let hub = harness.hub(&client).await?;
    let labels = roa_core::LabelSelector::everything().eq("tier", "rare");
    let mut watch = hub.watch(Selection::prefix(things()).labels(labels), Start::Snapshot).await?;
    let head = client.head().await?;
    let told = watch.until(head).await?;
    let synced = matches!(told.last(), Some(Told::Synced(position)) if position.revision == head);
    ensure::that("a snapshot that ends at the head", synced, &told)?;
    let seen: Vec<_> = events(told).iter().map(|event| (event.key().clone(), event.entry.revision)).collect();
    ensure::equal("the only match", seen, vec![(key_in("n", "rare"), rare)])
}

/// Page by page, until a namespace's only entry is found behind those of others.
async fn ensure_found_in_pages(client: &Client, common: usize) -> Outcome {
    let page = client.list(ListRequest::new(things_in("n")).limit(limit(1))).await?;
    ensure::equal("the first match", page.entries.first().map(|entry| entry.key.clone()), Some(key_in("n", "rare")))?;
    ensure::equal("whether there is a next page", page.next, None)?;
    let request = ListRequest::new(things()).limit(limit(7));
    let mut page = client.list(request.clone()).await?;
    let mut found = page.entries.len();
    while let Some(next) = page.next {
        page = client.list(request.clone().resume(next)).await?;
        found += page.entries.len();
    }
    ensure::equal("how many are found in all pages", found, common + 2)
}

async fn fill(client: &Client, count: usize) -> Outcome {
    for number in 0..count {
        client.commit(client.txn().create(key_in("m", &format!("c{number:04}")), object("common"))).await?;
    }
    Ok(())
}

async fn fill_after(client: &Client) -> Outcome {
    client.commit(client.txn().create(key_in("o", "common"), object("common"))).await.map(|_| ())
}

fn object(tier: &str) -> roa_core::Value {
    crate::client::object(&key("x"), tier, 0)
}
