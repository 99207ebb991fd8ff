//! What is wrong with a lab: a pure function of the lab, of what was seen outside, and of the time.

use std::time::Duration;

use roa_core::{Drift, DriftKind, HumanDuration, Resource, Timestamp};

use super::Seen;
use crate::displaced::WORKER_LOST;
use crate::provision::Observation;
use crate::{Lab, LabPolicy, LabState, LabStatus, conditions};

/// Not ready in its time.
pub(super) const PROVISIONING_TIMEOUT: &str = "ProvisioningTimeout";
/// Not ready again in its time.
pub(super) const REPAIR_TIMEOUT: &str = "RepairTimeout";
/// It has its place, and nothing was begun.
pub(super) const START_MISSING: &str = "StartMissing";
/// Its time is over.
pub(super) const EXPIRED: &str = "Expired";
/// It failed, and was kept for long enough.
pub(super) const CLEANUP_DUE: &str = "CleanupDue";
/// Its state says that it leaves, and nobody asked it to.
pub(super) const HALF_DELETED: &str = "HalfDeleted";
/// It was asked to go, and is still there.
pub(super) const DELETION_STUCK: &str = "DeletionStuck";
/// It should run, and does not.
pub(super) const PROCESS_GONE: &str = "ProcessGone";
/// It runs, and does not answer.
pub(super) const ENDPOINT_DEAD: &str = "EndpointDead";
/// It answers elsewhere than it says.
pub(super) const ENDPOINT_MOVED: &str = "EndpointMoved";

pub(super) fn find(lab: &Lab, seen: &Seen, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    if let Some(asked) = lab.metadata().deletion_timestamp {
        return still_there(&lab.status, asked, now, policy);
    }
    match lab.status.state() {
        LabState::Pending => None,
        LabState::Provisioning if seen.displaced.is_some() => worker_lost(&lab.status, seen),
        LabState::Provisioning => brought_up_too_slowly(&lab.status, now, policy),
        LabState::Ready => out_of_time(&lab.status, now)
            .or_else(|| worker_lost(&lab.status, seen))
            .or_else(|| mended_too_slowly(&lab.status, now, policy))
            .or_else(|| not_as_it_says(&lab.status, seen.outside.as_ref()?)),
        LabState::Failed => kept_for_long(lab, now, policy),
        LabState::Deleting | LabState::Deleted => {
            Some(stuck(HALF_DELETED, format!("is {}, and nobody asked it to go", lab.status.state())))
        }
    }
}

fn stuck(reason: &'static str, message: String) -> Drift {
    Drift { kind: DriftKind::Stuck, reason, message }
}

fn still_there(status: &LabStatus, asked: Timestamp, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    let known = status.conditions.get(conditions::DEGRADED).is_some_and(|condition| condition.reason == DELETION_STUCK);
    let late = now.duration_since(asked) > policy.cleanup_grace && status.state() != LabState::Deleted;
    (late && !known).then(|| stuck(DELETION_STUCK, format!("was asked to go at {asked}, and is still there")))
}

fn brought_up_too_slowly(status: &LabStatus, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    let limit = policy.provisioning_timeout;
    match (status.provisioning_started_at, status.next_attempt_at) {
        (Some(begun), _) => provisioning_timeout(begun, now, limit),
        // It waits for its turn, which is nobody's fault.
        (None, Some(due)) => start_missing(status, due, now, limit),
        (None, None) => {
            let placed = status.state_since?;
            provisioning_timeout(placed, now, limit).or_else(|| start_missing(status, placed, now, limit / 2))
        }
    }
}

fn provisioning_timeout(begun: Timestamp, now: Timestamp, limit: Duration) -> Option<Drift> {
    let message = || format!("Provisioning timeout: not ready after {}", HumanDuration(limit));
    (now.duration_since(begun) > limit).then(|| stuck(PROVISIONING_TIMEOUT, message()))
}

fn start_missing(status: &LabStatus, due: Timestamp, now: Timestamp, limit: Duration) -> Option<Drift> {
    let known =
        status.conditions.get(conditions::PROVISIONED).is_some_and(|condition| condition.reason == START_MISSING);
    let late = now.duration_since(due) > limit && !known;
    late.then(|| stuck(START_MISSING, format!("was to be begun at {}, and is not", due.truncate_to_seconds())))
}

