//! The history is forgotten, what lives is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roa_core::{Error, Revision, TailEnd};
use tokio::task::JoinSet;

use crate::FreshOptions;
use crate::cases::history::{History, rows};
use crate::client::{Client, text, things};
use crate::failure::{Outcome, ensure};
use crate::feed::{Feed, ensure_dense};
use crate::harness::{Harness, all, earlier, failed, later};

pub(super) async fn compact_keeps_live(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let mut history = History::new(&client, 71).await?;
    for _ in 0..5 {
        history.run(20).await?;
        let (head, model) = history.now();
        ensure::equal("the floor", client.compact(head).await?, head)?;
        let state = client.state().await?;
        ensure::equal("floor and head", (state.floor, state.head), (head, head))?;
        let page = client.list_things().await?;
        ensure::equal("what lives", (page.revision, rows(&page.entries)), (head, model.rows(&things())))?;
        for entry in &page.entries {
            ensure::equal("an entry", client.get(&entry.key).await?.entry.as_ref(), Some(entry))?;
        }
    }
    let (_, model) = history.now();
    if let Some((oldest, _, at, _)) = model.rows(&things()).into_iter().min_by_key(|row| row.2) {
        client.commit(client.txn().delete(oldest, at)).await?;
    }
    Ok(())
}

pub(super) async fn compact_idempotent_and_monotone(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    for number in 0..20 {
        client.put("a", number).await?;
    }
    let head = client.head().await?;
    let floor = later(begin, 10)?;
    for to in [floor, floor, later(begin, 3)?, begin, earlier(begin, 1)?] {
        ensure::equal(&format!("the floor after compacting to {to}"), client.compact(to).await?, floor)?;
        let state = client.state().await?;
        ensure::equal("floor and head", (state.floor, state.head), (floor, head))?;
    }
    ensure_kept(&harness).await
}

/// What is configured to be kept is kept, whatever is asked for.
async fn ensure_kept(harness: &Harness) -> Outcome {
    let client = harness.store_with(FreshOptions::default().min_retain(8)).await?;
    let begin = client.head().await?;
    for number in 0..20 {
        client.put("a", number).await?;
    }
    let (head, floor) = (client.head().await?, later(begin, 12)?);
    ensure::equal("the floor that keeps eight revisions", client.compact(head).await?, floor)?;
    ensure_dense("the eight revisions", &client.feed(floor).await?.until(head).await?, floor, head)
}

pub(super) async fn compact_future_rejected(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let head = client.create("a", "1").await?;
    let before = client.state().await?;
    for after in [1, 1_000_000] {
        let requested = later(head, after)?;
        match harness.within("compact", client.store.compact(requested)).await? {
            Err(Error::TooLarge { requested: r, head: h }) => {
                ensure::equal("what the refusal names", (r, h), (requested, head))?;
            }
            other => return Err(ensure::broken("TooLarge", &other)),
        }
        ensure::equal("where the history stands", client.state().await?, before)?;
    }
    Ok(())
}

/// How many writers there are.
const WRITERS: usize = 3;

pub(super) async fn compact_concurrent_with_writes(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let commits = harness.times(600, 40);
    let last = later(begin, commits * WRITERS)?;
    let writing = Arc::new(AtomicUsize::new(WRITERS));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, writing) = (client.clone(), Arc::clone(&writing));
        writers.spawn(async move {
            let written = write(&client, &format!("k{writer}"), commits).await;
            writing.fetch_sub(1, Ordering::SeqCst);
            written
        });
    }
    let mut others = JoinSet::new();
    others.spawn(compact_meanwhile(client.clone(), Arc::clone(&writing)));
    others.spawn(follow_meanwhile(client.clone(), begin, Arc::clone(&writing)));
    let mut revisions: Vec<_> = all(writers).await?.into_iter().flatten().collect();
    all(others).await?;
    revisions.sort();
    let expected: Vec<_> = (begin.get() + 1..=last.get()).collect();
    ensure::equal("the revisions of all commits", revisions.iter().map(|at| at.get()).collect(), expected)?;
    ensure::equal("the head", client.head().await?, last)?;
    for writer in 0..WRITERS {
        let entry = client.entry(&format!("k{writer}")).await?;
        let facts = entry.map(|entry| (entry.value.clone(), entry.version));
        ensure::equal("what lives", facts, Some((text(commits - 1), commits as u64)))?;
    }
    Ok(())
}

async fn write(client: &Client, name: &str, commits: usize) -> Outcome<Vec<Revision>> {
    let mut revisions = vec![client.create(name, 0).await?];
    for number in 1..commits {
        revisions.push(client.update(name, number, revisions[number - 1]).await?);
        tokio::task::yield_now().await;
    }
    Ok(revisions)
}

async fn compact_meanwhile(client: Client, writing: Arc<AtomicUsize>) -> Outcome {
    let mut floor = client.state().await?.floor;
    while writing.load(Ordering::SeqCst) > 0 {
        let before = client.state().await?;
        let compacted = client.compact(before.head).await?;
        let after = client.state().await?;
        ensure::that(&format!("a floor of {floor} or more"), compacted >= floor, &compacted)?;
        ensure::that(
            "a floor between those asked for and the head",
            compacted >= before.head && after.floor <= after.head,
            &after,
        )?;
        floor = compacted;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Follows as well as it can, and begins anew where it expired: what it is given is dense.
async fn follow_meanwhile(client: Client, begin: Revision, writing: Arc<AtomicUsize>) -> Outcome {
    let mut at = begin;
    while writing.load(Ordering::SeqCst) > 0 {
        let mut feed = match client.store.tail(at).await {
            Ok(tail) => Feed::new(tail, client.patience),
            Err(Error::Expired { floor, .. }) => {
                ensure::that(&format!("a floor after {at}"), floor > at, &floor)?;
                at = client.list_things().await?.revision;
                continue;
            }
            Err(error) => return Err(failed("tail", error)),
        };
        let head = client.head().await?;
        while at < head {
            match feed.next_or_end().await? {
                Ok(batch) => {
                    ensure::equal("the next batch beside a compaction", batch.revision, later(at, 1)?)?;
                    at = batch.revision;
                }
                Err(TailEnd::Expired { .. }) => break,
                Err(end) => return Err(ensure::broken("Expired", &end)),
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
