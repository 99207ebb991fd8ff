//! [`Author`]: the transactions of a process about its heartbeat and what it owns. Does no I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Epoch, Expect, Key, Random, Result, Revision, Timestamp, Txn, TxnId, Value};

use super::LeaseConfigError;
use super::record::{HeartbeatRecord, Owner, OwnershipRecord, encode, heartbeat_key, whole_millis};
use super::view::View;

/// Who writes, under which name.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) heartbeat: Key,
    pub(super) holder: Arc<str>,
    lease_duration: Duration,
    random: Arc<dyn Random>,
}

/// A heartbeat that is there, and who gives it.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    pub(super) incarnation: Arc<str>,
    pub(super) epoch: Epoch,
    /// The revision of the heartbeat, as the next write expects it.
    pub(super) revision: Revision,
    pub(super) renewals: u64,
}

impl Author {
    pub(super) fn new(
        holder: &str,
        lease_duration: Duration,
        random: Arc<dyn Random>,
    ) -> Result<Self, LeaseConfigError> {
        Ok(Self { heartbeat: heartbeat_key(holder)?, holder: holder.into(), lease_duration, random })
    }

    /// Begins to live as `incarnation`; `before` is the revision of a heartbeat of another incarnation.
    pub(super) fn birth(
        &self,
        incarnation: &str,
        epoch: Epoch,
        before: Option<Revision>,
        member_of: Vec<String>,
    ) -> Result<Txn> {
        let value = self.heartbeat_value(incarnation, 0, member_of)?;
        Ok(put(self.txn().expect_epoch(epoch), &self.heartbeat, value, before))
    }

    /// Goes on living.
    pub(super) fn renewal(&self, pulse: &Pulse, member_of: Vec<String>) -> Result<Txn> {
        let value = self.heartbeat_value(&pulse.incarnation, pulse.renewals + 1, member_of)?;
        Ok(self.txn().expect_epoch(pulse.epoch).update(self.heartbeat.clone(), value, pulse.revision))
    }

    /// Removes the heartbeat of a dead process, if it has not moved: no renewal that is on its way can happen after it.
    pub(super) fn burial(&self, epoch: Epoch, holder: &str, revision: Revision) -> Result<Txn> {
        Ok(self.txn().expect_epoch(epoch).delete(heartbeat_key(holder)?, revision))
    }

    /// Makes this process the owner of `keys`, and goes on living, unless one of them has changed since `view`, or an
    /// old owner gave a sign of life since, or all agreed on another layout since.
    pub(super) fn acquisition(
        &self,
        pulse: &Pulse,
        keys: &[&Key],
        view: &View,
        layout: Option<&(Key, Revision)>,
        member_of: Vec<String>,
        now: Timestamp,
    ) -> Result<Txn> {
        let mut txn = self.renewal(pulse, member_of)?;
        let mut old_owners = BTreeMap::new();
        for key in keys {
            let stored = view.ownerships.get(*key);
            let transitions = stored.and_then(|stored| stored.record.as_ref()).map_or(0, |record| record.transitions);
            let record =
                OwnershipRecord { owner: Some(self.owner(&pulse.incarnation, now)), transitions: transitions + 1 };
            txn = put(txn, key, encode(&record)?, stored.map(|stored| stored.revision));
            if let Some(owner) = view.owner(key).filter(|owner| *owner.holder != *self.holder) {
                old_owners.insert(&owner.holder, view.heartbeats.get(&owner.holder).map(|stored| stored.revision));
            }
        }
        for (holder, heartbeat) in old_owners {
            txn = txn.guard(heartbeat_key(holder)?, heartbeat.map_or(Expect::Absent, Expect::At));
        }
        Ok(match layout {
            Some((key, revision)) => txn.guard(key.clone(), Expect::At(*revision)),
            None => txn,
        })
    }

    /// Gives back what is owned at these revisions. With `heartbeat` this process also ceases to live.
    pub(super) fn release(
        &self,
        epoch: Epoch,
        owned: &[(&Key, Revision, u64)],
        heartbeat: Option<Revision>,
    ) -> Result<Txn> {
        let mut txn = self.txn().expect_epoch(epoch);
        for (key, revision, transitions) in owned {
            let released = encode(&OwnershipRecord { owner: None, transitions: *transitions })?;
            txn = txn.update((*key).clone(), released, *revision);
        }
        Ok(match heartbeat {
            Some(revision) => txn.delete(self.heartbeat.clone(), revision),
            None => txn,
        })
    }

    fn owner(&self, incarnation: &str, now: Timestamp) -> Owner {
        Owner { holder: self.holder.to_string(), incarnation: incarnation.to_owned(), acquired_at: now }
    }

    fn txn(&self) -> Txn {
        Txn::new(TxnId::random(&*self.random), "lease")
    }

    fn heartbeat_value(&self, incarnation: &str, renewals: u64, member_of: Vec<String>) -> Result<Value> {
        encode(&HeartbeatRecord {
            holder: self.holder.to_string(),
            incarnation: incarnation.to_owned(),
            renewals,
            lease_duration_ms: whole_millis(self.lease_duration),
            member_of,
        })
    }
}

fn put(txn: Txn, key: &Key, value: Value, expected: Option<Revision>) -> Txn {
    match expected {
        Some(revision) => txn.update(key.clone(), value, revision),
        None => txn.create(key.clone(), value),
    }
}
