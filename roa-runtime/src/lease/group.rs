//! [`Group`]: a lease, or shards, and who should have which of them. Does no I/O.

use std::collections::HashSet;
use std::sync::Arc;

use roa_core::{Key, KeyError, Monotonic, Revision};

use super::observer::Observer;
use super::record::{Owner, ownership_key, shard_key};
use super::term::Signals;
use super::territory::{Division, Territory};
use super::view::View;
use crate::ShardBy;
use crate::shard::{self, SHARDS};

/// What is owned together under one name: the one slot of a lease, or the slots of all shards.
#[derive(Debug)]
pub(super) struct Group {
    name: Arc<str>,
    keys: Vec<Key>,
    division: Division,
    pub(super) territory: Territory,
    /// What all processes agreed on, and must still: its key and revision.
    pub(super) layout: Option<(Key, Revision)>,
    /// How often each slot was acquired by anybody, as of its last acquisition by this process.
    transitions: Vec<u64>,
}

/// Who a process is, and was.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) holder: Arc<str>,
    /// All of its incarnations that it knows of; what they own is its own.
    pub(super) incarnations: HashSet<String>,
}

/// More former incarnations than this are remembered only as far as they still own something.
const MAX_INCARNATIONS: usize = 64;

impl Identity {
    pub(super) fn new(holder: &str) -> Self {
        Self { holder: holder.into(), incarnations: HashSet::new() }
    }

    pub(super) fn is(&self, owner: &Owner) -> bool {
        *owner.holder == *self.holder && self.incarnations.contains(&owner.incarnation)
    }

    /// What a process of this name owned before this one began was this one's, before it was started again.
    pub(super) fn inherit(&mut self, view: &View) {
        let owners = view.ownerships.keys().filter_map(|key| view.owner(key));
        self.incarnations
            .extend(owners.filter(|owner| *owner.holder == *self.holder).map(|owner| owner.incarnation.clone()));
    }

    pub(super) fn forget_all_but_owners(&mut self, view: &View) {
        if self.incarnations.len() > MAX_INCARNATIONS {
            let owners: HashSet<&str> =
                view.ownerships.keys().filter_map(|key| Some(&*view.owner(key)?.incarnation)).collect();
            self.incarnations.retain(|incarnation| owners.contains(incarnation.as_str()));
        }
    }
}

/// What is to be done about a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Slots that somebody else has now.
    pub(super) lost: Vec<usize>,
    /// Slots that are to be given up.
    pub(super) drain: Vec<usize>,
    /// Slots that may be taken.
    pub(super) acquire: Vec<usize>,
    /// Slots that this process took without knowing it, or before it lost its heartbeat, and that it should not have.
    pub(super) give_back: Vec<usize>,
}

impl Group {
    pub(super) fn lease(name: &str, signals: Arc<Signals>) -> Result<Self, KeyError> {
        let territory = Territory::vacant(Division::One, 1, signals);
        Ok(Self {
            name: name.into(),
            keys: vec![ownership_key(name)?],
            division: Division::One,
            territory,
            layout: None,
            transitions: vec![0],
        })
    }

    pub(super) fn shards(name: &str, by: ShardBy, signals: Arc<Signals>) -> Result<Self, KeyError> {
        let keys = (0..SHARDS).map(|shard| shard_key(name, shard)).collect::<Result<_, _>>()?;
        let division = Division::Shards(by);
        let territory = Territory::vacant(division, SHARDS, signals);
        let transitions = vec![0; SHARDS];
        Ok(Self { name: name.into(), keys, division, territory, layout: None, transitions })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn division(&self) -> Division {
        self.division
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(super) fn note_transitions(&mut self, slot: usize, view: &View) {
        let record = self.keys.get(slot).and_then(|key| view.ownerships.get(key)?.record.as_ref());
        let before = record.map_or(0, |record| record.transitions);
        if let Some(transitions) = self.transitions.get_mut(slot) {
            *transitions = before + 1;
        }
    }

    pub(super) fn transitions(&self, slot: usize) -> u64 {
        self.transitions.get(slot).copied().unwrap_or_default()
    }

    /// Whether the process says in its heartbeat that it takes part.
    pub(super) fn takes_part(&self) -> bool {
        matches!(self.division, Division::Shards(_)) && !self.territory.is_leaving()
    }

    /// What follows from what was seen. A lease is kept by who has it; a shard goes to who should have it, when its
    /// owner has given it back or is dead.
    pub(super) fn plan(&self, view: &View, observer: &Observer, me: &Identity, now: Monotonic) -> Plan {
        let wanted = self.wanted(view, observer, me, now);
        let (mut plan, mut occupied) = (Plan::default(), HashSet::new());
        for (slot, ownership) in self.territory.occupied() {
            occupied.insert(slot);
            if view.ownerships.get(&ownership.key).map(|stored| stored.revision) != Some(ownership.revision) {
                plan.lost.push(slot);
            } else if !wanted.contains(&slot) {
                plan.drain.push(slot);
            }
        }
        let free = |slot: &usize| !occupied.contains(slot) && self.is_free(*slot, view, observer, me, now);
        plan.acquire = (0..self.keys.len()).filter(|slot| wanted.contains(slot)).filter(free).collect();
        let own = |slot: &usize| self.keys.get(*slot).and_then(|key| view.owner(key)).is_some_and(|owner| me.is(owner));
        let left = (0..self.keys.len()).filter(|slot| !wanted.contains(slot) && !occupied.contains(slot));
        plan.give_back = left.filter(own).collect();
        plan
    }

    fn wanted(&self, view: &View, observer: &Observer, me: &Identity, now: Monotonic) -> HashSet<usize> {
        match self.division {
            _ if self.territory.is_leaving() => HashSet::new(),
            Division::One => HashSet::from([0]),
            Division::Shards(_) => {
                shard::wanted(&me.holder, &observer.members(view, &self.name, now)).into_iter().collect()
            }
        }
    }

    fn is_free(&self, slot: usize, view: &View, observer: &Observer, me: &Identity, now: Monotonic) -> bool {
        let Some(stored) = self.keys.get(slot).and_then(|key| view.ownerships.get(key)) else { return true };
        match &stored.record {
            None => false,
            Some(record) => {
                record.owner.as_ref().is_none_or(|owner| me.is(owner) || observer.is_dead(&owner.incarnation, now))
            }
        }
    }
}