/// Found once: that it is written down is what makes the controller act.
fn worker_lost(status: &LabStatus, seen: &Seen) -> Option<Drift> {
    let message = seen.displaced.clone()?;
    let known = status.conditions.get(conditions::WORKER_ASSIGNED).is_some_and(|known| known.reason == WORKER_LOST);
    (!known).then_some(Drift { kind: DriftKind::Drifted, reason: WORKER_LOST, message })
}

fn out_of_time(status: &LabStatus, now: Timestamp) -> Option<Drift> {
    let end = status.expires_at.filter(|&end| end <= now)?;
    let message = format!("its time was over at {}", end.truncate_to_seconds());
    Some(Drift { kind: DriftKind::TimedOut, reason: EXPIRED, message })
}

fn mended_too_slowly(status: &LabStatus, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    let degraded = status.conditions.get(conditions::DEGRADED).filter(|_| status.is_degraded())?;
    let begun = status.provisioning_started_at?.max(degraded.last_transition_time);
    let limit = policy.provisioning_timeout;
    let message = || format!("{}; not ready again after {}", degraded.message, HumanDuration(limit));
    (now.duration_since(begun) > limit).then(|| stuck(REPAIR_TIMEOUT, message()))
}

fn not_as_it_says(status: &LabStatus, seen: &Observation) -> Option<Drift> {
    let drifted = |reason, message| Some(Drift { kind: DriftKind::Drifted, reason, message });
    match seen {
        Observation::Ready { endpoint } if status.endpoint.as_ref() == Some(endpoint) => None,
        Observation::Ready { endpoint } => {
            let said = status.endpoint.as_deref().unwrap_or("nowhere");
            drifted(ENDPOINT_MOVED, format!("should answer at {said}, and answers at {endpoint}"))
        }
        Observation::Unhealthy { endpoint, reason } => {
            drifted(ENDPOINT_DEAD, format!("does not answer at {endpoint}: {reason}"))
        }
        Observation::Starting => drifted(ENDPOINT_DEAD, "was begun again, and does not answer yet".to_owned()),
        Observation::Exited { message, .. } => drifted(PROCESS_GONE, format!("its process is gone: {message}")),
        Observation::Absent => drifted(PROCESS_GONE, "its process is gone, and nothing is left of it".to_owned()),
    }
}

