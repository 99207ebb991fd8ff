//! [`Revision`]: where in a store's history something is. [`Epoch`], [`StoreId`], [`TxnId`]: whose history it is.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

use crate::{Random, RandomExt, Timestamp};

/// One committed transaction's place in the history of its store: dense, rising, never reused.
///
/// At most 2^53 - 1, so that Lua, JavaScript and JSON carry it exactly; never zero. Outside the process it is an
/// opaque decimal string, as Kubernetes' `resourceVersion`.
///
/// ```
/// use roa_core::Revision;
/// let revision: Revision = "42".parse()?;
/// assert_eq!(revision.next()?.get(), 43);
/// assert!("042".parse::<Revision>().is_err());
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(NonZeroU64);

/// A number or text that is no revision, or the end of all revisions.
///
/// ```
/// use roa_core::{Revision, RevisionError};
/// assert!(matches!(Revision::new(0), Err(RevisionError::OutOfRange(0))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// Zero, or past the greatest revision.
    #[error("parse revision {0}: expected an integer from 1 to 9007199254740991")]
    OutOfRange(u64),
    /// Not a decimal integer without sign and leading zeros.
    #[error("parse revision {0:?}: expected a decimal integer without sign or leading zeros")]
    Malformed(String),
    /// The store has used its last revision.
    #[error("allocate a revision: the store has reached the last one, 9007199254740991")]
    Exhausted,
}

impl Revision {
    /// The greatest revision, 2^53 - 1.
    pub const MAX: u64 = (1 << 53) - 1;
    /// Above this a store's health is failing: the end is in sight.
    pub const ALARM: u64 = 1 << 52;
    /// How far a discontinuity jumps at least.
    pub const JUMP: u64 = 1 << 32;
    /// How far past the head the clock leads a jump at most: one that is wrong must not use the revisions up.
    pub const CLOCK_JUMP: u64 = Self::ALARM / 2;
    /// The year 2100: a clock that is past it is wrong. The revisions that belong to it are below the alarm.
    const LAST_SECOND: u64 = 4_102_444_800;

    /// The revision numbered `value`.
    ///
    /// # Errors
    /// [`RevisionError::OutOfRange`] for zero and for more than [`Revision::MAX`].
    pub const fn new(value: u64) -> Result<Self, RevisionError> {
        match NonZeroU64::new(value) {
            Some(number) if value <= Self::MAX => Ok(Self(number)),
            _ => Err(RevisionError::OutOfRange(value)),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The revision of the commit after this one.
    ///
    /// # Errors
    /// [`RevisionError::Exhausted`] after the last.
    pub fn next(self) -> Result<Self, RevisionError> {
        Self::new(self.get() + 1).map_err(|_| RevisionError::Exhausted)
    }

    /// Where a store that is created at `now` opens: seconds since 1970, times 2^20. A store made anew at the same
    /// address so never repeats a revision that a client of the old one still holds, as long as the old one
    /// committed fewer than a million times a second on average. The time line ends with the year 2099: what a wrong clock
    /// says must leave revisions to go on with.
    #[must_use]
    pub fn opening(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_unix_seconds()).unwrap_or(0).clamp(1, Self::LAST_SECOND);
        Self::clamped(seconds << 20)
    }

    /// Where the history goes on after a discontinuity: past `head`, past the `highest` revision that any caller has
    /// seen, past [`Revision::opening`] where that is at most [`Revision::CLOCK_JUMP`] after the head, by 2^32 and 32
    /// random bits. The end of all revisions is reached, not passed.
    #[must_use]
    pub fn jump(head: Self, highest: Self, now: Timestamp, random: &dyn Random) -> Self {
        let time_line = Self::opening(now).min(Self::clamped(head.get() + Self::CLOCK_JUMP));
        let base = head.max(highest).max(time_line).get();
        Self::clamped(base + Self::JUMP + (random.next_u64() >> 32))
    }

    fn clamped(value: u64) -> Self {
        NonZeroU64::new(value.min(Self::MAX)).map_or(Self(NonZeroU64::MIN), Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl FromStr for Revision {
    type Err = RevisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || RevisionError::Malformed(text.chars().take(32).collect());
        if text.is_empty() || text.starts_with('0') && text.len() > 1 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed());
        }
        Self::new(text.parse().map_err(|_| malformed())?)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Which stretch of a store's history: it changes at each discontinuity, and only there.
///
/// The nonce keeps two jumps apart when the first was itself lost by a fail-over.
///
/// ```
/// use roa_core::{Epoch, SeededRandom};
/// let random = SeededRandom::new(1);
/// let first = Epoch::first(&random);
/// assert!(first.following(&random).counter > first.counter);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// How many discontinuities this store has seen, plus one.
    pub counter: u64,
    /// Random.
    pub nonce: u64,
}

impl Epoch {
    /// The first epoch of a new store.
    #[must_use]
    pub fn first(random: &dyn Random) -> Self {
        Self { counter: 1, nonce: random.next_u64() }
    }

    /// The epoch after this one.
    #[must_use]
    pub fn following(self, random: &dyn Random) -> Self {
        Self { counter: self.counter.saturating_add(1), nonce: random.next_u64() }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.counter, self.nonce)
    }
}

/// Which store: random, made when the store is created, kept for its life.
///
/// ```
/// use roa_core::{RandomExt, StoreId, SystemRandom};
/// assert_ne!(StoreId(SystemRandom.uuid()), StoreId(SystemRandom.uuid()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub Uuid);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which transaction: random, chosen by the client, so that it can recognise its own after an unclear answer, and so
/// that each log entry can name its predecessor.
///
/// ```
/// use roa_core::{SystemRandom, TxnId};
/// assert_ne!(TxnId::random(&SystemRandom), TxnId::none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TxnId(pub Uuid);

impl TxnId {
    /// A new random id.
    #[must_use]
    pub fn random(random: &dyn Random) -> Self {
        Self(random.uuid())
    }

