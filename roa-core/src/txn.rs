//! [`Txn`]: what one commit asks for. Guards on other keys and up to 128 writes, all or nothing, one revision.

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;

use crate::{Epoch, Key, Revision, TxnId, Value};

/// What a key must be for a transaction to go through.
///
/// ```
/// use roa_core::{Expect, Revision};
/// let seven = Revision::new(7)?;
/// assert!(Expect::Absent.holds(None) && Expect::At(seven).holds(Some(seven)) && !Expect::Absent.holds(Some(seven)));
/// # Ok::<(), roa_core::RevisionError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key is not there.
    Absent,
    /// The key's entry has this revision.
    At(Revision),
}

impl Expect {
    /// Whether a key whose entry is at `current` (`None`: absent) fulfils it.
    #[must_use]
    pub fn holds(self, current: Option<Revision>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::At(revision) => current == Some(revision),
        }
    }
}

/// A condition on a key that the transaction need not write: how a lost leadership is kept from writing.
///
/// ```
/// use roa_core::{Expect, Guard, Key};
/// let nobody_leads = Guard { key: Key::system("leases", "labs")?, expect: Expect::Absent };
/// # drop(nobody_leads);
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Which key.
    pub key: Key,
    /// What it must be.
    pub expect: Expect,
}

/// One write of a transaction. There is none without an expectation.
///
/// ```
/// use roa_core::{Expect, Key, Op, Value};
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let create = Op::Put { key: key.clone(), value: Value::opaque("hello"), expect: Expect::Absent };
/// assert_eq!(create.key(), &key);
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a value.
    Put {
        /// Where.
        key: Key,
        /// What.
        value: Value,
        /// What the key must be before.
        expect: Expect,
    },
    /// Removes a key.
    Delete {
        /// Which.
        key: Key,
        /// The revision its entry must have.
        expect: Revision,
    },
}

impl Op {
    /// The key it writes.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// What the key must be before.
    #[must_use]
    pub const fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. } => *expect,
            Self::Delete { expect, .. } => Expect::At(*expect),
        }
    }
}

/// What one commit asks for: if all guards and expectations hold, all writes happen in one revision; else none.
///
/// ```
/// use roa_core::{Key, SeededRandom, Txn, TxnId, Value};
/// let key = Key::new("lab.example.com", "labs", "school", "one")?;
/// let txn = Txn::new(TxnId::random(&SeededRandom::new(1)), "docs").create(key, Value::opaque("hello"));
/// assert!(txn.validate().is_ok());
/// # Ok::<(), roa_core::KeyError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Txn {
    /// Random, chosen by the client.
    pub id: TxnId,
    /// Who writes: it is stored with each entry.
    pub writer: Arc<str>,
    /// If given, the store must be in this epoch, else the commit is answered with `Fenced`.
    pub epoch: Option<Epoch>,
    /// Conditions on keys that are not written.
    pub guards: Vec<Guard>,
    /// The writes.
    pub ops: Vec<Op>,
}

/// A transaction that no store takes; found before any I/O.
///
/// ```
/// use roa_core::{Txn, TxnError, TxnId};
/// assert!(matches!(Txn::new(TxnId::none(), "docs").validate(), Err(TxnError::Empty)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TxnError {
    /// No writes.
    #[error("commit: the transaction has no writes")]
    Empty,
    /// More than [`Txn::MAX_OPS`] writes.
    #[error("commit: {0} writes, expected at most 128")]
    TooManyOps(usize),
    /// More than [`Txn::MAX_GUARDS`] guards.
    #[error("commit: {0} guards, expected at most 128")]
    TooManyGuards(usize),
    /// One key written twice.
    #[error("commit: {0} is written twice")]
    DuplicateKey(Key),
    /// A value over [`Value::MAX_BYTES`].
    #[error("commit: the value of {key} has {bytes} bytes, expected at most 1572864")]
    ValueTooLarge {
        /// Whose value.
        key: Key,
        /// Its size.
        bytes: usize,
    },
    /// Over [`Txn::MAX_BYTES`] in all.
    #[error("commit: keys and values have {0} bytes together, expected at most 4194304")]
    TooLarge(usize),
}

impl Txn {
    /// How many writes one transaction may have.
    pub const MAX_OPS: usize = 128;
    /// How many guards one transaction may have.
    pub const MAX_GUARDS: usize = 128;
    /// How many bytes its keys and values may have together: 4 MiB.
    pub const MAX_BYTES: usize = 4 << 20;

