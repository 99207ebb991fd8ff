//! How far a watch says that it is.

use std::collections::BTreeMap;

use roa_core::{Revision, Start};
use roa_runtime::Selection;
use tokio::task::JoinSet;

use crate::cases::history::{History, row};
use crate::client::{Client, things, things_in};
use crate::failure::{Outcome, ensure};
use crate::harness::{Harness, all};
use crate::watching::Told;

pub(super) async fn progress_after_events(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let mut watch = hub.watch(Selection::prefix(things_in("m")), Start::After(begin)).await?;
    let mut history = History::new(&client, 55).await?;
    let mut seen: BTreeMap<Revision, usize> = BTreeMap::new();
    for _ in 0..harness.times(100, 10) {
        history.run(5).await?;
        let (head, _) = history.now();
        for told in watch.until(head).await? {
            match told {
                Told::Batch(revision, events) => *seen.entry(revision).or_default() += events.len(),
                Told::Progress(at) => ensure_all_before(&history, &seen, at.revision)?,
                Told::Reached(at) => ensure_all_before(&history, &seen, at)?,
                other => return Err(ensure::broken("events and progress", &other)),
            }
        }
    }
    Ok(())
}

/// Everything up to a revision was delivered, and nothing later.
fn ensure_all_before(history: &History, seen: &BTreeMap<Revision, usize>, at: Revision) -> Outcome {
    let prefix = things_in("m");
    let changed = |pair: &[(Revision, crate::cases::history::Model)]| {
        let [(_, before), (revision, after)] = pair else { return None };
        let (before, after) = (before.rows(&prefix), after.rows(&prefix));
        let written = after.iter().filter(|row| !before.contains(row)).count();
        let removed = before.iter().filter(|row| !after.iter().any(|other| other.0 == row.0)).count();
        (written + removed > 0 && *revision <= at).then_some((*revision, written + removed))
    };
    let expected: BTreeMap<_, _> = history.past.windows(2).filter_map(changed).collect();
    ensure::equal(&format!("the events that were delivered when the watch was at {at}"), seen.clone(), expected)
}

pub(super) async fn progress_without_matches(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let mut nothing = hub.watch(Selection::prefix(things_in("elsewhere")), Start::Now).await?;
    let mut snapshot = hub.watch(Selection::prefix(things_in("elsewhere")), Start::Snapshot).await?;
    for number in 0..harness.times(20, 5) {
        let head = client.put("a", number).await?;
        for watch in [&mut nothing, &mut snapshot] {
            let told = harness.within("progress of a watch that sees nothing", watch.until(head)).await??;
            let silent = told.iter().all(|told| matches!(told, Told::Progress(_) | Told::Synced(_)));
            ensure::that("progress alone", silent, &told)?;
        }
    }
    Ok(())
}

pub(super) async fn progress_monotone(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let commits = harness.times(500, 30);
    let last = crate::harness::later(begin, commits)?;
    let mut readers = JoinSet::new();
    for namespace in ["n", "elsewhere"] {
        let mut watch = hub.watch(Selection::prefix(things_in(namespace)), Start::After(begin)).await?;
        readers.spawn(async move { watch.until(last).await });
    }
    let mut watch = hub.watch(Selection::prefix(things()), Start::Snapshot).await?;
    readers.spawn(async move { watch.until(last).await });
    write(&client, commits).await?;
    for told in all(readers).await? {
        ensure_rising(&told)?;
    }
    Ok(())
}

async fn write(client: &Client, commits: usize) -> Outcome {
    for number in 0..commits {
        client.put("a", number).await?;
        if number % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// No item goes back behind one before, and no event is of before what was already reached.
fn ensure_rising(told: &[Told]) -> Outcome {
    let mut reached = None;
    for told in told {
        match told {
            Told::Batch(revision, events) => {
                ensure::that(&format!("events after {reached:?}"), Some(*revision) > reached, events)?;
            }
            Told::Reached(at) => reached = Some(*at),
            Told::Progress(position) | Told::Synced(position) => {
                ensure::that(&format!("{reached:?} or later"), Some(position.revision) >= reached, position)?;
                reached = Some(position.revision);
            }
            Told::Page(events) => {
                ensure::that("a page of what is there", reached.is_none(), &events.first().map(|e| row(&e.entry)))?;
            }
        }
    }
    Ok(())
}
