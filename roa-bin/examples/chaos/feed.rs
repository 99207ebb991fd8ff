//! [`Feed`]: what the store's own history says of who owned what, and of who wrote to which lab.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use roa_core::{Batch, Change, Entry, Key, Revision, Spec, Tail, Timestamp};
use roa_lab::LabInstance;
use roa_runtime::ShardBy;
use serde_json::Value;

use crate::onlooker::Onlooker;
use crate::options::Division;

/// How long what was committed may take to show.
const PATIENCE: Duration = Duration::from_secs(10);

/// The change feed, as far as it was read, and what it showed.
pub(crate) struct Feed {
    tail: Tail,
    /// By lease or shard: incarnation of the owner.
    owners: BTreeMap<String, Option<String>>,
    /// The incarnations that live.
    living: HashMap<String, String>,
    dead: BTreeSet<String>,
    batches: u64,
    hand_overs: u64,
    take_overs: u64,
    last: Option<Revision>,
    idle: Idle,
}

/// How long labs that were not ready yet went without anybody doing anything for them although they had an owner, by the
/// times of the writes. That there is an owner in time is checked as each disturbance ends.
struct Idle {
    mode: Division,
    /// When each lab that is on its way was last written, and as what.
    waiting: HashMap<String, (Timestamp, String)>,
    /// When the lease, or each shard, last got another owner.
    owned_since: HashMap<usize, Timestamp>,
    longest: Duration,
    whose: String,
}

impl Idle {
    fn new(mode: Division) -> Self {
        Self {
            mode,
            waiting: HashMap::new(),
            owned_since: HashMap::new(),
            longest: Duration::ZERO,
            whose: String::new(),
        }
    }

    /// Of which ownership a lab is.
    fn ownership(&self, lab: &Key) -> usize {
        match self.mode {
            Division::Leader => 0,
            Division::Sharded => ShardBy::Object.shard(lab),
        }
    }

    /// An ownership that is named so has another owner.
    fn owned(&mut self, name: &str, at: Timestamp) {
        let ownership = match self.mode {
            Division::Leader => Some(0),
            Division::Sharded => name.parse().ok(),
        };
        ownership.map(|ownership| self.owned_since.insert(ownership, at));
    }

    fn take(&mut self, change: &Change) -> anyhow::Result<()> {
        let name = change.key().name().to_owned();
        let before = self.waiting.remove(&name);
        let Some(entry) = change.current() else { return Ok(()) };
        let state = field(entry, "/status/state")?.unwrap_or_else(|| "pending".to_owned());
        let at = field(entry, "/metadata/lastModified")?.context("a lab without a time")?;
        let at: Timestamp = at.parse().context("a lab's time can't be read")?;
        if let Some((since, was)) = before {
            let owned_since = self.owned_since.get(&self.ownership(change.key())).copied();
            let idle = at.duration_since(owned_since.map_or(since, |owned_since| owned_since.max(since)));
            if idle > self.longest {
                (self.longest, self.whose) = (idle, format!("{name}, {was}"));
            }
        }
        if matches!(state.as_str(), "pending" | "provisioning") {
            self.waiting.insert(name, (at, state));
        }
        Ok(())
    }
}

impl Feed {
    pub(crate) fn begin(onlooker: &Onlooker, mode: Division) -> anyhow::Result<Self> {
        let tail = onlooker.wait(async {
            let floor = onlooker.store.state().await?.floor;
            onlooker.store.tail(floor).await
        });
        Ok(Self {
            tail: tail.context("failed to follow the store")?,
            owners: BTreeMap::new(),
            living: HashMap::new(),
            dead: BTreeSet::new(),
            batches: 0,
            hand_overs: 0,
            take_overs: 0,
            last: None,
            idle: Idle::new(mode),
        })
    }

    /// Reads what is there, and checks it.
    pub(crate) fn check(&mut self, onlooker: &Onlooker) -> anyhow::Result<()> {
        let head = onlooker.wait(onlooker.store.state()).context("failed to look at the store")?.head;
        while self.last.is_none_or(|last| last < head) {
            let next = onlooker.wait(async { tokio::time::timeout(PATIENCE, self.tail.next()).await });
            let item = next.with_context(|| format!("the feed gave nothing for {PATIENCE:?} before {head}"))?;
            for batch in item.context("the feed ended")?.context("the feed ended")? {
                self.take(&batch)?;
            }
        }
        Ok(())
    }

    /// No lab waited longer for its next step than `limit`.
    pub(crate) fn check_idle(&self, limit: Duration) -> anyhow::Result<()> {
        let Idle { longest, whose, .. } = &self.idle;
        ensure!(*longest <= limit, "{whose}, waited for {longest:.1?}, expected at most {limit:?}");
        Ok(())
    }

    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        if let Some(last) = self.last {
            ensure!(batch.revision.get() == last.get() + 1, "revision {} came after {last}", batch.revision);
        }
        self.last = Some(batch.revision);
        self.batches += 1;
        for change in batch.changes.iter().filter(|change| change.key().resource() == LabInstance::PLURAL) {
            self.idle.take(change)?;
        }
        for change in batch.changes.iter().filter(|change| change.key().is_system()) {
            match change.key().resource() {
                "heartbeats" => self.lives(change)?,
                "leases" | "shards" => self.changes_hands(change, batch)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn lives(&mut self, change: &Change) -> anyhow::Result<()> {
        let holder = change.key().name().to_owned();
        let now = change.current().map(|entry| field(entry, "/incarnation")).transpose()?.flatten();
        let before = match &now {
            Some(incarnation) => {
                ensure!(!self.dead.contains(incarnation), "{holder} lives again as {incarnation}");
                self.living.insert(holder, incarnation.clone())
            }
            None => self.living.remove(&holder),
        };
        self.dead.extend(before.filter(|before| Some(before) != now.as_ref()));
        Ok(())
    }

    /// From an owner to nobody, from nobody to an owner, or from one whose heartbeat is gone.
    fn changes_hands(&mut self, change: &Change, batch: &Batch) -> anyhow::Result<()> {
        let owned = change.key().name().to_owned();
        let entry = change.current().context("an ownership was removed")?;
        let now = field(entry, "/owner/incarnation")?;
        let before = self.owners.insert(owned.clone(), now.clone()).flatten();
        if now.is_some() && now != before {
            self.idle.owned(&owned, batch.committed_at);
        }
        let revision = batch.revision;
        match (before, now) {
            (Some(before), Some(now)) if before != now => {
                ensure!(self.dead.contains(&before), "{owned} went from {before}, which lives, to {now} at {revision}");
                self.take_overs += 1;
            }
            (None, Some(_)) => self.hand_overs += 1,
            _ => {}
        }
        Ok(())
    }
}

fn field(entry: &Entry, pointer: &str) -> anyhow::Result<Option<String>> {
    let value: Value = serde_json::from_slice(&entry.value.bytes).context("a record can't be read")?;
    Ok(value.pointer(pointer).and_then(Value::as_str).map(str::to_owned))
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batches, hand_overs, take_overs, idle, .. } = self;
        writeln!(f, "no lab with an owner waited longer for its next step than {:.1?} ({})", idle.longest, idle.whose)?;
        write!(
            f,
            "{batches} commits seen without a gap; {hand_overs} ownerships handed over, {take_overs} taken over, none shared"
        )
    }
}
