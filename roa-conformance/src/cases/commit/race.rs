//! Writers that want the same key at once.

use std::sync::Arc;

use roa_core::{CommitError, Revision};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::client::{Client, key, text};
use crate::failure::{CaseFailure, Outcome, ensure};
use crate::harness::{Harness, all};

pub(super) async fn two_writers_one_winner(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let mut last = client.create("a", "0").await?;
    for round in 0..harness.times(1_000, 50) {
        last = race(&client, round, last).await?;
    }
    Ok(())
}

/// Two writers update a from the same revision at once: one wins, and the other is told which.
async fn race(client: &Client, round: usize, from: Revision) -> Outcome<Revision> {
    let start = Arc::new(Barrier::new(2));
    let mut writers = JoinSet::new();
    for writer in 0..2 {
        let (client, start) = (client.clone(), Arc::clone(&start));
        writers.spawn(async move {
            start.wait().await;
            client.attempt(client.txn().update(key("a"), text(format!("{round}/{writer}")), from)).await
        });
    }
    let answers = all(writers).await?;
    let won: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).copied().collect();
    let lost: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).map(current).collect();
    ensure::equal("how many of two writers won", won.len(), 1)?;
    ensure::equal("what the loser was told", lost, vec![Some(won[0])])?;
    ensure::equal("the revision of a", client.entry("a").await?.map(|entry| entry.revision), Some(won[0]))?;
    Ok(won[0])
}

fn current(error: &CommitError) -> Option<Revision> {
    match error {
        CommitError::Conflict { current, .. } => *current,
        _ => None,
    }
}

pub(super) async fn counter_increments_64_tasks_exact(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    client.create("counter", 0).await?;
    let (tasks, increments) = (64, harness.times(20, 4));
    let start = Arc::new(Barrier::new(tasks));
    let mut writers = JoinSet::new();
    for _ in 0..tasks {
        let (client, start) = (client.clone(), Arc::clone(&start));
        writers.spawn(async move {
            start.wait().await;
            for _ in 0..increments {
                increment(&client).await?;
            }
            Ok(())
        });
    }
    all(writers).await?;
    ensure::equal("the counter", counted(&client).await?.0, (tasks * increments) as u64)
}

async fn increment(client: &Client) -> Outcome {
    loop {
        let (count, revision) = counted(client).await?;
        // So that others come in between, however fast the store is.
        tokio::task::yield_now().await;
        let txn = client.txn().update(key("counter"), text(count + 1), revision);
        match client.attempt(txn).await? {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(CaseFailure::Commit { what: "the counter".to_owned(), error: Arc::new(error) }),
        }
    }
}

async fn counted(client: &Client) -> Outcome<(u64, Revision)> {
    let entry = client.entry("counter").await?.ok_or_else(|| ensure::broken("a counter", &"nothing"))?;
    let count = String::from_utf8_lossy(&entry.value.bytes).parse();
    Ok((count.map_err(|_| ensure::broken("a number", &entry.value))?, entry.revision))
}
