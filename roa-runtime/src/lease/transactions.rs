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
    /// Where people ask this process.
    pub(super) address: Option<String>,
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
        Ok(Self { heartbeat: heartbeat_key(holder)?, holder: holder.into(), lease_duration, random, address: None })
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
            address: self.address.clone(),
        })
    }
}

fn put(txn: Txn, key: &Key, value: Value, expected: Option<Revision>) -> Txn {
    match expected {
        Some(revision) => txn.update(key.clone(), value, revision),
        None => txn.create(key.clone(), value),
    }
}

#[cfg(test)]
mod tests {
    use roa_core::SeededRandom;

    use super::*;
    use crate::lease::record::{Stored, ownership_key, shard_key};

    fn author() -> Author {
        Author::new("me", Duration::from_secs(15), Arc::new(SeededRandom::new(1))).unwrap()
    }

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn epoch() -> Epoch {
        Epoch::first(&SeededRandom::new(7))
    }

    fn pulse() -> Pulse {
        Pulse { incarnation: "new".into(), epoch: epoch(), revision: revision(9), renewals: 3 }
    }

    fn at() -> Timestamp {
        Timestamp::from_unix_seconds(0).unwrap()
    }

    /// `key` is at 5 and belongs to `x` of this holder, whose heartbeat is at this revision, if it has one.
    fn view(key: &Key, holder: &str, heartbeat: Option<u64>) -> View {
        let owner = Owner { holder: holder.into(), incarnation: "x".into(), acquired_at: at() };
        let record = Some(OwnershipRecord { owner: Some(owner), transitions: 4 });
        let heartbeat = heartbeat.map(|number| Stored { revision: revision(number), record: None });
        View {
            epoch: epoch(),
            heartbeats: heartbeat.map(|heartbeat| (holder.to_owned(), heartbeat)).into_iter().collect(),
            ownerships: [(key.clone(), Stored { revision: revision(5), record })].into(),
        }
    }

    /// What it expects of each key, written or not.
    fn expectations(txn: &Txn) -> Vec<(String, Expect)> {
        let written = txn.ops.iter().map(|op| (op.key().name().to_owned(), op.expect()));
        let guarded = txn.guards.iter().map(|guard| (guard.key.name().to_owned(), guard.expect));
        assert!(txn.validate().is_ok() && txn.epoch == Some(epoch()));
        written.chain(guarded).collect()
    }

    fn expected<const N: usize>(expectations: [(&str, Expect); N]) -> Vec<(String, Expect)> {
        expectations.map(|(name, expect)| (name.to_owned(), expect)).into()
    }

    #[test]
    fn l2_a_takeover_expects_that_neither_the_ownership_nor_the_old_owner_has_moved() {
        let key = ownership_key("manager").unwrap();
        let (five, six, mine) = (Expect::At(revision(5)), Expect::At(revision(6)), ("me", Expect::At(revision(9))));
        let takeover = |view: &View| {
            let txn = author().acquisition(&pulse(), &[&key], view, None, vec![], at()).unwrap();
            expectations(&txn)
        };
        let buried = takeover(&view(&key, "other", None));
        assert_eq!(buried, expected([mine, ("manager", five), ("other", Expect::Absent)]));
        let unreadable = takeover(&view(&key, "other", Some(6)));
        assert_eq!(unreadable, expected([mine, ("manager", five), ("other", six)]));
        let own = takeover(&view(&key, "me", None));
        assert_eq!(own, expected([mine, ("manager", five)]));
        let nobodys = View { ownerships: [].into(), ..view(&key, "other", None) };
        assert_eq!(takeover(&nobodys), expected([mine, ("manager", Expect::Absent)]));
    }

    #[test]
    fn what_was_agreed_on_is_guarded_by_each_acquisition() {
        let keys = [shard_key("things", 0).unwrap(), shard_key("things", 63).unwrap()];
        let layout = (Key::system("layouts", "things").unwrap(), revision(2));
        let view = View { ownerships: [].into(), ..view(&keys[0], "other", None) };
        let both: Vec<&Key> = keys.iter().collect();
        let txn = author().acquisition(&pulse(), &both, &view, Some(&layout), vec![], at()).unwrap();
        let absent = Expect::Absent;
        let all =
            [("me", Expect::At(revision(9))), ("00", absent), ("63", absent), ("things", Expect::At(revision(2)))];
        assert_eq!(expectations(&txn), expected(all));
    }

    #[test]
    fn l1_a_renewal_writes_the_heartbeat_alone() {
        let renewal = author().renewal(&pulse(), vec!["things".into()]).unwrap();
        assert_eq!(expectations(&renewal), expected([("me", Expect::At(revision(9)))]));
    }

    #[test]
    fn l6_a_release_leaves_vacant_ownerships_and_no_heartbeat() {
        let key = ownership_key("manager").unwrap();
        let release = author().release(epoch(), &[(&key, revision(5), 4)], Some(revision(9))).unwrap();
        let all = [("manager", Expect::At(revision(5))), ("me", Expect::At(revision(9)))];
        assert_eq!(expectations(&release), expected(all));
        assert!(matches!(&release.ops[1], roa_core::Op::Delete { .. }));
    }
}
