//! Whether a watch delivered what the log has, in order, once, whole.

use std::sync::Arc;

use roa_core::{Batch, Change, Error, Revision, TailEnd};

use super::anomaly::Anomalies;
use super::gaps::Gaps;
use super::state::same;
use super::{Selection, WatchAnomaly, WatchEnd, WatchHistory, WatchItem, WatchSession, WatchSite};

/// Checks all sessions of a watch. Gives how many batches it delivered.
pub(super) fn check_watch(
    watch: &WatchHistory,
    log: &[Arc<Batch>],
    gaps: &Gaps<'_>,
    anomalies: &mut Anomalies,
) -> usize {
    let mut delivered = 0;
    for (number, session) in watch.sessions.iter().enumerate() {
        let site = WatchSite { client: watch.client, session: number };
        let mut checker = SessionChecker::new(site, &watch.selection, session, log, gaps, anomalies);
        if let Some(previous) = number.checked_sub(1) {
            checker.check_resumption(&watch.sessions[previous]);
        }
        delivered += checker.check(session);
    }
    delivered
}

struct SessionChecker<'a> {
    site: WatchSite,
    selection: &'a Selection,
    log: &'a [Arc<Batch>],
    gaps: &'a Gaps<'a>,
    anomalies: &'a mut Anomalies,
    after: Revision,
    /// Everything up to here has been delivered.
    position: Revision,
    /// The first batch of the log after the position.
    cursor: usize,
    /// The last revision that came with events.
    last: Option<Revision>,
    progress: Option<Revision>,
}

impl<'a> SessionChecker<'a> {
    fn new(
        site: WatchSite,
        selection: &'a Selection,
        session: &WatchSession,
        log: &'a [Arc<Batch>],
        gaps: &'a Gaps<'a>,
        anomalies: &'a mut Anomalies,
    ) -> Self {
        let after = session.after;
        let cursor = log.partition_point(|batch| batch.revision <= after);
        Self { site, selection, log, gaps, anomalies, after, position: after, cursor, last: None, progress: None }
    }

    /// A session goes on where the one before ended; only after `Expired` it may go on later.
    fn check_resumption(&mut self, previous: &WatchSession) {
        let (resumed, position) = (self.after, previous.position());
        let expired =
            matches!(previous.end, WatchEnd::Ended(TailEnd::Expired { .. }) | WatchEnd::Refused(Error::Expired { .. }));
        if resumed < position || resumed > position && !expired {
            self.anomalies.add(WatchAnomaly::ResumedElsewhere { site: self.site, resumed, position });
        }
    }

    fn check(mut self, session: &WatchSession) -> usize {
        let mut delivered = 0;
        for item in &session.items {
            match item {
                WatchItem::Batch(batch) => self.batch(batch),
                WatchItem::Events { revision, changes } => self.events(*revision, changes),
                WatchItem::Progress(revision) => {
                    self.progress(*revision);
                    continue;
                }
            }
            delivered += 1;
        }
        self.check_end(&session.end);
        delivered
    }

    fn batch(&mut self, batch: &Arc<Batch>) {
        let Some(logged) = self.reach(batch.revision) else { return };
        if Arc::ptr_eq(logged, batch) {
            return;
        }
        if (logged.txn, logged.previous_txn) != (batch.txn, batch.previous_txn) {
            self.anomalies.add(WatchAnomaly::WrongChain { site: self.site, revision: batch.revision });
        }
        self.compare(batch.revision, &logged.changes, &batch.changes);
    }

    fn events(&mut self, revision: Revision, changes: &[Change]) {
        let Some(logged) = self.reach(revision) else { return };
        let expected: Vec<Change> = logged.changes.iter().filter_map(|change| self.selection.project(change)).collect();
        if expected.is_empty() {
            return self.anomalies.add(WatchAnomaly::Unknown { site: self.site, revision });
        }
        self.compare(revision, &expected, changes);
    }

