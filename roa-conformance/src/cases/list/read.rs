//! What is read, in which order.

use roa_core::{Key, KeyPrefix, ListRequest};

use crate::client::{Client, GROUP, key, key_in, text, things, things_in};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;

pub(super) async fn get_latest_after_ack(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let other = client.clone();
    for number in 0..harness.times(200, 20) {
        let name = format!("k{}", number % 5);
        let committed = client.put(&name, number).await?;
        let read = other.get(&key(&name)).await?;
        ensure::entry("what was acknowledged", read.entry.as_ref(), committed, &number.to_string())?;
        ensure::that(&format!("a read at {committed} or later"), read.revision >= committed, &read.revision)?;
        let page = other.list_things().await?;
        let newest = page.entries.iter().map(|entry| entry.revision).max();
        ensure::equal("the newest entry that is listed", newest, Some(committed))?;
        ensure::that(&format!("a list at {committed} or later"), page.revision >= committed, &page.revision)?;
    }
    let deleted = client.delete("k0").await?;
    let read = other.get(&key("k0")).await?;
    ensure::equal("what was deleted", read.entry, None)?;
    ensure::that(&format!("a read at {deleted} or later"), read.revision >= deleted, &read.revision)
}

/// In bytewise order. By length, by case, by a language or in UTF-16 it would be another one.
const SORTED: &[&str] =
    &["A", "B", "Z", "a", "a-", "a.", "a0", "aa", "ab", "a~", "b", "z", "é", "\u{ffff}", "\u{10000}", "\u{10ffff}"];

pub(super) async fn list_sorted_bytewise(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    // 7 and the number of names have no common divisor: each is written once, in another order.
    for number in 0..SORTED.len() {
        client.create(SORTED[number * 7 % SORTED.len()], number).await?;
    }
    ensure::equal(
        "the names in the list",
        names(&client, things()).await?,
        SORTED.iter().map(ToString::to_string).collect(),
    )?;
    for (namespace, name) in [("m", "z"), ("nn", "a"), ("", "z")] {
        client.commit(client.txn().create(key_in(namespace, name), text("1"))).await?;
    }
    let keys: Vec<_> = client.list_things().await?.entries.iter().map(|entry| entry.key.clone()).collect();
    let mut sorted = keys.clone();
    sorted.sort_by(|a, b| a.encoded().as_bytes().cmp(b.encoded().as_bytes()));
    ensure::equal("the keys in the list", keys, sorted)
}

async fn names(client: &Client, prefix: KeyPrefix) -> Outcome<Vec<String>> {
    let page = client.list(ListRequest::new(prefix)).await?;
    Ok(page.entries.iter().map(|entry| entry.key.name().to_owned()).collect())
}

pub(super) async fn prefix_boundaries_ff_and_separator(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let namespaces = ["", "a", "a\u{1}", "a-", "a\u{ffff}", "a\u{10ffff}", "aa", "b"];
    let own = ["\u{1}", "a", "\u{ffff}", "\u{10ffff}", "\u{10ffff}\u{10ffff}"];
    let mut keys = Vec::new();
    for (namespace, name) in namespaces.iter().flat_map(|namespace| own.iter().map(move |name| (namespace, name))) {
        keys.push(key_in(namespace, name));
    }
    for (group, resource) in
        [(GROUP, "thing"), (GROUP, "things-"), (GROUP, "thingsx"), ("conformance.roa.de", "things")]
    {
        let foreign = Key::new(group, resource, "a", "a").map_err(|error| ensure::broken("a key", &error))?;
        client.commit(client.txn().create(foreign, text("1"))).await?;
    }
    for key in &keys {
        client.commit(client.txn().create(key.clone(), text("1"))).await?;
    }
    for namespace in namespaces {
        ensure::equal(
            &format!("the names in {namespace:?}"),
            names(&client, things_in(namespace)).await?,
            own.map(str::to_owned).to_vec(),
        )?;
    }
    ensure::equal("how many things there are", names(&client, things()).await?.len(), keys.len())?;
    ensure::equal("how many keys there are", names(&client, KeyPrefix::everything()).await?.len(), keys.len() + 4)?;
    let exactly = names(&client, KeyPrefix::exactly(&key_in("a", "a"))).await?;
    ensure::equal("what begins as one key does", exactly, vec!["a".to_owned()])
}

pub(super) async fn empty_list_returns_head(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let page = client.list_things().await?;
    ensure::equal("the list of a new store", (page.revision, page.entries.len()), (client.head().await?, 0))?;
    client.create("a", "1").await?;
    let head = client.delete("a").await?;
    let page = client.list_things().await?;
    ensure::equal("the list after all was deleted", (page.revision, page.entries.len()), (head, 0))?;
    ensure::equal("whether there is a next page", page.next, None)?;
    client.create("a", "1").await?;
    let page = client.list(ListRequest::new(things_in("elsewhere"))).await?;
    ensure::equal("the list of an empty namespace", (page.revision, page.entries.len()), (client.head().await?, 0))?;
    let read = client.get(&key("nobody")).await?;
    ensure::equal("the read of nothing", (read.revision, read.entry), (client.head().await?, None))
}
