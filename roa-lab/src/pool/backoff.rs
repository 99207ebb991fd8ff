//! [`not_before`]: how long a pool waits that gets workers which fail one after the other.

use std::time::Duration;

use roa_core::Timestamp;

use super::{Decisions, Direction, ScalingDecision, WorkerView};
use crate::worker::WorkerPhase;

/// A pool whose cooldown is shorter waits up to as long as this.
const LEAST_LIMIT: Duration = Duration::from_secs(60);

/// Before when no worker comes in place of those that failed soon after they came. `None` if that was one at most, or the
/// last that came is ready: then what is missing is replaced at once.
///
/// After the second in a row it is twice `base` after its removal, and twice as long after each that follows, up to the
/// cooldown of a step up.
pub(super) fn not_before(
    decisions: &Decisions,
    workers: &[WorkerView],
    base: Duration,
    cooldown: Duration,
) -> Option<Timestamp> {
    let limit = cooldown.max(LEAST_LIMIT);
    let (failures, last) = failures(decisions, workers, limit.saturating_mul(2));
    let again = failures.checked_sub(1).filter(|&again| again > 0)?;
    let factor = 2_u32.checked_pow(again).unwrap_or(u32::MAX);
    Some(last?.saturating_add(base.saturating_mul(factor).min(limit)))
}

/// How many workers in a row failed in their first `youth`, and when the last of them was taken away. One that failed
/// later says nothing of the next, and one that is ready that the next can be too.
fn failures(decisions: &Decisions, workers: &[WorkerView], youth: Duration) -> (u32, Option<Timestamp>) {
    let is_ready = |name: &str| workers.iter().any(|it| it.name == name && it.phase == WorkerPhase::Ready);
    let all: Vec<&ScalingDecision> = decisions.iter().collect();
    let (mut count, mut last) = (0_u32, None);
    for (index, decision) in all.iter().enumerate().rev() {
        match decision.direction {
            Direction::Up if is_ready(&decision.worker) => break,
            Direction::Up | Direction::Down => {}
            Direction::Remove => {
                let came = came(all.get(..index).unwrap_or_default(), &decision.worker);
                if came.is_none_or(|came| decision.time.duration_since(came) > youth) {
                    break;
                }
                count = count.saturating_add(1);
                last = last.or(Some(decision.time));
            }
        }
    }
    (count, last)
}

/// When a worker came, by the decisions before its removal: others of its name may have been there before.
fn came(before: &[&ScalingDecision], worker: &str) -> Option<Timestamp> {
    let up = before.iter().rev().find(|it| it.worker == worker && it.direction == Direction::Up)?;
    Some(up.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capacity;
    use crate::pool::PoolStatus;
    use crate::worker::Account;

    const BASE: Duration = Duration::from_secs(2);
    const COOLDOWN: Duration = Duration::from_secs(600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second).unwrap()
    }

    /// Decisions from a text such as `+a@10 xa@20`.
    fn decisions(text: &str) -> Decisions {
        let mut status = PoolStatus::default();
        for word in text.split_whitespace() {
            let (what, second) = word.split_once('@').unwrap();
            let (sign, worker) = what.split_at(1);
            let direction = match sign {
                "+" => Direction::Up,
                "-" => Direction::Down,
                _ => Direction::Remove,
            };
            status.decided(direction, worker, "", at(second.parse().unwrap()));
        }
        status.decisions
    }

    fn ready(name: &str) -> WorkerView {
        let capacity = Capacity::default();
        let allocated = Account::default();
        WorkerView { name: name.into(), phase: WorkerPhase::Ready, leaving: false, allocated, capacity }
    }

    fn check(text: &str, workers: &[WorkerView], expected: Option<i64>) {
        assert_eq!(not_before(&decisions(text), workers, BASE, COOLDOWN), expected.map(at), "{text}");
    }

    #[test]
    fn one_that_failed_is_replaced_at_once_and_those_that_follow_ever_later() {
        check("", &[], None);
        check("+a@0 xa@10", &[], None);
        check("+a@0 xa@10 +a@10 xa@20", &[], Some(24));
        check("+a@0 xa@10 +a@10 xa@20 +b@24 xb@30", &[], Some(38));
        let many: String = (0..20).map(|n| format!("+a@{n} xa@{n} ")).collect();
        check(&many, &[], Some(19 + 600));
        assert_eq!(not_before(&decisions(&many), &[], BASE, Duration::ZERO), Some(at(19 + 60)));
    }

    #[test]
    fn a_worker_that_is_ready_ends_the_row_if_it_came_last() {
        let row = "+a@0 +b@1 xb@2 +b@2 xb@3";
        check(row, &[ready("a")], Some(7));
        check(&format!("{row} +b@7"), &[ready("a"), ready("b")], None);
        check(&format!("{row} +b@7"), &[ready("a")], Some(7));
    }

    #[test]
    fn workers_that_fail_after_a_long_time_are_no_row() {
        check("+a@0 +b@0 +c@0 xa@1300 xb@1300 xc@1300", &[], None);
        check("+a@0 xa@1 +a@1 xa@2 +a@6 xa@9000 +a@9000 xa@9001", &[], None);
        check("xa@1 xb@2 xc@3", &[], None);
    }
}
