//! Objects that come into a selection and leave it.

use roa_core::{ChangeKind, LabelSelector, Revision, Start, Value};
use roa_runtime::Selection;

use crate::client::{Client, key, object, things};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;
use crate::watching::Seen;

fn web() -> Selection {
    Selection::prefix(things()).labels(LabelSelector::everything().eq("tier", "web"))
}

fn thing(name: &str, tier: &str, size: usize) -> Value {
    object(&key(name), tier, size)
}

/// Kind, name, revision and body.
type Event = (ChangeKind, String, Revision, Value);

fn events(seen: &[Seen]) -> Vec<Event> {
    let event = |seen: &Seen| (seen.change, seen.key().name().to_owned(), seen.revision, seen.entry.value.clone());
    seen.iter().map(event).collect()
}

async fn write(client: &Client, name: &str, value: Value) -> Outcome<Revision> {
    let txn = match client.entry(name).await? {
        Some(entry) => client.txn().update(key(name), value, entry.revision),
        None => client.txn().create(key(name), value),
    };
    client.commit(txn).await
}

pub(super) async fn filter_enter_leave(harness: Harness) -> Outcome {
    use ChangeKind::{Added, Deleted, Modified};
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let mut watch = hub.watch(web(), Start::Now).await?;
    let (first, second) = (thing("a", "web", 1), thing("a", "web", 2));
    write(&client, "a", thing("a", "db", 0)).await?;
    let entered = write(&client, "a", first.clone()).await?;
    let changed = write(&client, "a", second.clone()).await?;
    let left = write(&client, "a", thing("a", "db", 3)).await?;
    write(&client, "a", thing("a", "db", 4)).await?;
    let back = write(&client, "a", first.clone()).await?;
    let gone = client.delete("a").await?;
    write(&client, "a", thing("a", "db", 5)).await?;
    let last = client.delete("a").await?;
    let expected: Vec<Event> = [
        (Added, entered, first.clone()),
        (Modified, changed, second.clone()),
        (Deleted, left, second),
        (Added, back, first.clone()),
        (Deleted, gone, first),
    ]
    .into_iter()
    .map(|(kind, at, value)| (kind, "a".to_owned(), at, value))
    .collect();
    ensure::equal("what is seen through the selection", events(&watch.events_until(last).await?), expected)
}

pub(super) async fn filter_change_same_commit(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let a = write(&client, "a", thing("a", "web", 1)).await?;
    let b = write(&client, "b", thing("b", "db", 1)).await?;
    let c = write(&client, "c", thing("c", "web", 1)).await?;
    let (mut feed, mut watch) = (client.feed(c).await?, hub.watch(web(), Start::After(c)).await?);
    let txn = client.txn().update(key("a"), thing("a", "db", 2), a).update(key("b"), thing("b", "web", 2), b);
    let changed = client.commit(txn.update(key("c"), thing("c", "web", 2), c)).await?;
    let batch = feed.next().await?;
    ensure::equal("the batch", (batch.revision, batch.changes.len()), (changed, 3))?;
    let (at, seen) = watch.next_batch().await?;
    let expected: Vec<Event> = vec![
        (ChangeKind::Deleted, "a".to_owned(), changed, thing("a", "web", 1)),
        (ChangeKind::Added, "b".to_owned(), changed, thing("b", "web", 2)),
        (ChangeKind::Modified, "c".to_owned(), changed, thing("c", "web", 2)),
    ];
    ensure::equal("the events of one commit, together", (at, events(&seen)), (changed, expected))
}
