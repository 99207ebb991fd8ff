//! [`Layout`]: how the processes on a store divide the work, written down, so that no two can disagree.
//!
//! The record of it is guarded by each acquisition, and is changed only in a transaction that also sees that nobody owns
//! anything. So a process with another configuration either finds all others gone, or is refused.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use roa_core::{CommitError, Error, Expect, Key, KeyError, Monotonic, Random, Revision, Txn, TxnId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::LeaseConfig;
use super::group::Group;
use super::observer::Observer;
use super::patient_store::{Committed, Patience, PatientStore};
use super::record::{OwnershipRecord, Stored, decode, encode, heartbeat_key};
use super::term::Signals;
use super::view::View;
use crate::ShardBy;
use crate::shard::SHARDS;

/// How often agreeing is tried when others write in between.
const ATTEMPTS: usize = 5;

/// How the processes that share a store divide the work.
///
/// ```
/// use roa_runtime::{Layout, LayoutRecord, ShardBy};
/// let record = LayoutRecord::from(Layout::Sharded(ShardBy::Namespace));
/// assert!(matches!(record, LayoutRecord::Sharded { .. }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// One of them does all of it.
    Leader,
    /// Each has some of the shards.
    Sharded(ShardBy),
}

/// Why a process can't take part.
///
/// ```
/// # use roa_runtime::LayoutError;
/// fn is_configured_otherwise(error: &LayoutError) -> bool {
///     matches!(error, LayoutError::Mismatch(_))
/// }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The processes that are there divide the work otherwise.
    #[error(transparent)]
    Mismatch(Box<LayoutMismatch>),
    /// The others have agreed to divide the work otherwise while this process was away and counted as dead.
    #[error("work on {name}: others agreed on another layout meanwhile; hint: configure the same, and start again")]
    Outvoted {
        /// The group.
        name: Arc<str>,
    },
    /// What was agreed on can't be read: it may be of a newer version.
    #[error("agree on {name}: {source}")]
    Unreadable {
        /// The group.
        name: Arc<str>,
        /// Why not.
        source: Box<Error>,
    },
    /// The store does not answer.
    #[error("agree on {name}: {source}")]
    Store {
        /// The group.
        name: Arc<str>,
        /// What it says.
        source: Box<Error>,
    },
    /// The group's name makes no key.
    #[error("agree on a layout: {0}")]
    Name(#[from] KeyError),
}

/// Two configurations of one store.
///
/// ```
/// # use roa_runtime::LayoutMismatch;
/// fn says(mismatch: &LayoutMismatch) -> String {
///     format!("stop {} first, or run as {}", mismatch.owners, mismatch.found)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "agree on {name}: the store is worked on as {found}, expected {wanted}; it is owned by {owners}; \
     hint: configure the same, or stop all processes on this store first"
)]
pub struct LayoutMismatch {
    /// The group.
    pub name: Arc<str>,
    /// What this process wants.
    pub wanted: LayoutRecord,
    /// What was agreed on.
    pub found: LayoutRecord,
    /// Who lives by that, by name.
    pub owners: String,
}

/// A layout as it is stored.
///
/// ```
/// use roa_runtime::{Layout, LayoutRecord};
/// assert_eq!(LayoutRecord::from(Layout::Leader), LayoutRecord::Leader {});
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "camelCase", deny_unknown_fields)]
pub enum LayoutRecord {
    /// One lease.
    Leader {},
    /// Shards.
    Sharded {
        /// How many.
        shards: usize,
        /// What decides the shard of an object.
        by: ShardBy,
        /// How it is hashed.
        hash: String,
    },
}

impl From<Layout> for LayoutRecord {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Leader => Self::Leader {},
            Layout::Sharded(by) => Self::Sharded { shards: SHARDS, by, hash: "siphash-1-3".to_owned() },
        }
    }
}

impl fmt::Display for LayoutRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader {} => f.write_str("one leader"),
            Self::Sharded { shards, by, hash } => {
                let by = if *by == ShardBy::Namespace { "namespace" } else { "object" };
                write!(f, "{shards} shards by {by} ({hash})")
            }
        }
    }
}

/// Who agrees.
pub(super) struct Agreement<'a> {
    pub(super) store: &'a PatientStore,
    pub(super) random: &'a dyn Random,
    pub(super) config: &'a LeaseConfig,
    pub(super) name: &'a str,
}

/// What came of one attempt.
enum Attempt {
    Agreed(Revision),
    /// Somebody wrote in between.
    Again,
    /// Others live by another layout, or may live.
    Refused {
        found: LayoutRecord,
        owners: String,
    },
    /// Whether they live is not known yet.
    Wait,
}

