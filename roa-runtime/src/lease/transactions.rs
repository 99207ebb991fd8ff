//! [`Claimant`]: the three transactions of a lease. Does no I/O.

use std::sync::Arc;
use std::time::Duration;

use roa_core::{Expect, Key, Ownership, Random, Result, Revision, Timestamp, Txn, TxnId, Value};

use super::LeaseConfigError;
use super::candidate::View;
use super::record::{HeartbeatRecord, Owner, OwnershipRecord, encode, heartbeat_key, ownership_key, whole_millis};

/// Who writes the lease's records, and under which keys.
#[derive(Debug)]
pub(super) struct Claimant {
    pub(super) ownership: Key,
    pub(super) heartbeat: Key,
    pub(super) holder: Arc<str>,
    pub(super) incarnation: Arc<str>,
    lease_duration: Duration,
    random: Arc<dyn Random>,
}

impl Claimant {
    pub(super) fn new(
        lease: &str,
        holder: &str,
        incarnation: Arc<str>,
        lease_duration: Duration,
        random: Arc<dyn Random>,
    ) -> Result<Self, LeaseConfigError> {
        let (ownership, heartbeat) = (ownership_key(lease)?, heartbeat_key(holder)?);
        Ok(Self { ownership, heartbeat, holder: holder.into(), incarnation, lease_duration, random })
    }

    /// Makes this process the owner, unless the ownership or the old owner's heartbeat have changed since `view`. The
    /// old heartbeat goes, so that no renewal that is still on its way can succeed. `own_heartbeat` is the revision of
    /// this process's, if there is one.
    pub(super) fn acquisition(&self, view: &View, own_heartbeat: Option<Revision>, now: Timestamp) -> Result<Txn> {
        let owner =
            Owner { holder: self.holder.to_string(), incarnation: self.incarnation.to_string(), acquired_at: now };
        let ownership = encode(&OwnershipRecord { owner: Some(owner), transitions: transitions(view) + 1 })?;
        let expected = view.ownership.as_ref().map(|stored| stored.revision);
        let mut txn = put(self.txn().expect_epoch(view.epoch), &self.ownership, ownership, expected);
        txn = put(txn, &self.heartbeat, self.heartbeat_value(0)?, own_heartbeat);
        let old = view.owner().map(|owner| heartbeat_key(&owner.holder)).transpose()?;
        let old_revision = view.heartbeat.as_ref().map(|heartbeat| heartbeat.revision);
        Ok(match (old.filter(|old| *old != self.heartbeat), old_revision) {
            (Some(old), Some(revision)) => txn.delete(old, revision),
            (Some(old), None) => txn.guard(old, Expect::Absent),
            (None, _) => txn,
        })
    }

    /// Renews this process's heartbeat, which is at `heartbeat`, unless the ownership has moved.
    pub(super) fn renewal(&self, ownership: &Ownership, heartbeat: Revision, renewals: u64) -> Result<Txn> {
        let txn = self.txn().expect_epoch(ownership.epoch);
        let txn = txn.guard(ownership.key.clone(), Expect::At(ownership.revision));
        Ok(txn.update(self.heartbeat.clone(), self.heartbeat_value(renewals)?, heartbeat))
    }

    /// Gives the lease back; `None` if `view` shows that it is not this process's.
    pub(super) fn release(&self, view: &View) -> Result<Option<Txn>> {
        let (Some(ownership), Some(owner)) = (&view.ownership, view.owner()) else { return Ok(None) };
        if *owner.incarnation != *self.incarnation {
            return Ok(None);
        }
        let released = encode(&OwnershipRecord { owner: None, transitions: transitions(view) })?;
        let txn = self.txn().expect_epoch(view.epoch).update(self.ownership.clone(), released, ownership.revision);
        Ok(Some(match &view.heartbeat {
            Some(heartbeat) => txn.delete(self.heartbeat.clone(), heartbeat.revision),
            None => txn,
        }))
    }

    fn txn(&self) -> Txn {
        Txn::new(TxnId::random(&*self.random), "lease")
    }

