//! What a coordinator does about what it sees: buries the dead, gives up, gives back, takes.

use std::sync::Arc;

use roa_core::{CommitError, Error, Key, Monotonic, Ownership, Result, Revision};

use super::{Committed, Coordinator, Group, Patience, View};
use crate::lease::group::Plan;

/// How often giving all back is tried.
const ATTEMPTS: usize = 3;
/// How often a look is followed by another at once, when others write in between.
const LOOKS: usize = 4;
/// How many ownerships one transaction takes or gives back: its writes and guards stay below what a store takes.
const BATCH: usize = 100;

/// What became of taking some slots.
enum Taken {
    Yes,
    /// Somebody wrote in between.
    LookAgain,
    No,
}

impl Coordinator {
    /// Looks, and does what follows from that; looks again if others wrote in between.
    pub(super) async fn coordinate(&mut self) {
        for _ in 0..LOOKS {
            self.look_due = self.now() + self.pause();
            let Some(until) = self.deadline().until() else { return };
            let patience = until.min(self.now() + self.config.attempt());
            let view = match View::read(&self.store, &self.groups, patience).await {
                Ok(view) => view,
                Err(error) => {
                    tracing::warn!(holder = self.holder(), %error, "owners can't be looked at, looking again");
                    return;
                }
            };
            self.looked_at = Some(self.now());
            self.observer.look(&view, self.now());
            if self.check_pulse(&view) && !self.act(&view).await {
                return;
            }
        }
    }

    /// A renewal whose answer was lost shows here; so does the end of this process in the eyes of others.
    fn check_pulse(&mut self, view: &View) -> bool {
        let Some(pulse) = &mut self.pulse else { return false };
        if view.epoch != pulse.epoch {
            self.lose_all("the store's history was broken");
            return false;
        }
        let heartbeat = view.heartbeats.get(&*self.me.holder);
        let own =
            heartbeat.and_then(|stored| stored.record.as_ref()).filter(|it| *it.incarnation == *pulse.incarnation);
        match (own, heartbeat) {
            (Some(_), Some(stored)) => {
                pulse.revision = stored.revision;
                true
            }
            _ => {
                self.lose_all("its heartbeat is gone");
                false
            }
        }
    }

    /// Says whether to look again at once.
    async fn act(&mut self, view: &View) -> bool {
        if self.bury(view).await {
            return true;
        }
        let now = self.now();
        let plans: Vec<Plan> =
            self.groups.iter().map(|group| group.plan(view, &self.observer, &self.me, now)).collect();
        for (group, plan) in self.groups.iter().zip(&plans) {
            self.note(group, plan, view, now);
        }
        self.give_back_drained().await;
        for (group, plan) in self.groups.iter().zip(&plans) {
            self.give_back_unheld(group, &plan.give_back, view).await;
        }
        for (index, plan) in plans.iter().enumerate() {
            for slots in plan.acquire.chunks(BATCH) {
                match self.take(index, slots, view).await {
                    Ok(Taken::Yes) => {}
                    Ok(Taken::LookAgain) => return self.now() < self.renewal_due,
                    Ok(Taken::No) => return false,
                    Err(error) => {
                        tracing::warn!(holder = self.holder(), %error, "nothing was taken, trying again");
                        return false;
                    }
                }
            }
        }
        false
    }

    /// What others have, what was lost to them, and what they should have.
    fn note(&self, group: &Group, plan: &Plan, view: &View, now: Monotonic) {
        if !plan.lost.is_empty() {
            tracing::warn!(group = group.name(), slots = ?plan.lost, "lost: others have them");
            // Counted first: who hears of it by the end of a call finds it counted.
            self.membership.shared().lost(plan.lost.len());
            group.territory.vacate(&plan.lost, true);
        }
        if !plan.drain.is_empty() {
            tracing::info!(group = group.name(), slots = ?plan.drain, "giving up");
            group.territory.drain(&plan.drain, now);
        }
        for (slot, key) in group.keys().iter().enumerate().filter(|(slot, _)| !plan.lost.contains(slot)) {
            let owner = view.owner(key).filter(|owner| !self.me.incarnations.contains(&owner.incarnation));
            group.territory.note_holder(slot, owner.map(|owner| &*owner.holder));
        }
    }