fn kept_for_long(lab: &Lab, now: Timestamp, policy: &LabPolicy) -> Option<Drift> {
    let failed = lab.status.state_since?;
    // One whose spec has changed is about to be tried anew.
    let waits = lab.metadata().generation <= lab.status.observed_generation;
    let message = || format!("failed at {}, and was kept for its owner to look at", failed.truncate_to_seconds());
    let late = now.duration_since(failed) > policy.cleanup_grace && waits;
    late.then(|| Drift { kind: DriftKind::TimedOut, reason: CLEANUP_DUE, message: message() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LabInstance;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    /// A lab that came into `state` at 1000 s.
    fn lab(state: LabState) -> Lab {
        let mut lab = Lab::new("labs", "a", LabInstance::default());
        lab.status.enter(state, "Test", "", at(1000));
        lab.status.endpoint = Some("http://here".into());
        lab
    }

    fn check(lab: &Lab, seen: Option<&Observation>, now: i64, expected: Option<(DriftKind, &str)>) {
        let seen = Seen { outside: seen.cloned(), displaced: None };
        let found = find(lab, &seen, at(now), &LabPolicy::default());
        let short = found.as_ref().map(|drift| (drift.kind, drift.reason));
        assert_eq!(short, expected, "{} at {now}: {found:?}", lab.status.state());
    }

    const STUCK: Option<(DriftKind, &str)> = Some((DriftKind::Stuck, PROVISIONING_TIMEOUT));

    #[test]
    fn a_lab_that_waits_is_never_late() {
        check(&lab(LabState::Pending), None, 1_000_000, None);
    }

    #[test]
    fn lesson_55_no_condition_postpones_the_provisioning_timeout() {
        let mut lab = lab(LabState::Provisioning);
        lab.status.provisioning_started_at = Some(at(1000));
        for second in 1001..=1300 {
            lab.status.condition(conditions::PROVISIONED, false, ("Waiting", &second.to_string()), at(second));
            check(&lab, None, second, None);
        }
        check(&lab, None, 1301, STUCK);
        assert!(
            find(&lab, &Seen::default(), at(1301), &LabPolicy::default())
                .unwrap()
                .message
                .starts_with("Provisioning timeout")
        );
    }

    #[test]
    fn the_time_of_an_attempt_begins_with_it_and_a_lab_that_waits_for_one_is_not_stuck() {
        let mut lab = lab(LabState::Provisioning);
        lab.status.next_attempt_at = Some(at(5000));
        check(&lab, None, 5299, None);
        lab.status.next_attempt_at = None;
        lab.status.provisioning_started_at = Some(at(5000));
        check(&lab, None, 5300, None);
        check(&lab, None, 5301, STUCK);
    }

    #[test]
    fn a_start_that_never_came_is_noticed_once_and_then_times_out() {
        let mut lab = lab(LabState::Provisioning);
        check(&lab, None, 1150, None);
        check(&lab, None, 1151, Some((DriftKind::Stuck, START_MISSING)));
        lab.status.condition(conditions::PROVISIONED, false, (START_MISSING, ""), at(1151));
        check(&lab, None, 1300, None);
        check(&lab, None, 1301, STUCK);
    }

    #[test]
    fn a_ready_lab_is_out_of_time_at_its_end_whatever_is_seen() {
        let mut lab = lab(LabState::Ready);
        lab.status.expires_at = Some(at(2000));
        check(&lab, None, 1999, None);
        for seen in [None, Some(&Observation::Absent)] {
            check(&lab, seen, 2000, Some((DriftKind::TimedOut, EXPIRED)));
        }
    }

    #[test]
    fn what_is_outside_is_compared_with_what_the_lab_says() {
        let lab = lab(LabState::Ready);
        let exited = Observation::Exited { code: None, signal: Some(9), message: "killed".into() };
        let unhealthy = Observation::Unhealthy { endpoint: "http://here".into(), reason: "refused".into() };
        let cases = [
            (Observation::Ready { endpoint: "http://here".into() }, None),
            (Observation::Ready { endpoint: "http://there".into() }, Some(ENDPOINT_MOVED)),
            (unhealthy, Some(ENDPOINT_DEAD)),
            (Observation::Starting, Some(ENDPOINT_DEAD)),
            (exited, Some(PROCESS_GONE)),
            (Observation::Absent, Some(PROCESS_GONE)),
        ];
        for (seen, reason) in cases {
            check(&lab, Some(&seen), 1001, reason.map(|reason| (DriftKind::Drifted, reason)));
        }
    }

    #[test]
    fn a_lab_whose_worker_is_lost_is_found_once() {
        let seen = Seen { displaced: Some("worker w has failed".into()), outside: None };
        for state in LabState::ALL {
            let mut lab = lab(state);
            let reason = |lab: &Lab| find(lab, &seen, at(1001), &LabPolicy::default()).map(|drift| drift.reason);
            let expected = matches!(state, LabState::Provisioning | LabState::Ready);
            assert_eq!(reason(&lab) == Some(WORKER_LOST), expected, "{state}");
            lab.status.condition(conditions::WORKER_ASSIGNED, false, (WORKER_LOST, ""), at(1001));
            assert_ne!(reason(&lab), Some(WORKER_LOST), "{state}");
        }
    }

    #[test]
    fn a_repair_has_its_time_too() {
        let mut lab = lab(LabState::Ready);
        lab.status.provisioning_started_at = Some(at(900));
        lab.status.condition(conditions::DEGRADED, true, (PROCESS_GONE, "gone"), at(1000));
        check(&lab, None, 1300, None);
        check(&lab, None, 1301, Some((DriftKind::Stuck, REPAIR_TIMEOUT)));
        lab.status.provisioning_started_at = Some(at(1200));
        check(&lab, None, 1500, None);
    }

    #[test]
    fn a_failed_lab_is_kept_for_the_grace_period_unless_it_is_to_be_tried_anew() {
        let mut lab = lab(LabState::Failed);
        check(&lab, None, 1300, None);
        check(&lab, None, 1301, Some((DriftKind::TimedOut, CLEANUP_DUE)));
        lab.metadata.generation = 1;
        check(&lab, None, 1301, None);
    }

    #[test]
    fn what_is_half_deleted_or_not_going_is_found() {
        for state in [LabState::Deleting, LabState::Deleted] {
            check(&lab(state), None, 1000, Some((DriftKind::Stuck, HALF_DELETED)));
        }
        let mut lab = lab(LabState::Deleting);
        lab.metadata.deletion_timestamp = Some(at(1000));
        check(&lab, None, 1300, None);
        check(&lab, None, 1301, Some((DriftKind::Stuck, DELETION_STUCK)));
        lab.status.condition(conditions::DEGRADED, true, (DELETION_STUCK, ""), at(1301));
        check(&lab, None, 1400, None);
    }
}
