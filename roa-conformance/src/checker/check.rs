//! [`check`] and [`check_watches`]: all checks, one after the other.

use std::fmt;
use std::sync::Arc;

use roa_core::{Batch, CommitError, Revision};

use super::anomaly::Anomalies;
use super::attribution::{Attribution, attribute};
use super::epochs::check_epochs;
use super::gaps::Gaps;
use super::log::check_structure;
use super::order::{Facts, check_order};
use super::replay::replay;
use super::timeline::Timeline;
use super::watch_check::check_watch;
use super::{Anomaly, History, State, Step, WatchHistory};

/// What was checked, so that a test can tell a correct history from an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// All operations.
    pub operations: usize,
    /// Batches in the log.
    pub batches: usize,
    /// Commits that were acknowledged.
    pub acknowledged: usize,
    /// Commits that were refused because of an expectation or a guard, with reason.
    pub refused: usize,
    /// Commits with an unclear answer that happened.
    pub ambiguous_applied: usize,
    /// Commits with an unclear answer that did not happen.
    pub ambiguous_dropped: usize,
    /// Gets and lists whose answers were compared with the log.
    pub reads: usize,
    /// Acknowledged commits that are missing, as the store allows itself where its revisions jump.
    pub lost_at_jumps: usize,
    /// Operations that could not be checked, since their stretch of the log was forgotten before it was recorded.
    pub unrecorded: usize,
    /// Batches that watches delivered.
    pub delivered: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, batches, acknowledged, refused, reads, delivered, .. } = self;
        write!(f, "{operations} operations: {acknowledged} commits acknowledged, {refused} refused, ")?;
        write!(
            f,
            "{} unclear ({} happened), ",
            self.ambiguous_applied + self.ambiguous_dropped,
            self.ambiguous_applied
        )?;
        write!(f, "{reads} reads; {batches} batches, delivered {delivered} times")?;
        if self.lost_at_jumps + self.unrecorded > 0 {
            write!(f, "; {} lost at jumps, {} not recorded", self.lost_at_jumps, self.unrecorded)?;
        }
        Ok(())
    }
}

/// Checks a history against the log of the store.
///
/// `initial` is the state before the first operation, and `log` all batches after it. The history is accepted if and
/// only if its operations can be put in an order that keeps to real time (what returned before another was called
/// comes first), has the commits as the log has them, and gives each operation the answer that it got:
/// - acknowledged commits have their revisions, each its own, and each batch is explained by one operation (S1, S2);
/// - expectations and guards held when commits went through, and did not when they were refused (S3, S4);
/// - gets and lists are as of a revision that is new enough, and complete (S7, S8, S9);
/// - commits with an unclear answer happened once at most, and not before they were called (S5);
/// - the log is dense and chained, and each change follows from the ones before it (S1, W13, W18).
///
/// Time is that of sorting the operations, and of passing over the log and the answers once.
///
/// # Errors
/// The first [`MAX_ANOMALIES`](super::MAX_ANOMALIES) anomalies. If revisions in the log do not rise, only what can be
/// said without an order.
pub fn check(history: &History, log: &[Arc<Batch>], initial: &State) -> Result<Report, Vec<Anomaly>> {
    Evidence { history, log, initial, resyncs: &[], watches: &[] }.check()
}

/// Checks what watches delivered against the log of the store: in order, nothing twice, nothing split, nothing left
/// out from their starts to where they ended, as the log has it, with honest progress and a reason for the end (W1 to
/// W10, W13).
///
/// # Errors
/// The first [`MAX_ANOMALIES`](super::MAX_ANOMALIES) anomalies.
pub fn check_watches(watches: &[WatchHistory], log: &[Arc<Batch>], initial: &State) -> Result<Report, Vec<Anomaly>> {
    Evidence { history: &History::new(Vec::new()), log, initial, resyncs: &[], watches }.check_watches()
}

/// All that is known of a store's past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) history: &'a History,
    pub(super) log: &'a [Arc<Batch>],
    pub(super) initial: &'a State,
    /// States that were read where the log was broken off.
    pub(super) resyncs: &'a [State],
    pub(super) watches: &'a [WatchHistory],
}

impl<'a> Evidence<'a> {
    pub(super) fn check(self) -> Result<Report, Vec<Anomaly>> {
        let Self { history, log, initial, .. } = self;
        let mut anomalies = Anomalies::default();
        let gaps = self.gaps();
        let rises = check_structure(log, initial, &gaps, &mut anomalies);
        let attribution = attribute(history, log, &gaps, &mut anomalies);
        let mut report = summary(history, log, &attribution);
        if rises {
            check_epochs(history, &attribution, &gaps, &mut anomalies);
            let timeline = Timeline::new(history, &attribution, initial, log, &gaps);
            let facts = Facts { history, attribution: &attribution, timeline: &timeline, gaps: &gaps };
            report.unrecorded += check_order(facts, initial.revision, &mut anomalies);
            report.reads = replay(history, &attribution, log, initial, &gaps, &mut anomalies);
            report.delivered = self.watched(&gaps, &mut anomalies);
        }
        anomalies.into_result(report)
    }

    fn check_watches(self) -> Result<Report, Vec<Anomaly>> {
        let mut anomalies = Anomalies::default();
        let gaps = self.gaps();
        let mut report = Report { batches: self.log.len(), ..Report::default() };
        if check_structure(self.log, self.initial, &gaps, &mut anomalies) {
            report.delivered = self.watched(&gaps, &mut anomalies);
        }
        anomalies.into_result(report)
    }

    fn watched(self, gaps: &Gaps<'_>, anomalies: &mut Anomalies) -> usize {
        self.watches.iter().map(|watch| check_watch(watch, self.log, gaps, anomalies)).sum()
    }

    fn gaps(self) -> Gaps<'a> {
        let states = self.history.operations.iter().filter_map(|done| done.step.store_state());
        let heads: Vec<Revision> = states.map(|state| state.head).collect();
        Gaps::find(self.initial.revision, self.log, self.resyncs, &heads)
    }
}

fn summary(history: &History, log: &[Arc<Batch>], attribution: &Attribution) -> Report {
    let (lost_at_jumps, unrecorded) = (attribution.lost_at_jumps, attribution.unrecorded);
    let mut report = Report { lost_at_jumps, unrecorded, batches: log.len(), ..Report::default() };
    for (done, logged) in history.operations.iter().zip(&attribution.revisions) {
        report.operations += 1;
        let Step::Commit { result, .. } = &done.step else { continue };
        match (result, logged) {
            (Ok(_), _) => report.acknowledged += 1,
            (Err(CommitError::Conflict { .. } | CommitError::GuardFailed { .. }), _) => report.refused += 1,
            (Err(CommitError::Ambiguous { .. }), Some(_)) => report.ambiguous_applied += 1,
            (Err(CommitError::Ambiguous { .. }), None) => report.ambiguous_dropped += 1,
            _ => {}
        }
    }
    report
}
