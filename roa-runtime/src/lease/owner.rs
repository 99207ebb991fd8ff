//! [`owner_of`]: which process has the lease or shard of a key, as the store says.

use roa_core::{Key, Result, Store, Timestamp};

use super::layout::LayoutRecord;
use super::record::{HeartbeatRecord, OwnershipRecord, decode, heartbeat_key, ownership_key, shard_key};

/// Which process has the lease or shard of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    /// The lease or shard, for people.
    pub(crate) what: String,
    /// The process, and since when; `None` if nobody has it.
    pub(crate) holder: Option<(String, Timestamp)>,
    /// Where people ask that process, if it says so and its heartbeat is there.
    pub(crate) address: Option<String>,
    /// Whether there is a heartbeat of that process, be it old.
    pub(crate) has_heartbeat: bool,
}

/// Who has the lease or shard of a key, of those that divide `group`; `None` if nobody ever divided it.
///
/// # Errors
/// As [`Store::get`]; [`roa_core::Error::Corrupt`] for records of a newer version.
pub(crate) async fn owner_of(store: &dyn Store, group: &str, key: &Key) -> Result<Option<KeyOwner>> {
    let Some(layout) = store.get(&Key::system("layouts", group)?).await?.entry else { return Ok(None) };
    let (ownership, what) = match decode::<LayoutRecord>(&layout)?.record {
        LayoutRecord::Leader {} => (ownership_key(group)?, format!("the lease of {group}")),
        LayoutRecord::Sharded { by, .. } => {
            let shard = by.shard(key);
            (shard_key(group, shard)?, format!("shard {shard} of {group}"))
        }
    };
    let mut found = KeyOwner { what, holder: None, address: None, has_heartbeat: false };
    let Some(entry) = store.get(&ownership).await?.entry else { return Ok(Some(found)) };
    let Some(owner) = decode::<OwnershipRecord>(&entry)?.record.owner else { return Ok(Some(found)) };
    if let Some(entry) = store.get(&heartbeat_key(&owner.holder)?).await?.entry {
        found.has_heartbeat = true;
        found.address = decode::<HeartbeatRecord>(&entry)?.record.address;
    }
    found.holder = Some((owner.holder, owner.acquired_at));
    Ok(Some(found))
}
