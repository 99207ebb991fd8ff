//! [`Feed`]: what the store's own history says of who owned what, and of who wrote to which lab.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::StreamExt;
use roa_core::{Batch, Change, Entry, Revision, Spec, Tail, Timestamp};
use roa_lab::LabInstance;
use serde_json::Value;

use crate::idle::Idle;
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
    /// By the address where people ask it: the incarnation of a process.
    addresses: HashMap<String, String>,
    batches: u64,
    hand_overs: u64,
    take_overs: u64,
    last: Option<Revision>,
    idle: Idle,
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
            addresses: HashMap::new(),
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

    /// The process that is asked at this address does nothing from then on, for ever or for a while.
    pub(crate) fn disturbed(&mut self, address: &str, at: Timestamp) -> anyhow::Result<()> {
        let incarnation = self.addresses.get(address);
        let incarnation =
            incarnation.with_context(|| format!("the store knows no process that is asked at {address}"))?;
        self.idle.disturbed(incarnation.clone(), at);
        Ok(())
    }

    /// No lab waited longer for its next step than `limit`.
    pub(crate) fn check_idle(&self, limit: Duration) -> anyhow::Result<()> {
        self.idle.check(limit)
    }

    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        if let Some(last) = self.last {
            ensure!(batch.revision.get() == last.get() + 1, "revision {} came after {last}", batch.revision);
        }
        self.last = Some(batch.revision);
        self.batches += 1;
        self.idle.comes_to(batch.committed_at);
        for change in batch.changes.iter().filter(|change| change.key().resource() == LabInstance::PLURAL) {
            self.idle.written(change)?;
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
                let address = change.current().map(|entry| field(entry, "/address")).transpose()?.flatten();
                self.addresses.extend(address.map(|address| (address, incarnation.clone())));
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
        self.idle.owned(&owned, now.as_deref(), batch.committed_at);
        let before = self.owners.insert(owned.clone(), now.clone()).flatten();
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

pub(crate) fn field(entry: &Entry, pointer: &str) -> anyhow::Result<Option<String>> {
    let value: Value = serde_json::from_slice(&entry.value.bytes).context("a record can't be read")?;
    Ok(value.pointer(pointer).and_then(Value::as_str).map(str::to_owned))
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batches, hand_overs, take_overs, idle, .. } = self;
        writeln!(f, "{idle}")?;
        write!(
            f,
            "{batches} commits seen without a gap; {hand_overs} ownerships handed over, {take_overs} taken over, none shared"
        )
    }
}
