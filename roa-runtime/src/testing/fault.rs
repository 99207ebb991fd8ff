//! [`Fault`]: what goes wrong.

use std::time::Duration;

/// What goes wrong in a run. Operations are those of the process on its store, counted from 0 over all sorts.
///
/// ```no_run
/// # use roa_runtime::testing::{Fault, Run};
/// # fn run(fault: Fault) -> Run { unimplemented!() }
/// # let trial = run;
/// // Again what `survives_faults` found: the answer to the fifth operation is lost.
/// let run = trial(Fault::LoseReply(4));
/// println!("{:#?}", run.operations);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// The process ends before an operation is done; another is started.
    CrashBefore(usize),
    /// The process ends after an operation was done, before it knows; another is started.
    CrashAfter(usize),
    /// An operation is refused: the store can't be reached.
    Refuse(usize),
    /// A commit is done, but the answer is lost. Other operations are refused.
    LoseReply(usize),
    /// Before a commit, somebody else writes the object that it is about.
    Conflict(usize),
    /// An operation takes so long.
    Slow(usize, Duration),
    /// Each change reaches the process so much later: its caches are behind.
    Stale(Duration),
    /// The change feed ends after so many batches; the process has to take it up again.
    DropFeed(usize),
}

impl Fault {
    /// The faults that can happen at one operation.
    pub(super) fn at(operation: usize) -> [Self; 7] {
        [
            Self::CrashBefore(operation),
            Self::CrashAfter(operation),
            Self::Refuse(operation),
            Self::LoseReply(operation),
            Self::Conflict(operation),
            Self::Slow(operation, Duration::from_secs(300)),
            Self::DropFeed(operation),
        ]
    }

    pub(super) const fn is_crash(self) -> bool {
        matches!(self, Self::CrashBefore(_) | Self::CrashAfter(_))
    }
}
