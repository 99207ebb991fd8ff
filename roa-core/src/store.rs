//! [`Store`]: the small contract that each backend proves. Everything that users call is built on top of it, once.

use std::fmt::{Debug, Display};
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{CommitError, Entry, Epoch, Error, Key, KeyPrefix, Result, Revision, StoreId, Tail, Txn, Violations};

/// Ordered keys with a dense history of transactions.
///
/// A store knows nothing of objects, controllers or watches. It promises (numbers as in the architecture page):
/// each commit gets the revision after the one before (S1); commits are strictly serializable (S2); expectations are
/// compared and writes done in one step (S3, S4); an unclear outcome is [`CommitError::Ambiguous`], never a failure
/// (S5); nothing is visible before it is as durable as [`Capabilities::durability`] says (S6).
///
/// ```
/// # use roa_core::{Key, Result, Revision, Store, SystemRandom, Txn, TxnId, Value};
/// /// Writes a key that is not there yet.
/// async fn create(store: &dyn Store, key: Key) -> Result<Revision, roa_core::CommitError> {
///     store.commit(Txn::new(TxnId::random(&SystemRandom), "docs").create(key, Value::opaque("hello"))).await
/// }
/// ```
#[async_trait]
pub trait Store: Debug + Display + Send + Sync + 'static {
    /// Which store.
    fn id(&self) -> StoreId;

    /// What it promises beyond the contract: data that the suite and the runtime read.
    fn capabilities(&self) -> &Capabilities;

    /// The entry of a key, or that it is absent, and the revision at which that is true: at least that of every commit
    /// acknowledged before the call.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    async fn get(&self, key: &Key) -> Result<Read>;

    /// A page of the entries below a prefix, in key order, all as of one revision.
    ///
    /// # Errors
    /// [`Error::Expired`] for a revision below the floor, [`Error::TooLarge`] for one after the head,
    /// [`Error::Invalid`] for a start outside the prefix, [`Error::Unavailable`], [`Error::Corrupt`].
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    async fn list(&self, request: ListRequest) -> Result<Page>;

    /// Does all writes of a transaction in the next revision, or none. When it returns, the commit is as durable as
    /// the store declares.
    ///
    /// # Errors
    /// See [`CommitError`]; only [`CommitError::Ambiguous`] leaves the outcome open.
    ///
    /// # Cancel safety
    /// Dropping the future makes the outcome ambiguous: all of it has happened, or nothing.
    async fn commit(&self, txn: Txn) -> Result<Revision, CommitError>;

    /// The change feed: every batch after a revision, unfiltered, dense, once, in order.
    ///
    /// # Errors
    /// [`Error::Expired`] for a revision below the floor, [`Error::TooLarge`] for one after the head,
    /// [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Safe; dropping the feed frees what it holds.
    async fn tail(&self, after: Revision) -> Result<Tail>;

    /// Forgets the history up to and including a revision; live entries stay. Never forgets less than before, and
    /// keeps what the store's configuration says to keep. Gives the floor after it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a revision after the head, [`Error::Unavailable`].
    async fn compact(&self, to: Revision) -> Result<Revision>;

    /// Declares a discontinuity: the head jumps past `highest`, the floor with it, the epoch changes; feeds end with
    /// `Expired`, commits prepared in the old epoch are refused. Does nothing if the epoch is no longer `expected`,
    /// or if nothing was committed since the last jump. Gives the state after it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn fence(&self, expected: Epoch, highest: Revision) -> Result<StoreState>;

    /// Where the history stands.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    ///
    /// # Cancel safety
    /// Safe: nothing changes.
    async fn state(&self) -> Result<StoreState>;

    /// Whether it can do its work.
    async fn health(&self) -> Health;
}

/// Where a store's history stands.
///
/// ```
/// # use roa_core::{Result, Revision, Store};
/// /// Whether changes after a revision can still be read.
/// async fn is_kept(store: &dyn Store, after: Revision) -> Result<bool> {
///     Ok(store.state().await?.floor <= after)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreState {
    /// The newest revision.
    pub head: Revision,
    /// The oldest revision that can be resumed after.
    pub floor: Revision,
    /// The stretch of history.
    pub epoch: Epoch,
}

/// The answer to [`Store::get`].
///
/// ```
/// # use roa_core::{Key, Result, Store};
/// async fn version(store: &dyn Store, key: &Key) -> Result<Option<u64>> {
///     Ok(store.get(key).await?.entry.map(|entry| entry.version))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The entry; `None` if absent.
    pub entry: Option<Arc<Entry>>,
    /// The revision at which that is true.
    pub revision: Revision,
}

/// As of when a list is to be true.
///
/// ```
/// use roa_core::{At, KeyPrefix, ListRequest, Revision};
/// let then = ListRequest::new(KeyPrefix::everything()).at(At::Exact(Revision::new(7)?));
/// # drop(then);
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum At {
    /// Now: at least every commit acknowledged before the call.
    #[default]
    Latest,
    /// Precisely this revision.
    Exact(Revision),
    /// This revision or later.
    NotOlderThan(Revision),
}

/// What to list.
///
/// ```
/// use std::num::NonZeroUsize;
/// use roa_core::{KeyPrefix, ListRequest};
/// let page = ListRequest::new(KeyPrefix::resource("lab.example.com", "labs")?).limit(NonZeroUsize::MIN);
/// assert!(page.validate().is_ok());
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListRequest {
    /// Which keys.
    pub prefix: KeyPrefix,
    /// As of when.
    pub at: At,
    /// How many entries at most; `None` for all.
    pub limit: Option<NonZeroUsize>,
    /// Begin after this key, which lies in the prefix.
    pub after: Option<Key>,
}

