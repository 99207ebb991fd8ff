//! [`View`]: what the store says of who lives and who owns what, as one look found it.

use std::collections::{BTreeMap, HashMap};

use roa_core::{Entry, Epoch, Key, Monotonic, Result, Revision};

use super::group::Group;
use super::patient_store::PatientStore;
use super::record::{self, HeartbeatRecord, Owner, OwnershipRecord, Stored, decode};
use super::territory::Division;

/// What the store says.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The epoch before the rest was read.
    pub(super) epoch: Epoch,
    /// By the name of the process; the content is `None` if it can't be read as one.
    pub(super) heartbeats: BTreeMap<String, Stored<Option<HeartbeatRecord>>>,
    /// The content is `None` if it can't be read as one.
    pub(super) ownerships: HashMap<Key, Stored<Option<OwnershipRecord>>>,
}

impl View {
    /// Looks: at all heartbeats, and at the ownerships of `groups`.
    pub(super) async fn read(store: &PatientStore, groups: &[Group], deadline: Monotonic) -> Result<Self> {
        let epoch = store.epoch(deadline).await?;
        let mut view = Self { epoch, heartbeats: BTreeMap::new(), ownerships: HashMap::new() };
        for group in groups {
            match group.division() {
                Division::One => {
                    for key in group.keys() {
                        view.own(store.get(key, deadline).await?.as_deref());
                    }
                }
                Division::Shards(_) => {
                    let entries = store.list(record::shards(group.name())?, deadline).await?;
                    entries.iter().for_each(|entry| view.own(Some(entry)));
                }
            }
        }
        // After the ownerships: whoever renewed in between shows.
        for entry in store.list(record::heartbeats()?, deadline).await? {
            let record = decode(&entry).ok().map(|stored| stored.record);
            view.heartbeats.insert(entry.key.name().to_owned(), Stored { revision: entry.revision, record });
        }
        Ok(view)
    }

    fn own(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        let record = match decode(entry) {
            Ok(stored) => Some(stored.record),
            Err(error) => {
                tracing::error!(key = %entry.key, %error, "an ownership can't be read, and is left alone");
                None
            }
        };
        self.ownerships.insert(entry.key.clone(), Stored { revision: entry.revision, record });
    }

    /// Who owns it, if that is known and somebody does.
    pub(super) fn owner(&self, key: &Key) -> Option<&Owner> {
        self.ownerships.get(key)?.record.as_ref()?.owner.as_ref()
    }

    /// What it takes to give it back: its key, its revision, and how often it was acquired.
    pub(super) fn owned<'a>(&self, key: &'a Key) -> Option<(&'a Key, Revision, u64)> {
        let stored = self.ownerships.get(key)?;
        Some((key, stored.revision, stored.record.as_ref()?.transitions))
    }

    /// The revision of the last sign of life of an owner, if it is still there.
    pub(super) fn sign_of(&self, owner: &Owner) -> Option<Revision> {
        let heartbeat = self.heartbeats.get(&owner.holder)?;
        // One that can't be read is taken for a sign of life: better to wait than to have two.
        let its = heartbeat.record.as_ref().is_none_or(|record| record.incarnation == owner.incarnation);
        its.then_some(heartbeat.revision)
    }
}
