//! Transactions: several writes and guards, all or nothing.

use roa_core::{CommitError, Expect, Key, Revision, Txn, TxnError, Value};

use crate::client::{Client, key, text};
use crate::failure::{Outcome, ensure};
use crate::feed::writes;
use crate::harness::Harness;

pub(super) async fn multi_op_one_revision(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let (a, b) = (client.create("a", "1").await?, client.create("b", "1").await?);
    let mut feed = client.feed(b).await?;
    let txn = client.txn().create(key("c"), text("1")).delete(key("a"), a).update(key("b"), text("2"), b);
    let id = txn.id;
    let revision = client.commit(txn).await?;
    client.follows("the revision of a transaction", b, revision)?;
    ensure::equal("a", client.entry("a").await?, None)?;
    ensure::entry("b", client.entry("b").await?.as_ref(), revision, "2")?;
    ensure::entry("c", client.entry("c").await?.as_ref(), revision, "1")?;
    let batch = feed.next().await?;
    let expected = vec![(key("c"), Some("1".to_owned())), (key("a"), None), (key("b"), Some("2".to_owned()))];
    ensure::equal("the writes of the batch, in the order of the transaction", writes(&batch), expected)?;
    ensure::equal("revision and transaction of the batch", (batch.revision, batch.txn), (revision, id))
}

pub(super) async fn guard_pass(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let owner = client.create("owner", "me").await?;
    let mut feed = client.feed(owner).await?;
    let txn = client.txn().guard(key("owner"), Expect::At(owner)).guard(key("nobody"), Expect::Absent);
    let revision = client.commit(txn.create(key("a"), text("1"))).await?;
    ensure::entry("a", client.entry("a").await?.as_ref(), revision, "1")?;
    ensure::entry("the guarded key", client.entry("owner").await?.as_ref(), owner, "me")?;
    ensure::equal("the writes of the batch", writes(&*feed.next().await?), vec![(key("a"), Some("1".to_owned()))])
}

pub(super) async fn guard_stale_rejected_nothing_applied(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let old = client.create("owner", "me").await?;
    let new = client.update("owner", "you", old).await?;
    ensure_guarded(&client, "owner", Expect::At(old), Some(new)).await?;
    ensure_guarded(&client, "owner", Expect::Absent, Some(new)).await?;
    ensure_guarded(&client, "nobody", Expect::At(new), None).await?;
    // A guard is looked at before the writes: who lost its ownership is told so, whatever it wanted to write.
    let both = client.txn().guard(key("owner"), Expect::At(old)).create(key("owner"), text("1"));
    let error = client.refused("a stale guard and a stale write", both).await?;
    ensure::that("a guard that failed", matches!(error, CommitError::GuardFailed { .. }), &error)
}

async fn ensure_guarded(client: &Client, name: &str, expect: Expect, current: Option<Revision>) -> Outcome {
    let txn = client.txn().guard(key(name), expect).create(key("a"), text("1")).create(key("b"), text("1"));
    match client.refused("a transaction with a stale guard", txn).await? {
        CommitError::GuardFailed { key: named, current: seen } => {
            ensure::equal("key and revision of the failed guard", (named, seen), (key(name), current))?;
        }
        other => return Err(ensure::broken("a guard that failed", &other)),
    }
    let written = [client.entry("a").await?, client.entry("b").await?];
    ensure::equal("what was written behind a stale guard", written, [None, None])
}

pub(super) async fn duplicate_key_in_txn_rejected(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let revision = client.create("a", "1").await?;
    let twice = client.txn().update(key("a"), text("2"), revision).update(key("a"), text("3"), revision);
    ensure_invalid(&client, "two writes of one key", twice, &TxnError::DuplicateKey(key("a"))).await?;
    let both =
        client.txn().create(key("b"), text("1")).update(key("a"), text("2"), revision).delete(key("a"), revision);
    ensure_invalid(&client, "a write and a deletion of one key", both, &TxnError::DuplicateKey(key("a"))).await?;
    ensure::equal("b, whose transaction was refused", client.entry("b").await?, None)?;
    ensure::entry("a", client.entry("a").await?.as_ref(), revision, "1")
}

async fn ensure_invalid(client: &Client, what: &str, txn: Txn, expected: &TxnError) -> Outcome {
    match client.refused(what, txn).await? {
        CommitError::Invalid(error) => ensure::equal(what, &error, expected),
        other => Err(ensure::broken("an invalid transaction", &other)),
    }
}

pub(super) async fn limits_key_value_ops(harness: Harness) -> Outcome {
    let client = harness.store().await?;
    let creates = |count: usize| {
        (0..count).fold(client.txn(), |txn, number| txn.create(key(&format!("k{number}")), text(number)))
    };
    let guarded = |count: usize| (0..count).fold(creates(1), |txn, _| txn.guard(key("g"), Expect::Absent));
    let bytes = |count: usize, size| {
        (0..count).fold(client.txn(), |txn, number| txn.create(key(&format!("v{number}")), zeros(size)))
    };
    let largest = bytes(1, Value::MAX_BYTES);
    for (what, txn) in [("no write", client.txn()), ("129 writes", creates(129)), ("129 guards", guarded(129))] {
        ensure_refused_as_validated(&client, what, txn).await?;
    }
    let too_large =
        [("a value of 1.5 MiB and a byte", bytes(1, Value::MAX_BYTES + 1)), ("4.5 MiB", bytes(3, Value::MAX_BYTES))];
    for (what, txn) in too_large {
        ensure_refused_as_validated(&client, what, txn).await?;
    }
    ensure::equal("what refused transactions wrote", client.list_things().await?.entries, vec![])?;
    client.commit(largest).await?;
    client.commit(creates(128)).await?;
    let longest = longest_key();
    client.commit(client.txn().create(longest.clone(), text("1"))).await?;
    ensure::equal("how many are listed", client.list_things().await?.entries.len(), 130)?;
    let found = client.get(&longest).await?.entry.is_some();
    ensure::that("the longest key to be there", found, &found)
}

/// The store must say what the transaction's own check says.
async fn ensure_refused_as_validated(client: &Client, what: &str, txn: Txn) -> Outcome {
    match txn.validate() {
        Err(expected) => ensure_invalid(client, what, txn, &expected).await,
        Ok(()) => Err(ensure::broken("a transaction over the limits", &what)),
    }
}

fn zeros(size: usize) -> Value {
    Value::opaque(vec![0; size])
}

/// A key of as many bytes as one may have: with one more there is no such key.
fn longest_key() -> Key {
    let frame = key("n").encoded().len() - 1;
    key(&"n".repeat(Key::MAX_BYTES - frame))
}