impl Agreement<'_> {
    /// The key and the revision of the agreed layout, which is `wanted`.
    pub(super) async fn on(&self, wanted: Layout) -> Result<(Key, Revision), LayoutError> {
        let key = Key::system("layouts", self.name)?;
        let wanted = LayoutRecord::from(wanted);
        let mut watch = Watch::new(self)?;
        let mut attempts = 0;
        loop {
            match self.attempt(&key, &wanted, &mut watch).await? {
                Attempt::Agreed(revision) => return Ok((key, revision)),
                Attempt::Again if attempts < ATTEMPTS => attempts += 1,
                Attempt::Again => return Err(self.unavailable("others write in between all the time")),
                Attempt::Refused { found, owners } => {
                    let mismatch = LayoutMismatch { name: self.name.into(), wanted, found, owners };
                    return Err(LayoutError::Mismatch(Box::new(mismatch)));
                }
                Attempt::Wait => self.store.clock.sleep_until(self.now() + self.config.retry_period).await,
            }
        }
    }

    async fn attempt(&self, key: &Key, wanted: &LayoutRecord, watch: &mut Watch) -> Result<Attempt, LayoutError> {
        let deadline = self.now() + self.config.attempt();
        let found = self.store.get(key, deadline).await.map_err(|source| self.failed(source))?;
        let Some(entry) = found else {
            let txn = self.txn().create(key.clone(), self.encoded(wanted)?);
            return self.commit(txn).await;
        };
        let found: Stored<LayoutRecord> = decode(&entry)
            .map_err(|source| LayoutError::Unreadable { name: self.name.into(), source: source.into() })?;
        if found.record == *wanted {
            return Ok(Attempt::Agreed(found.revision));
        }
        let view = View::read(self.store, &watch.groups, deadline).await.map_err(|source| self.failed(source))?;
        match watch.judge(&view, self.now(), self.config) {
            Verdict::Wait => Ok(Attempt::Wait),
            Verdict::Alive(owners) => Ok(Attempt::Refused { found: found.record, owners }),
            Verdict::Dead(dead) => {
                let txn = self.txn().expect_epoch(view.epoch);
                let txn = txn.update(key.clone(), self.encoded(wanted)?, found.revision);
                self.commit(self.clear(txn, &view, &watch.groups, &dead)?).await
            }
        }
    }

    /// Nobody owns anything any more, in the same transaction: each ownership is vacant or made so, and the heartbeats
    /// of the dead go, so that what they may still send is refused.
    fn clear(&self, mut txn: Txn, view: &View, groups: &[Group], dead: &BTreeSet<String>) -> Result<Txn, LayoutError> {
        for key in groups.iter().flat_map(Group::keys) {
            txn = match view.ownerships.get(key) {
                None => txn.guard(key.clone(), Expect::Absent),
                Some(Stored { revision, record }) => match record {
                    Some(OwnershipRecord { owner: Some(_), transitions }) => {
                        let vacant = OwnershipRecord { owner: None, transitions: *transitions };
                        let vacant = encode(&vacant).map_err(|source| self.failed(source))?;
                        txn.update(key.clone(), vacant, *revision)
                    }
                    _ => txn.guard(key.clone(), Expect::At(*revision)),
                },
            };
        }
        for holder in dead {
            let key = heartbeat_key(holder)?;
            txn = match view.heartbeats.get(holder) {
                Some(heartbeat) => txn.delete(key, heartbeat.revision),
                None => txn.guard(key, Expect::Absent),
            };
        }
        Ok(txn)
    }

    async fn commit(&self, txn: Txn) -> Result<Attempt, LayoutError> {
        let deadline = self.now() + self.config.attempt();
        match self.store.commit(txn, Patience { answer: deadline, inquiry: deadline }).await {
            Committed::Applied(revision) => Ok(Attempt::Agreed(revision)),
            Committed::Refused(CommitError::Unavailable { reason }) => Err(self.unavailable(&reason)),
            Committed::Refused(_) | Committed::Unclear => Ok(Attempt::Again),
        }
    }

    fn now(&self) -> Monotonic {
        self.store.clock.monotonic()
    }

    fn txn(&self) -> Txn {
        Txn::new(TxnId::random(self.random), "lease")
    }

    fn encoded(&self, record: &LayoutRecord) -> Result<roa_core::Value, LayoutError> {
        encode(record).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: Error) -> LayoutError {
        LayoutError::Store { name: self.name.into(), source: source.into() }
    }

    fn unavailable(&self, reason: &str) -> LayoutError {
        self.failed(Error::unavailable(reason))
    }
}

/// Whether those who own something by another layout live.
struct Watch {
    /// By either layout.
    groups: Vec<Group>,
    observer: Observer,
    begun: Option<(Monotonic, View)>,
}

enum Verdict {
    Wait,
    /// At least these, by name.
    Alive(String),
    /// All of these, by name; or nobody owns anything.
    Dead(BTreeSet<String>),
}

impl Watch {
    fn new(agreement: &Agreement<'_>) -> Result<Self, KeyError> {
        let signals = Arc::<Signals>::default();
        let groups = vec![
            Group::lease(agreement.name, Arc::clone(&signals))?,
            Group::shards(agreement.name, ShardBy::Object, signals)?,
        ];
        Ok(Self { groups, observer: Observer::new(agreement.config.duration), begun: None })
    }

    fn judge(&mut self, view: &View, now: Monotonic, config: &LeaseConfig) -> Verdict {
        self.observer.look(view, now);
        let owners = self.groups.iter().flat_map(Group::keys).filter_map(|key| view.owner(key));
        let owners: Vec<_> = owners.collect();
        let unreadable = view.ownerships.values().any(|stored| stored.record.is_none());
        if unreadable {
            return Verdict::Alive("a process of another version".to_owned());
        }
        if owners.iter().all(|owner| self.observer.is_dead(&owner.incarnation, now)) {
            return Verdict::Dead(owners.iter().map(|owner| owner.holder.clone()).collect());
        }
        let (begin, first) = self.begun.get_or_insert_with(|| (now, view.clone()));
        let moved = owners.iter().filter(|owner| {
            let before = first.sign_of(owner);
            before.is_some() && view.sign_of(owner).is_some() && before != view.sign_of(owner)
        });
        let alive: BTreeSet<&str> = moved.map(|owner| owner.holder.as_str()).collect();
        let waited = now.saturating_since(*begin) > config.duration.saturating_mul(2);
        match alive.is_empty() {
            false => Verdict::Alive(alive.into_iter().collect::<Vec<_>>().join(", ")),
            true if waited => Verdict::Alive("processes with longer leases".to_owned()),
            true => Verdict::Wait,
        }
    }
}
