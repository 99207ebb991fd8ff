//! Made-up objects of about 1 KiB.

use std::sync::Arc;

use roa_core::{Batch, Change, Entry, Key, KeyPrefix, Revision, SeededRandom, Timestamp, TxnId, Value};

const GROUP: &str = "bench.example.com";

/// The key of the object with this number.
///
/// # Panics
/// Never: the segments are fixed.
#[must_use]
#[expect(clippy::expect_used, reason = "the segments are fixed and short")]
pub fn key(number: usize) -> Key {
    Key::new(GROUP, "things", "bench", &format!("thing-{number:06}")).expect("fixed segments make a key")
}

/// The prefix of all of them.
///
/// # Panics
/// Never: the segments are fixed.
#[must_use]
#[expect(clippy::expect_used, reason = "the segments are fixed and short")]
pub fn prefix() -> KeyPrefix {
    KeyPrefix::resource(GROUP, "things").expect("fixed segments make a prefix")
}

/// An object of about 1 KiB; one in a hundred has the label `rare`.
#[must_use]
pub fn object_value(number: usize) -> Value {
    let rare = if number.is_multiple_of(100) { r#""rare":"yes","# } else { "" };
    let padding = "x".repeat(800);
    Value::json(format!(
        r#"{{"metadata":{{"name":"thing-{number:06}","namespace":"bench","uid":"{number:036}","labels":{{{rare}"tier":"web"}}}},"apiVersion":"{GROUP}/v1","kind":"Thing","spec":{{"padding":"{padding}"}}}}"#
    ))
}

/// An object of so many bytes; of a few hundred at least.
#[must_use]
pub fn sized_value(bytes: usize) -> Value {
    let object = |padding: usize| {
        let padding = "x".repeat(padding);
        format!(
            r#"{{"metadata":{{"name":"thing","namespace":"bench"}},"apiVersion":"{GROUP}/v1","kind":"Thing","spec":{{"padding":"{padding}"}}}}"#
        )
    };
    Value::json(object(bytes.saturating_sub(object(0).len())))
}

/// `count` batches of one change each, dense and chained, after the revision `after`.
#[must_use]
pub fn batches(count: usize, after: Revision) -> Vec<Arc<Batch>> {
    let random = SeededRandom::new(1);
    let values: Vec<Value> = (0..1_000).map(object_value).collect();
    let keys: Vec<Key> = (0..1_000).map(key).collect();
    let mut previous_txn = TxnId::none();
    let mut revision = after;
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        let Ok(next) = revision.next() else { break };
        revision = next;
        let txn = TxnId::random(&random);
        let slot = number % keys.len();
        let entry = Entry::created(keys[slot].clone(), values[slot].clone(), revision, txn, "bench".into());
        let changes = Change::Put { entry: Arc::new(entry), previous: None }.into();
        let committed_at =
            Timestamp::from_unix_seconds(0).unwrap_or_else(|| unreachable!("the begin of 1970 is a time"));
        made.push(Arc::new(Batch { revision, txn, previous_txn, committed_at, changes }));
        previous_txn = txn;
    }
    made
}