    /// What stands before the first entry of a log, and before the first entry after a jump.
    #[must_use]
    pub const fn none() -> Self {
        Self(Uuid::nil())
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn {self}")
    }
}

/// A place in one store's history that survives the process: what a bookmark stores.
///
/// A position of another store or another epoch can't be resumed: such a resume is answered with `Expired`.
///
/// ```
/// use roa_core::{Epoch, Position, RandomExt, Revision, Start, StoreId, SystemRandom};
/// let (store, epoch) = (StoreId(SystemRandom.uuid()), Epoch::first(&SystemRandom));
/// let position = Position { store, epoch, revision: Revision::new(7)? };
/// let start = Start::Resume(position); // goes on there, if it is the same history
/// # let _ = start;
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Whose history.
    pub store: StoreId,
    /// Which stretch of it.
    pub epoch: Epoch,
    /// Everything up to and including this revision has been handled.
    pub revision: Revision,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRandom;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn s1_the_last_revision_has_no_next() {
        let last = Revision::new(Revision::MAX).unwrap();
        assert_eq!(last.next(), Err(RevisionError::Exhausted));
        assert_eq!(Revision::new(0), Err(RevisionError::OutOfRange(0)));
        assert!(Revision::new(Revision::MAX + 1).is_err());
    }

    #[test]
    fn text_with_signs_zeros_or_letters_is_refused() {
        for bad in ["", "0", "-1", "+1", "01", "1 ", "1e3", "９", "18446744073709551616", "9007199254740992"] {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn s14_a_jump_passes_head_known_mark_and_time_line() {
        let random = SeededRandom::new(1);
        let (low, high) = (Revision::new(10).unwrap(), Revision::new(1 << 51).unwrap());
        let now = at(1_800_000_000);
        assert!(Revision::jump(low, low, now, &random).get() >= (1_800_000_000 << 20) + Revision::JUMP);
        assert!(Revision::jump(low, high, now, &random).get() >= high.get() + Revision::JUMP);
        let end = Revision::new(Revision::MAX).unwrap();
        assert_eq!(Revision::jump(end, end, now, &random), end);
    }

    #[test]
    fn a_clock_that_is_wrong_leaves_revisions_to_go_on_with() {
        let (random, year_2300) = (SeededRandom::new(1), at(10_413_792_000));
        assert!(Revision::opening(year_2300).get() < Revision::ALARM);
        let mut head = Revision::opening(at(1_800_000_000));
        for _ in 0..1_000 {
            let jumped = Revision::jump(head, head, year_2300, &random);
            assert!(jumped.get() >= head.get() + Revision::JUMP && jumped.get() < Revision::ALARM, "{jumped}");
            head = jumped.next().unwrap();
        }
        let low = Revision::new(10).unwrap();
        assert!(Revision::jump(low, low, year_2300, &random).get() < Revision::ALARM / 2 + 4 * Revision::JUMP);
    }

    #[test]
    fn a_fresh_store_opens_past_an_older_one() {
        assert!(Revision::opening(at(1_800_000_001)) > Revision::opening(at(1_800_000_000)));
        assert_eq!(Revision::opening(at(1_800_000_000)).get(), 1_800_000_000 << 20);
        assert!(Revision::opening(at(-5)).get() > 0);
    }

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_the_order(a in 1..=Revision::MAX, b in 1..=Revision::MAX) {
            let (left, right) = (Revision::new(a).unwrap(), Revision::new(b).unwrap());
            prop_assert_eq!(left.to_string().parse::<Revision>().unwrap(), left);
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            let json = serde_json::to_string(&left).unwrap();
            prop_assert_eq!(serde_json::from_str::<Revision>(&json).unwrap(), left);
        }
    }
}