    /// Removes the heartbeats of the dead, if they have not moved. Says whether there were any.
    async fn bury(&self, view: &View) -> bool {
        let (mut any, now) = (false, self.now());
        for (holder, stored) in view.heartbeats.iter().filter(|(holder, _)| **holder != *self.me.holder) {
            let Some(record) = &stored.record else { continue };
            if !self.observer.is_dead(&record.incarnation, now) {
                continue;
            }
            let Ok(txn) = self.author.burial(view.epoch, holder, stored.revision) else { continue };
            let Some(until) = self.deadline().until() else { return any };
            match self.commit(txn, now, until).await {
                Committed::Applied(_) => {
                    tracing::info!(
                        holder = self.holder(),
                        dead = holder,
                        "gave no sign of life, its heartbeat is removed"
                    );
                    any = true;
                }
                // Somebody else was first, or it lives after all: the next look tells.
                Committed::Refused(CommitError::Conflict { .. }) => any = true,
                Committed::Refused(error) => {
                    tracing::warn!(dead = holder, %error, "heartbeat not removed, trying again");
                }
                Committed::Unclear => tracing::warn!(dead = holder, "heartbeat perhaps not removed, trying again"),
            }
        }
        any
    }

    async fn take(&mut self, index: usize, slots: &[usize], view: &View) -> Result<Taken> {
        let (Some(group), Some(pulse)) = (self.groups.get(index), self.pulse.clone()) else { return Ok(Taken::No) };
        let Some(until) = self.deadline().until() else { return Ok(Taken::No) };
        let keys: Vec<&Key> = slots.iter().filter_map(|slot| group.keys().get(*slot)).collect();
        let (started, member_of) = (self.now(), self.to_announce());
        let (layout, now) = (group.layout.as_ref(), self.store.clock.now());
        let txn = self.author.acquisition(&pulse, &keys, view, layout, member_of.clone(), now)?;
        match self.commit(txn, started, until).await {
            Committed::Applied(revision) => {
                self.announced = member_of;
                self.goes_on(super::Pulse { revision, renewals: pulse.renewals + 1, ..pulse }, started);
                self.took(index, slots, view, revision);
                Ok(Taken::Yes)
            }
            Committed::Refused(CommitError::Fenced { .. }) => {
                self.lose_all("the store's history was broken");
                Ok(Taken::No)
            }
            Committed::Refused(CommitError::GuardFailed { key, .. }) if layout_is(group, &key) => {
                tracing::error!(group = group.name(), "another layout was agreed on: it takes part no more");
                // Else the others would leave it a share that it can't take.
                group.territory.outvote();
                Ok(Taken::No)
            }
            Committed::Refused(error @ (CommitError::Conflict { .. } | CommitError::GuardFailed { .. })) => {
                tracing::debug!(group = group.name(), %error, "others were first, looking again");
                Ok(Taken::LookAgain)
            }
            Committed::Refused(error) => {
                tracing::warn!(group = group.name(), %error, "nothing was taken, trying again");
                Ok(Taken::No)
            }
            // If it happened, the next look finds the slots to be this process's.
            Committed::Unclear => Ok(Taken::No),
        }
    }

    fn took(&mut self, index: usize, slots: &[usize], view: &View, revision: Revision) {
        let holder = Arc::clone(&self.me.holder);
        let (Some(group), Some(pulse)) = (self.groups.get_mut(index), &self.pulse) else { return };
        slots.iter().for_each(|slot| group.note_transitions(*slot, view));
        let ownership = |slot: &usize| {
            let key = group.keys().get(*slot)?.clone();
            Some((*slot, Some(Ownership { key, revision, epoch: pulse.epoch })))
        };
        let deadline = &self.membership.shared().deadline;
        group.territory.hold(slots.iter().filter_map(ownership), Some(deadline));
        self.membership.shared().acquired(slots.len());
        tracing::info!(group = group.name(), %holder, %revision, count = slots.len(), "acquired");
    }

    /// Gives back the slots in which nothing runs any more, of those that are being given up.
    pub(super) async fn give_back_drained(&mut self) {
        if self.now() < self.give_back_due {
            return;
        }
        for index in 0..self.groups.len() {
            if let Err(error) = self.give_back_drained_of(index).await {
                tracing::warn!(holder = self.holder(), %error, "not given back, trying again");
                self.give_back_due = self.now() + self.pause();
            }
        }
    }