    /// Moves on to a revision that came, and finds it in the log.
    fn reach(&mut self, revision: Revision) -> Option<&'a Arc<Batch>> {
        let (site, position) = (self.site, self.position);
        if revision <= position {
            self.anomalies.add(if self.last == Some(revision) {
                WatchAnomaly::Duplicate { site, revision }
            } else {
                WatchAnomaly::OutOfOrder { site, revision, position }
            });
            return None;
        }
        self.check_left_out(revision);
        if self.gaps.stretch(revision) != self.gaps.stretch(self.after) {
            self.anomalies.add(WatchAnomaly::CrossedJump { site, after: self.after, revision });
        }
        (self.last, self.position) = (Some(revision), revision);
        let logged = self.log.get(self.cursor).filter(|batch| batch.revision == revision);
        match logged {
            Some(_) => self.cursor += 1,
            None if self.gaps.lacks_batch_of(revision) => {}
            None => self.anomalies.add(WatchAnomaly::Unknown { site, revision }),
        }
        logged
    }

    fn check_left_out(&mut self, next: Revision) {
        let begun = self.last.or(self.progress).is_some();
        let (site, after, position) = (self.site, self.after, self.position);
        let Some((missed, count)) = self.pass(next) else { return };
        self.anomalies.add(if begun {
            WatchAnomaly::Missed { site, position, missed, count, next }
        } else {
            WatchAnomaly::IncompleteStart { site, after, missed, count, next }
        });
    }

    /// Moves the cursor to a revision. Gives the first revision on the way that concerns the watch, and how many do.
    fn pass(&mut self, to: Revision) -> Option<(Revision, usize)> {
        let ahead = &self.log[self.cursor..];
        let passed = &ahead[..ahead.partition_point(|batch| batch.revision < to)];
        self.cursor += passed.len();
        let concerns =
            |batch: &&Arc<Batch>| batch.changes.iter().any(|change| self.selection.project(change).is_some());
        let mut missed = passed.iter().filter(concerns);
        missed.next().map(|first| (first.revision, 1 + missed.count()))
    }

    fn progress(&mut self, progress: Revision) {
        let (site, head) = (self.site, self.gaps.last());
        if let Some(previous) = self.progress.filter(|previous| *previous > progress) {
            return self.anomalies.add(WatchAnomaly::ProgressFell { site, progress, previous });
        }
        self.progress = Some(progress);
        if progress > head {
            return self.anomalies.add(WatchAnomaly::ProgressPastHead { site, progress, head });
        }
        let Ok(end) = progress.next() else { return };
        if let Some((missed, _)) = self.pass(end) {
            self.anomalies.add(WatchAnomaly::ProgressTooEarly { site, progress, missed });
        }
        self.position = self.position.max(progress);
    }

    fn compare(&mut self, revision: Revision, expected: &[Change], found: &[Change]) {
        let site = self.site;
        if expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| equal(expected, found)) {
            return;
        }
        if let Some(missing) = expected.iter().find(|change| !found.iter().any(|other| other.key() == change.key())) {
            let (expected, found, missing) = (expected.len(), found.len(), missing.key().clone());
            return self.anomalies.add(WatchAnomaly::Split { site, revision, expected, found, missing });
        }
        for found in found {
            let expected = expected.iter().find(|change| change.key() == found.key());
            if !expected.is_some_and(|expected| equal(expected, found)) {
                return self.anomalies.add(difference(site, revision, expected, found));
            }
        }
        self.anomalies.add(WatchAnomaly::Reordered { site, revision });
    }

    fn check_end(&mut self, end: &WatchEnd) {
        let (site, position, after) = (self.site, self.position, self.after);
        match end {
            WatchEnd::Silent => self.anomalies.add(WatchAnomaly::SilentEnd { site, position }),
            WatchEnd::Stalled { waited_for } => {
                self.anomalies.add(WatchAnomaly::Stalled { site, position, waited_for: *waited_for });
            }
            WatchEnd::Ended(TailEnd::Expired { floor, .. }) | WatchEnd::Refused(Error::Expired { floor, .. })
                if position >= *floor =>
            {
                self.anomalies.add(WatchAnomaly::UnjustifiedExpired { site, position, floor: *floor });
            }
            WatchEnd::Refused(Error::TooLarge { head, .. }) if after <= *head => {
                self.anomalies.add(WatchAnomaly::UnjustifiedTooLarge { site, after, head: *head });
            }
            _ => {}
        }
    }
}

fn equal(left: &Change, right: &Change) -> bool {
    same(left.current(), right.current()) && same(left.previous(), right.previous())
}

fn difference(site: WatchSite, revision: Revision, expected: Option<&Change>, found: &Change) -> WatchAnomaly {
    match expected {
        Some(expected) if same(expected.current(), found.current()) => {
            WatchAnomaly::WrongPrevious { site, revision, expected: expected.clone(), found: found.clone() }
        }
        _ => WatchAnomaly::WrongChange { site, revision, expected: expected.cloned(), found: found.clone() },
    }
}
