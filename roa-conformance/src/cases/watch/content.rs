//! What is said of a change: which key, what it was, what it is.

use roa_core::{Change, ChangeKind, Key, Start};
use roa_runtime::Selection;

use crate::cases::history::{History, row};
use crate::client::{GROUP, key, key_in, text, things, things_in};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;
use crate::watching::short;

pub(super) async fn delete_has_prev_after_compaction(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let created = client.create("a", "first").await?;
    let updated = client.update("a", "last", created).await?;
    let head = client.put("b", "1").await?;
    hub.reach(head).await?;
    ensure::equal("the floor", client.compact(head).await?, head)?;
    let (mut feed, mut watch) = (client.feed(head).await?, hub.watch_things(Start::After(head)).await?);
    let deleted = client.delete("a").await?;
    client.compact(head).await?;
    let batch = feed.next().await?;
    match batch.changes.first() {
        Some(Change::Delete { previous }) => {
            let expected = (key("a"), "last".to_owned(), updated, created);
            ensure::equal("what was deleted", (row(previous), batch.revision), (expected, deleted))?;
        }
        other => return Err(ensure::broken("a deletion", &other)),
    }
    let (revision, events) = watch.next_batch().await?;
    let seen: Vec<_> =
        events.iter().map(|event| (event.change, event.key().clone(), event.entry.value.clone())).collect();
    ensure::equal(
        "the deletion's event",
        (revision, seen),
        (deleted, vec![(ChangeKind::Deleted, key("a"), text("last"))]),
    )?;
    // Opened anew, with everything older gone, it is still whole.
    let again = client.feed(head).await?.next().await?;
    ensure::equal("the deletion in a new feed", again, batch)
}

pub(super) async fn create_update_delete_kinds(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let mut watch = hub.watch_things(Start::Now).await?;
    let mut feed = client.feed_from_now().await?;
    let created = client.create("a", "1").await?;
    let updated = client.update("a", "2", created).await?;
    let deleted = client.delete("a").await?;
    let again = client.create("a", "3").await?;
    let batches = feed.until(again).await?;
    let seen: Vec<_> = batches.iter().flat_map(|batch| batch.changes.iter()).map(shape).collect();
    let expected = [(false, true), (true, true), (true, false), (false, true)];
    ensure::equal("whether something was, and is there", seen, expected.to_vec())?;
    let events = watch.events_until(again).await?;
    let kinds = [ChangeKind::Added, ChangeKind::Modified, ChangeKind::Deleted, ChangeKind::Added];
    let expected = kinds.into_iter().zip([created, updated, deleted, again]);
    ensure::equal("the events", short(&events), expected.map(|(kind, at)| (kind, "a".to_owned(), at.get())).collect())
}

/// Whether there was something before, and whether there is after.
fn shape(change: &Change) -> (bool, bool) {
    (change.previous().is_some(), change.current().is_some())
}

pub(super) async fn prev_value_correct(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let mut watch = hub.watch_things(Start::After(begin)).await?;
    let mut history = History::new(&client, 54).await?;
    history.run(harness.times(300, 60)).await?;
    let head = client.head().await?;
    let mut events = watch.events_until(head).await?.into_iter();
    let batches = client.feed(begin).await?.until(head).await?;
    for (pair, batch) in history.past.windows(2).zip(&batches) {
        let [(_, before), (revision, after)] = pair else { continue };
        ensure::equal("the batch", batch.revision, *revision)?;
        for change in batch.changes.iter() {
            let at = format!("{} at {revision}", change.key());
            let (was, is) = (change.previous().map(|e| row(e)), change.current().map(|e| row(e)));
            ensure::equal(&format!("what was there before {at}"), was.as_ref(), before.get(change.key()))?;
            ensure::equal(&format!("what is there after {at}"), is.as_ref(), after.get(change.key()))?;
            let event = events.next().ok_or_else(|| ensure::broken("an event for each change", &at))?;
            ensure::equal(&format!("what the event of {at} says was there"), event.previous.map(|e| row(&e)), was)?;
        }
    }
    Ok(())
}

pub(super) async fn single_key_watch(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let siblings = [key("on"), key("one-more"), key("one\u{1}"), key_in("nn", "one"), key_in("", "one")];
    for sibling in &siblings {
        client.commit(client.txn().create(sibling.clone(), text("0"))).await?;
    }
    let created = client.create("one", "1").await?;
    let mut watch = hub.watch(Selection::key(key("one")), Start::Snapshot).await?;
    let snapshot = watch.events_until(created).await?;
    ensure::equal(
        "the snapshot of one key",
        short(&snapshot),
        vec![(ChangeKind::Added, "one".to_owned(), created.get())],
    )?;
    let mut feed = client.feed(created).await?;
    for sibling in &siblings {
        let current = client.get(sibling).await?.entry.map_or(created, |entry| entry.revision);
        client.commit(client.txn().update(sibling.clone(), text("1"), current)).await?;
    }
    let updated = client.update("one", "2", created).await?;
    let deleted = client.delete("one").await?;
    let keys: Vec<_> = feed
        .until(deleted)
        .await?
        .iter()
        .flat_map(|b| b.changes.iter().map(|c| c.key().clone()).collect::<Vec<_>>())
        .collect();
    let expected: Vec<_> = siblings.into_iter().chain([key("one"), key("one")]).collect();
    ensure::equal("the keys in the log", keys, expected)?;
    let events = watch.events_until(deleted).await?;
    let expected = [(ChangeKind::Modified, updated), (ChangeKind::Deleted, deleted)];
    ensure::equal(
        "the events of one key",
        short(&events),
        expected.map(|(kind, at)| (kind, "one".to_owned(), at.get())).to_vec(),
    )
}

pub(super) async fn prefix_no_sibling_leak(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let hub = harness.hub(&client).await?;
    let begin = client.head().await?;
    let mut watches = [
        (hub.watch(Selection::prefix(things_in("a")), Start::After(begin)).await?, 1),
        (hub.watch(Selection::prefix(things_in("")), Start::After(begin)).await?, 1),
        (hub.watch(Selection::prefix(things()), Start::After(begin)).await?, 5),
    ];
    let foreign =
        |group, resource| Key::new(group, resource, "a", "x").map_err(|error| ensure::broken("a key", &error));
    let mut keys =
        vec![key_in("ab", "x"), key_in("a-b", "x"), key_in("a\u{1}", "x"), key_in("a", "x"), key_in("", "x")];
    keys.push(foreign(GROUP, "thing")?);
    keys.push(foreign(GROUP, "thingsx")?);
    keys.push(foreign("conformance.roa.de", "things")?);
    for key in &keys {
        client.commit(client.txn().create(key.clone(), text("1"))).await?;
    }
    let head = client.head().await?;
    let log = client.feed(begin).await?.until(head).await?;
    let logged = log.iter().filter_map(|batch| batch.changes.first()).map(|change| change.key().clone());
    ensure::equal("the keys in the log", logged.collect(), keys)?;
    for (watch, count) in &mut watches {
        let seen: Vec<_> = watch.events_until(head).await?.iter().map(|event| event.key().clone()).collect();
        ensure::equal(&format!("how many of {seen:?} there are"), seen.len(), *count)?;
    }
    Ok(())
}