    fn heartbeat_value(&self, renewals: u64) -> Result<Value> {
        let (holder, incarnation) = (self.holder.to_string(), self.incarnation.to_string());
        let lease_duration_ms = whole_millis(self.lease_duration);
        encode(&HeartbeatRecord { holder, incarnation, renewals, lease_duration_ms })
    }
}

fn transitions(view: &View) -> u64 {
    view.ownership.as_ref().map_or(0, |stored| stored.record.transitions)
}

fn put(txn: Txn, key: &Key, value: Value, expected: Option<Revision>) -> Txn {
    match expected {
        Some(revision) => txn.update(key.clone(), value, revision),
        None => txn.create(key.clone(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Stored;
    use super::*;
    use roa_core::{Epoch, Op, SeededRandom};

    fn claimant() -> Claimant {
        let random = Arc::new(SeededRandom::new(1));
        Claimant::new("manager", "me", "new".into(), Duration::from_secs(15), random).unwrap()
    }

    fn revision(number: u64) -> Revision {
        Revision::new(number).unwrap()
    }

    fn epoch() -> Epoch {
        Epoch::first(&SeededRandom::new(7))
    }

    fn at() -> Timestamp {
        Timestamp::from_unix_seconds(0).unwrap()
    }

    fn owned_by(holder: &str, incarnation: &str, heartbeat: Option<u64>) -> View {
        let owner = Owner { holder: holder.into(), incarnation: incarnation.into(), acquired_at: at() };
        let record = OwnershipRecord { owner: Some(owner), transitions: 4 };
        let heartbeat = heartbeat.map(|number| Stored { revision: revision(number), record: None });
        View { epoch: epoch(), ownership: Some(Stored { revision: revision(5), record }), heartbeat }
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
    fn l2_a_takeover_expects_that_neither_record_has_moved() {
        let (five, six, seven) = (Expect::At(revision(5)), Expect::At(revision(6)), Expect::At(revision(7)));
        let takeover = |view: &View, own| expectations(&claimant().acquisition(view, own, at()).unwrap());
        let mine = ("me", Expect::Absent);
        assert_eq!(
            takeover(&owned_by("other", "x", Some(6)), None),
            expected([("manager", five), mine, ("other", six)])
        );
        let gone = expected([("manager", five), mine, ("other", Expect::Absent)]);
        assert_eq!(takeover(&owned_by("other", "x", None), None), gone);
        let restarted = takeover(&owned_by("me", "old", Some(7)), Some(revision(7)));
        assert_eq!(restarted, expected([("manager", five), ("me", seven)]));
        let nobodys = View { ownership: None, heartbeat: None, epoch: epoch() };
        assert_eq!(takeover(&nobodys, None), expected([("manager", Expect::Absent), mine]));
    }

    #[test]
    fn l1_a_renewal_writes_the_heartbeat_alone_and_guards_the_ownership() {
        let claimant = claimant();
        let ownership = Ownership { key: claimant.ownership.clone(), revision: revision(5), epoch: epoch() };
        let renewal = claimant.renewal(&ownership, revision(6), 3).unwrap();
        assert_eq!(renewal.ops.len(), 1);
        let (five, six) = (Expect::At(revision(5)), Expect::At(revision(6)));
        assert_eq!(expectations(&renewal), expected([("me", six), ("manager", five)]));
    }

    #[test]
    fn l6_only_ones_own_is_given_back_and_nothing_is_left() {
        let claimant = claimant();
        for foreign in [owned_by("other", "x", Some(6)), owned_by("me", "old", Some(6))] {
            assert!(claimant.release(&foreign).unwrap().is_none());
        }
        let release = claimant.release(&owned_by("me", "new", Some(6))).unwrap().unwrap();
        assert_eq!(
            expectations(&release),
            expected([("manager", Expect::At(revision(5))), ("me", Expect::At(revision(6)))])
        );
        assert!(matches!(&release.ops[1], Op::Delete { .. }));
    }
}