    async fn give_back_drained_of(&mut self, index: usize) -> Result<()> {
        let (Some(group), Some(pulse)) = (self.groups.get(index), &self.pulse) else { return Ok(()) };
        let limit = (!group.territory.is_leaving()).then_some(self.config.duration);
        let now = self.now();
        let drained = group.territory.drained(now, limit);
        if drained.is_empty() {
            return Ok(());
        }
        let occupied = group.territory.occupied();
        let mut owned = Vec::new();
        let deadline = now + self.config.attempt();
        for (slot, ownership) in occupied.iter().filter(|(slot, _)| drained.contains(slot)) {
            owned.push((&ownership.key, ownership.revision, group.transitions(*slot)));
        }
        for owned in owned.chunks(BATCH) {
            let txn = self.author.release(pulse.epoch, owned, None)?;
            match self.commit(txn, now, deadline).await {
                Committed::Applied(_) => {}
                Committed::Refused(error) => return Err(Error::unavailable(error.to_string())),
                Committed::Unclear => return Err(Error::unavailable("no answer in time")),
            }
        }
        tracing::info!(group = group.name(), holder = self.holder(), count = drained.len(), "given back");
        group.territory.vacate(&drained, false);
        Ok(())
    }

    /// Gives back what is this process's by the store's word alone. If that fails, the next look finds it again.
    async fn give_back_unheld(&self, group: &Group, slots: &[usize], view: &View) {
        let Some(until) = self.deadline().until() else { return };
        let owned: Vec<_> = slots.iter().filter_map(|slot| view.owned(group.keys().get(*slot)?)).collect();
        for owned in owned.chunks(BATCH) {
            let Ok(txn) = self.author.release(view.epoch, owned, None) else { continue };
            match self.commit(txn, self.now(), until).await {
                Committed::Applied(_) => {
                    tracing::info!(group = group.name(), holder = self.holder(), count = owned.len(), "given back");
                }
                Committed::Refused(error) => {
                    tracing::warn!(group = group.name(), %error, "not given back, trying again");
                }
                Committed::Unclear => tracing::warn!(group = group.name(), "perhaps not given back, trying again"),
            }
        }
    }

    /// Gives back what the store says is this process's, and ceases to live.
    pub(super) async fn give_back_all(&mut self) {
        let deadline = self.now() + self.config.retry_period;
        self.deadline().end();
        for group in &self.groups {
            group.territory.vacate_all();
        }
        for _ in 0..ATTEMPTS {
            match self.give_back_once(deadline).await {
                Ok(true) => {
                    self.groups.iter().for_each(|group| group.territory.note_holder(0, None));
                    return;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(holder = self.holder(), %error, "not given back, it runs out by itself");
                    return;
                }
            }
        }
    }

    /// Says whether nothing is left to give back.
    async fn give_back_once(&self, deadline: Monotonic) -> Result<bool> {
        if !self.has_joined {
            return Ok(true);
        }
        let view = View::read(&self.store, &self.groups, deadline).await?;
        let own = view.ownerships.keys().filter(|key| view.owner(key).is_some_and(|owner| self.me.is(owner)));
        let owned: Vec<_> = own.filter_map(|key| view.owned(key)).collect();
        let own = view.heartbeats.get(&*self.me.holder);
        let alive = own.filter(|stored| {
            stored.record.as_ref().is_some_and(|record| self.me.incarnations.contains(&record.incarnation))
        });
        let heartbeat = alive.map(|stored| stored.revision);
        if owned.is_empty() && heartbeat.is_none() {
            return Ok(true);
        }
        let chunks: Vec<_> = owned.chunks(BATCH).collect();
        let (last, before) = chunks.split_last().map_or((&[][..], &[][..]), |(last, before)| (*last, before));
        for chunk in before {
            if !self.released(self.author.release(view.epoch, chunk, None)?, deadline).await {
                return Ok(false);
            }
        }
        Ok(self.released(self.author.release(view.epoch, last, heartbeat)?, deadline).await)
    }

    async fn released(&self, txn: roa_core::Txn, deadline: Monotonic) -> bool {
        let committed = self.store.commit(txn, Patience { answer: deadline, inquiry: deadline }).await;
        matches!(committed, Committed::Applied(_))
    }
}

fn layout_is(group: &Group, key: &Key) -> bool {
    group.layout.as_ref().is_some_and(|(layout, _)| layout == key)
}