    /// A transaction without writes yet.
    pub fn new(id: TxnId, writer: impl Into<Arc<str>>) -> Self {
        Self { id, writer: writer.into(), epoch: None, guards: Vec::new(), ops: Vec::new() }
    }

    /// Refuses the commit if the store is in another epoch.
    #[must_use]
    pub fn expect_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Adds a condition on a key that is not written.
    #[must_use]
    pub fn guard(mut self, key: Key, expect: Expect) -> Self {
        self.guards.push(Guard { key, expect });
        self
    }

    /// Adds a write.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Writes a key that must be absent.
    #[must_use]
    pub fn create(self, key: Key, value: Value) -> Self {
        self.op(Op::Put { key, value, expect: Expect::Absent })
    }

    /// Writes a key whose entry must be at `expect`.
    #[must_use]
    pub fn update(self, key: Key, value: Value, expect: Revision) -> Self {
        self.op(Op::Put { key, value, expect: Expect::At(expect) })
    }

    /// Removes a key whose entry must be at `expect`.
    #[must_use]
    pub fn delete(self, key: Key, expect: Revision) -> Self {
        self.op(Op::Delete { key, expect })
    }

    /// Checks the limits that hold on every backend. Backends call it before any I/O.
    ///
    /// # Errors
    /// [`TxnError`], the first that is found.
    pub fn validate(&self) -> Result<(), TxnError> {
        match (self.ops.len(), self.guards.len()) {
            (0, _) => return Err(TxnError::Empty),
            (ops, _) if ops > Self::MAX_OPS => return Err(TxnError::TooManyOps(ops)),
            (_, guards) if guards > Self::MAX_GUARDS => return Err(TxnError::TooManyGuards(guards)),
            _ => {}
        }
        self.validate_sizes()?;
        self.validate_unique()
    }

    fn validate_sizes(&self) -> Result<(), TxnError> {
        let mut total = 0;
        for op in &self.ops {
            total += op.key().encoded().len();
            if let Op::Put { key, value, .. } = op {
                let bytes = value.bytes.len();
                if bytes > Value::MAX_BYTES {
                    return Err(TxnError::ValueTooLarge { key: key.clone(), bytes });
                }
                total += bytes;
            }
        }
        if total > Self::MAX_BYTES { Err(TxnError::TooLarge(total)) } else { Ok(()) }
    }

    fn validate_unique(&self) -> Result<(), TxnError> {
        if self.ops.len() < 2 {
            return Ok(());
        }
        let mut seen = HashSet::with_capacity(self.ops.len());
        match self.ops.iter().find(|op| !seen.insert(op.key())) {
            Some(twice) => Err(TxnError::DuplicateKey(twice.key().clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn txn() -> Txn {
        Txn::new(TxnId::none(), "test")
    }

    #[test]
    fn s12_limits_are_checked_before_io() {
        assert_eq!(txn().validate(), Err(TxnError::Empty));
        let many = (0..129).fold(txn(), |t, i| t.create(key(&i.to_string()), Value::opaque("")));
        assert_eq!(many.validate(), Err(TxnError::TooManyOps(129)));
        let guarded =
            (0..129).fold(txn().create(key("a"), Value::opaque("")), |t, _| t.guard(key("b"), Expect::Absent));
        assert_eq!(guarded.validate(), Err(TxnError::TooManyGuards(129)));
        let large = txn().create(key("a"), Value::opaque(vec![0; Value::MAX_BYTES + 1]));
        assert!(matches!(large.validate(), Err(TxnError::ValueTooLarge { .. })));
        let sum = (0..3).fold(txn(), |t, i| t.create(key(&i.to_string()), Value::opaque(vec![0; Value::MAX_BYTES])));
        assert!(matches!(sum.validate(), Err(TxnError::TooLarge(_))));
        assert_eq!(txn().create(key("a"), Value::opaque(vec![0; Value::MAX_BYTES])).validate(), Ok(()));
    }

    #[test]
    fn s4_one_key_is_written_once() {
        let twice = txn().create(key("a"), Value::opaque("")).delete(key("a"), Revision::new(1).unwrap());
        assert_eq!(twice.validate(), Err(TxnError::DuplicateKey(key("a"))));
    }

    #[test]
    fn s3_expectations_compare_the_revision() {
        let (one, two) = (Revision::new(1).unwrap(), Revision::new(2).unwrap());
        assert!(Expect::Absent.holds(None) && !Expect::Absent.holds(Some(one)));
        assert!(Expect::At(one).holds(Some(one)) && !Expect::At(one).holds(Some(two)) && !Expect::At(one).holds(None));
    }
}