impl ListRequest {
    /// All entries of a prefix, now.
    #[must_use]
    pub const fn new(prefix: KeyPrefix) -> Self {
        Self { prefix, at: At::Latest, limit: None, after: None }
    }

    /// As of when.
    #[must_use]
    pub const fn at(mut self, at: At) -> Self {
        self.at = at;
        self
    }

    /// How many entries at most.
    #[must_use]
    pub const fn limit(mut self, limit: NonZeroUsize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Goes on where a page ended, at the same revision.
    #[must_use]
    pub fn resume(mut self, next: Continue) -> Self {
        self.at = At::Exact(next.revision);
        self.after = Some(next.after);
        self
    }

    /// Checks what holds on every backend. Backends call it before any I/O.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is to begin after a key outside the prefix.
    pub fn validate(&self) -> Result<()> {
        match &self.after {
            Some(after) if !self.prefix.contains(after) => {
                let message = format!("{after} lies outside of what is listed, expected a key below {:?}", self.prefix);
                Err(Error::invalid("list request", Violations::one("continue", message)))
            }
            _ => Ok(()),
        }
    }
}

/// Where the next page begins.
///
/// ```
/// # use roa_core::{KeyPrefix, ListRequest, Page, Result, Store};
/// async fn next(store: &dyn Store, page: Page) -> Result<Option<Page>> {
///     let Some(next) = page.next else { return Ok(None) };
///     store.list(ListRequest::new(KeyPrefix::everything()).resume(next)).await.map(Some)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continue {
    /// The revision that all pages share.
    pub revision: Revision,
    /// The last key of the page before.
    pub after: Key,
}

/// The answer to [`Store::list`].
///
/// ```
/// # use roa_core::{KeyPrefix, ListRequest, Result, Store};
/// async fn count(store: &dyn Store) -> Result<usize> {
///     Ok(store.list(ListRequest::new(KeyPrefix::everything())).await?.entries.len())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries, in key order.
    pub entries: Vec<Arc<Entry>>,
    /// The revision at which they are true.
    pub revision: Revision,
    /// Where the next page begins; `None` if this was the last.
    pub next: Option<Continue>,
}

/// What survives what.
///
/// ```
/// # use roa_core::{Durability, Store};
/// fn is_kept(store: &dyn Store) -> bool {
///     store.capabilities().durability != Durability::Volatile
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing survives the process.
    Volatile,
    /// An acknowledged commit survives the end of the process.
    ProcessCrash,
    /// An acknowledged commit survives a power cut.
    PowerLoss,
    /// An acknowledged commit survives the loss of a machine.
    Replicated,
}

impl Display for Durability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Volatile => "volatile",
            Self::ProcessCrash => "process-crash",
            Self::PowerLoss => "power-loss",
            Self::Replicated => "replicated",
        })
    }
}

/// When reads see every acknowledged commit.
///
/// ```
/// # use roa_core::{Linearizable, Store};
/// fn survives_a_fail_over(store: &dyn Store) -> bool {
///     store.capabilities().linearizable == Linearizable::Always
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Linearizable {
    /// Always.
    Always,
    /// Unless the store fails over to a replica that lacks acknowledged commits; that is noticed and fenced.
    UnlessFailover,
}

/// What a store promises beyond the contract.
///
/// ```
/// use roa_core::{Capabilities, Durability};
/// assert_eq!(Capabilities::volatile().durability, Durability::Volatile);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What survives what: printed at start.
    pub durability: Durability,
    /// When reads see every acknowledged commit.
    pub linearizable: Linearizable,
    /// Each revision has exactly one batch, so that a gap is noticed.
    pub dense: bool,
    /// Lists of any revision that is still kept.
    pub exact_lists: bool,
    /// The store is there again after its last handle was dropped.
    pub reopens: bool,
    /// Several processes can use it at once.
    pub shared: bool,
}

impl Capabilities {
    /// A dense, linearizable store with exact lists, of one process, that does not outlive it.
    #[must_use]
    pub const fn volatile() -> Self {
        Self {
            durability: Durability::Volatile,
            linearizable: Linearizable::Always,
            dense: true,
            exact_lists: true,
            reopens: false,
            shared: false,
        }
    }
}

/// Whether a store can do its work.
///
/// ```
/// # use roa_core::Health;
/// fn is_usable(health: &Health) -> bool {
///     !matches!(health, Health::Failing(_))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It can.
    Healthy,
    /// It can, but somebody should look.
    Degraded(String),
    /// It can't.
    Failing(String),
}

impl Health {
    /// The health that a head alone implies: failing above [`Revision::ALARM`].
    #[must_use]
    pub fn of_head(head: Revision) -> Self {
        if head.get() > Revision::ALARM {
            Self::Failing(format!("revision {head} is past 2^52: the last revision is in sight"))
        } else {
            Self::Healthy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_cannot_be_continued_from_a_foreign_prefix() {
        let prefix = KeyPrefix::namespace("g", "things", "mine").unwrap();
        let (mine, theirs) =
            (Key::new("g", "things", "mine", "a").unwrap(), Key::new("g", "things", "theirs", "a").unwrap());
        let resume =
            |after| ListRequest::new(prefix.clone()).resume(Continue { revision: Revision::new(1).unwrap(), after });
        assert!(resume(mine).validate().is_ok());
        assert!(matches!(resume(theirs).validate(), Err(Error::Invalid { .. })));
    }

    #[test]
    fn health_is_failing_past_the_alarm() {
        assert_eq!(Health::of_head(Revision::new(Revision::ALARM).unwrap()), Health::Healthy);
        assert!(matches!(Health::of_head(Revision::new(Revision::ALARM + 1).unwrap()), Health::Failing(_)));
    }
}
