//! What is stored of a lease.

use std::time::Duration;

use roa_core::{Entry, Error, Key, KeyError, KeyPrefix, Result, Revision, SYSTEM_GROUP, Timestamp, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Who owns a lease or a shard. Written only when that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnershipRecord {
    /// `None` once it was given back.
    pub(super) owner: Option<Owner>,
    /// How often it was acquired.
    pub(super) transitions: u64,
}

/// A process that owns a lease or a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    /// The process's name, which it keeps when it is started again.
    pub(super) holder: String,
    /// Random; another one after each start.
    pub(super) incarnation: String,
    /// For people: no decision depends on it.
    pub(super) acquired_at: Timestamp,
}

/// A sign of life of a process, one for all that it owns. Written at each renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeartbeatRecord {
    pub(super) holder: String,
    pub(super) incarnation: String,
    /// How often it was renewed by this incarnation.
    pub(super) renewals: u64,
    /// How long the process counts on not being replaced after a renewal.
    pub(super) lease_duration_ms: u64,
    /// The groups of shards that it takes part in; none while it is leaving.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) member_of: Vec<String>,
    /// Where people ask this process. No decision depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
}

impl HeartbeatRecord {
    pub(super) fn lease_duration(&self) -> Duration {
        Duration::from_millis(self.lease_duration_ms)
    }
}

/// Rounded up: who waits must not wait less than was meant.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The key of a lease's ownership.
pub(super) fn ownership_key(lease: &str) -> Result<Key, KeyError> {
    Key::system("leases", lease)
}

/// The key of a shard's ownership.
pub(super) fn shard_key(group: &str, shard: usize) -> Result<Key, KeyError> {
    Key::new(SYSTEM_GROUP, "shards", group, &format!("{shard:02}"))
}

/// All heartbeats.
pub(super) fn heartbeats() -> Result<KeyPrefix, KeyError> {
    KeyPrefix::resource(SYSTEM_GROUP, "heartbeats")
}

/// The ownerships of all shards of a group.
pub(super) fn shards(group: &str) -> Result<KeyPrefix, KeyError> {
    KeyPrefix::namespace(SYSTEM_GROUP, "shards", group)
}

/// The key of a process's heartbeat.
pub(super) fn heartbeat_key(holder: &str) -> Result<Key, KeyError> {
    Key::system("heartbeats", holder)
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored<T> {
    pub(super) revision: Revision,
    pub(super) record: T,
}

pub(super) fn decode<T: DeserializeOwned>(entry: &Entry) -> Result<Stored<T>> {
    let record = serde_json::from_slice(&entry.value.bytes)
        .map_err(|error| Error::corrupt(format!("record {}: {error}", entry.key)))?;
    Ok(Stored { revision: entry.revision, record })
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Value> {
    let bytes = serde_json::to_vec(record).map_err(|error| Error::corrupt(format!("record to be written: {error}")))?;
    Ok(Value::opaque(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roa_core::TxnId;

    #[test]
    fn records_read_as_people_expect_and_new_fields_do_no_harm() {
        let acquired_at = "2027-01-02T03:04:05Z".parse().unwrap();
        let owner = Owner { holder: "node-a".into(), incarnation: "1".into(), acquired_at };
        let record = OwnershipRecord { owner: Some(owner), transitions: 3 };
        let text =
            r#"{"owner":{"holder":"node-a","incarnation":"1","acquiredAt":"2027-01-02T03:04:05Z"},"transitions":3}"#;
        assert_eq!(encode(&record).unwrap().bytes, text);
        let newer = Value::opaque(text.replacen('{', r#"{"zone":"x","#, 1));
        let revision = Revision::new(7).unwrap();
        let entry = Entry::created(ownership_key("manager").unwrap(), newer, revision, TxnId::none(), "test".into());
        assert_eq!(decode(&entry).unwrap(), Stored { revision, record });
    }

    #[test]
    fn what_is_no_record_is_named() {
        let key = heartbeat_key("node-a").unwrap();
        let entry = Entry::created(key, Value::opaque("x"), Revision::new(1).unwrap(), TxnId::none(), "test".into());
        let error = decode::<HeartbeatRecord>(&entry).unwrap_err();
        assert!(error.to_string().contains("heartbeats.!system/node-a"), "{error}");
    }

    #[test]
    fn durations_are_rounded_up() {
        assert_eq!([0, 1, 1_000_000, 1_000_001].map(|nanos| whole_millis(Duration::from_nanos(nanos))), [0, 1, 1, 2]);
        assert_eq!(whole_millis(Duration::MAX), u64::MAX);
    }
}
