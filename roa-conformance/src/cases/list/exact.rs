//! Lists of a revision, or not older than one.

use std::time::Duration;

use roa_core::{At, Error, ListRequest};

use crate::cases::history::{History, rows};
use crate::client::{things, things_in};
use crate::failure::{Outcome, ensure};
use crate::harness::{Harness, earlier, later};

pub(super) async fn exact_past_equals_model(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let mut history = History::new(&client, 32).await?;
    history.run(harness.times(400, 60)).await?;
    for (revision, model) in &history.past {
        for prefix in [things(), things_in("m")] {
            let page = client.list(ListRequest::new(prefix.clone()).at(At::Exact(*revision))).await?;
            ensure::equal("the list's revision", page.revision, *revision)?;
            ensure::equal(&format!("the list at {revision}"), rows(&page.entries), model.rows(&prefix))?;
        }
    }
    Ok(())
}

pub(super) async fn exact_below_floor_expired(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let mut history = History::new(&client, 33).await?;
    history.run(40).await?;
    let (floor, model) = history.past[20].clone();
    ensure::equal("the floor", client.compact(floor).await?, floor)?;
    let page = client.list(ListRequest::new(things()).at(At::Exact(floor))).await?;
    ensure::equal("the list at the floor", rows(&page.entries), model.rows(&things()))?;
    let head = client.head().await?;
    for below in [1, 2, 20] {
        let request = ListRequest::new(things()).at(At::Exact(earlier(floor, below)?));
        match client.list_refused("a list of what is no longer kept", request).await? {
            Error::Expired { floor: f, head: h } => {
                ensure::equal("floor and head of the refusal", (f, h), (floor, head))?;
            }
            other => return Err(ensure::broken("Expired", &other)),
        }
    }
    Ok(())
}

pub(super) async fn exact_future_toolarge(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let head = client.create("a", "1").await?;
    for after in [1, 2, 1_000] {
        let requested = later(head, after)?;
        let request = ListRequest::new(things()).at(At::Exact(requested));
        let error = client.list_refused("a list of what has not been reached", request).await?;
        ensure_too_large(&error, requested, head)?;
    }
    let page = client.list(ListRequest::new(things()).at(At::Exact(head))).await?;
    ensure::equal("the list at the head", (page.revision, page.entries.len()), (head, 1))
}

pub(super) async fn not_older_than_waits_then_toolarge(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let first = client.create("a", "1").await?;
    let head = client.create("b", "1").await?;
    client.compact(head).await?;
    for old in [first, head] {
        let page = client.list(ListRequest::new(things()).at(At::NotOlderThan(old))).await?;
        ensure::equal("the list", (page.revision, page.entries.len()), (head, 2))?;
    }
    let requested = later(head, 1)?;
    let request = ListRequest::new(things()).at(At::NotOlderThan(requested));
    let error = client.list_refused("a list of what has not been reached", request.clone()).await?;
    ensure_too_large(&error, requested, head)?;
    // Who wants to wait asks the hub, which knows when the revision has come.
    let (hub, clock) = (harness.hub(&client).await?, harness.clock());
    let soon = hub.hub.wait_for(requested, clock.monotonic() + Duration::from_millis(20)).await;
    ensure::that("TooLarge after a while", matches!(soon, Err(Error::TooLarge { .. })), &soon)?;
    let deadline = clock.monotonic() + harness.settings.patience;
    let (reached, written) = tokio::join!(hub.hub.wait_for(requested, deadline), client.create("c", "1"));
    ensure::equal("the awaited revision", written?, requested)?;
    ensure::that("the hub to reach it", reached.is_ok(), &reached)?;
    ensure::equal("the list", client.list(request).await?.entries.len(), 3)
}

fn ensure_too_large(error: &Error, requested: roa_core::Revision, head: roa_core::Revision) -> Outcome {
    match error {
        Error::TooLarge { requested: r, head: h } => {
            ensure::equal("what the refusal names", (*r, *h), (requested, head))
        }
        other => Err(ensure::broken("TooLarge", other)),
    }
}
