//! [`Idle`]: how long labs that are on their way went without anybody doing anything for them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use roa_core::{Change, Key, Timestamp};
use roa_runtime::ShardBy;

use crate::feed::field;
use crate::options::Division;

/// The longest that a lab waited for its next step, by the times of the writes: since the last one, or since its owner
/// was lost if that was later. So the time without an owner counts, and the time that the next owner takes.
pub(crate) struct Idle {
    mode: Division,
    /// When each lab that is on its way was last written, and as what.
    waiting: HashMap<String, (Timestamp, String)>,
    /// The incarnation that has the lease, or each shard, and since when.
    owners: HashMap<usize, (String, Timestamp)>,
    /// When the lease, or each shard, last lost its owner.
    lost: HashMap<usize, Timestamp>,
    /// The incarnations that were killed or paused, and when, as far as the feed did not get there yet.
    disturbed: VecDeque<(Timestamp, String)>,
    longest: Duration,
    whose: String,
}

impl Idle {
    pub(crate) fn new(mode: Division) -> Self {
        Self {
            mode,
            waiting: HashMap::new(),
            owners: HashMap::new(),
            lost: HashMap::new(),
            disturbed: VecDeque::new(),
            longest: Duration::ZERO,
            whose: String::new(),
        }
    }

    /// This incarnation does nothing from now on, for ever or for a while.
    pub(crate) fn disturbed(&mut self, incarnation: String, at: Timestamp) {
        self.disturbed.push_back((at, incarnation));
    }

    /// The feed came to what was committed then.
    pub(crate) fn comes_to(&mut self, now: Timestamp) {
        while self.disturbed.front().is_some_and(|(at, _)| *at <= now) {
            let Some((at, incarnation)) = self.disturbed.pop_front() else { return };
            let had = self.owners.iter().filter(|(_, (owner, _))| *owner == incarnation);
            self.lost.extend(had.map(|(ownership, _)| (*ownership, at)));
        }
    }

    /// An ownership that is named so has this owner, or none.
    pub(crate) fn owned(&mut self, name: &str, owner: Option<&str>, at: Timestamp) {
        let ownership = match self.mode {
            Division::Leader => Some(0),
            Division::Sharded => name.parse().ok(),
        };
        let Some(ownership) = ownership else { return };
        match owner {
            Some(owner) => self.owners.insert(ownership, (owner.to_owned(), at)),
            None => {
                self.lost.insert(ownership, at);
                self.owners.remove(&ownership)
            }
        };
    }

    /// A lab was written, by whomever.
    pub(crate) fn written(&mut self, change: &Change) -> anyhow::Result<()> {
        let name = change.key().name().to_owned();
        let before = self.waiting.remove(&name);
        let Some(entry) = change.current() else { return Ok(()) };
        let state = field(entry, "/status/state")?.unwrap_or_else(|| "pending".to_owned());
        let at = field(entry, "/metadata/lastModified")?.context("a lab without a time")?;
        let at: Timestamp = at.parse().context("a lab's time can't be read")?;
        if let Some((since, was)) = before {
            let ownership = self.ownership(change.key());
            let since = self.lost.get(&ownership).map_or(since, |lost| since.max(*lost));
            let idle = at.duration_since(since);
            if idle > self.longest {
                let owned = self.owners.get(&ownership).map(|(_, owned)| owned.duration_since(since));
                let without = owned.unwrap_or_default();
                (self.longest, self.whose) = (idle, format!("{name}, {was}, {without:.1?} of it without an owner"));
            }
        }
        if matches!(state.as_str(), "pending" | "provisioning") {
            self.waiting.insert(name, (at, state));
        }
        Ok(())
    }

    /// Of which ownership a lab is.
    fn ownership(&self, lab: &Key) -> usize {
        match self.mode {
            Division::Leader => 0,
            Division::Sharded => ShardBy::Object.shard(lab),
        }
    }

    /// No lab waited longer for its next step than `limit`.
    pub(crate) fn check(&self, limit: Duration) -> anyhow::Result<()> {
        let Self { longest, whose, .. } = self;
        ensure!(*longest <= limit, "{whose}, waited for {longest:.1?}, expected at most {limit:?}");
        Ok(())
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { longest, whose, .. } = self;
        write!(
            f,
            "no lab waited longer than {longest:.1?} ({whose}) for its next step, since the last one or since its owner was lost"
        )
    }
}
