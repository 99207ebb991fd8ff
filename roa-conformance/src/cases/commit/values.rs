//! Keys and values come back as they went in.

use roa_core::{Batch, Entry, Format, Key, ListRequest, Revision, TxnId, Value};

use crate::client::{Client, key, key_in, things};
use crate::failure::{Outcome, ensure};
use crate::harness::Harness;

/// Names that are hard to store: control characters, quotes, wildcards, combining marks, the ends of the planes.
const NAMES: &[&str] = &[
    "\u{1}",
    "\u{7f}",
    " ",
    "'",
    "\"",
    "\\",
    "%_*?[]",
    "a\nb",
    "é",
    "e\u{301}",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
    "../../etc",
    "{tag}",
];

pub(super) async fn binary_keys_and_values_roundtrip(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let begin = client.head().await?;
    let mut written = Vec::new();
    for (number, name) in NAMES.iter().enumerate() {
        let value = if number % 2 == 0 { Value::opaque(every_byte(number)) } else { Value::json(every_byte(number)) };
        let key = key_in(NAMES[NAMES.len() - 1 - number], name);
        let txn = client.txn().create(key.clone(), value.clone());
        let id = txn.id;
        written.push((key, value, client.commit(txn).await?, id));
    }
    for (key, value, revision, txn) in &written {
        let entry = client.get(key).await?.entry;
        ensure::equal("an entry", entry.as_deref().map(facts), Some((key.clone(), value.clone(), *revision, *txn)))?;
        let writer = entry.map(|entry| entry.writer.to_string());
        ensure::equal("its writer", writer.as_deref(), Some("conformance"))?;
    }
    let last = client.head().await?;
    let logged = client.feed(begin).await?.until(last).await?;
    ensure::equal("what the feed gives", logged.iter().filter_map(|batch| only(batch)).collect(), written.clone())?;
    written.sort_by(|a, b| a.0.cmp(&b.0));
    ensure_listed(&client, written).await
}

async fn ensure_listed(client: &Client, written: Vec<(Key, Value, Revision, TxnId)>) -> Outcome {
    let listed = client.list(ListRequest::new(things())).await?.entries;
    ensure::equal("what is listed", listed.iter().map(|entry| facts(entry)).collect(), written)
}

fn only(batch: &Batch) -> Option<(Key, Value, Revision, TxnId)> {
    batch.changes.first()?.current().map(|entry| facts(entry))
}

fn facts(entry: &Entry) -> (Key, Value, Revision, TxnId) {
    (entry.key.clone(), entry.value.clone(), entry.revision, entry.txn)
}

/// All bytes, beginning with another one each time.
fn every_byte(first: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=u8::MAX).collect();
    bytes.rotate_left(first % 256);
    bytes
}

pub(super) async fn empty_value_ok(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let created = client.create("a", "").await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), created, "")?;
    let updated = client.update("a", "", created).await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), updated, "")?;
    let json = client.commit(client.txn().create(key("b"), Value::json(""))).await?;
    let b = client.entry("b").await?;
    ensure::entry("b", b.as_ref(), json, "")?;
    ensure::equal("the format of b", b.map(|entry| entry.value.format), Some(Format::Json))?;
    ensure::equal("how many are listed", client.list_things().await?.entries.len(), 2)?;
    client.delete("a").await?;
    ensure::equal("a after its deletion", client.entry("a").await?, None)
}
