//! On small histories the checker says what a search over all orders says, whether the history is correct or not.

use std::sync::Arc;

use roa_core::{At, Batch, CommitError, RandomExt, Revision, SeededRandom};

use super::model::Model;
use super::simulation::Simulation;
use super::{moved, revision};
use crate::checker::{Operation, Step, Tick, check};

/// Whether some order of the operations, in keeping with real time, gives each its answer and leaves this log.
fn has_an_order(model: &Model, operations: &[Operation], log: &[Arc<Batch>]) -> bool {
    if operations.is_empty() {
        return log.is_empty();
    }
    let before = |this: &Operation, other: &Operation| returned(other).is_some_and(|returned| returned < this.called);
    (0..operations.len()).any(|next| {
        let this = &operations[next];
        let mut others = operations.to_vec();
        others.remove(next);
        !others.iter().any(|other| before(this, other)) && can_be_next(model, this, &others, log)
    })
}

/// When an operation has certainly taken effect: for an unclear answer, never.
fn returned(operation: &Operation) -> Option<Tick> {
    match operation.step {
        Step::Commit { result: Err(CommitError::Ambiguous { .. }), .. } => None,
        _ => operation.returned,
    }
}

fn can_be_next(model: &Model, this: &Operation, others: &[Operation], log: &[Arc<Batch>]) -> bool {
    let answered = match &this.step {
        Step::Commit { txn, result } => match result {
            Ok(acknowledged) => return happens(model, this, others, log, Some(*acknowledged)),
            Err(CommitError::Ambiguous { .. }) => {
                return has_an_order(model, others, log) || happens(model, this, others, log, None);
            }
            Err(CommitError::Conflict { key, current }) => model.failed_write(txn) == Some((key.clone(), *current)),
            Err(CommitError::GuardFailed { key, current }) => model.failed_guard(txn) == Some((key.clone(), *current)),
            Err(_) => false,
        },
        Step::Get { key, result: Ok(read) } => model.get(key) == *read,
        Step::List { request, result: Ok(page) } => model.list(request).is_ok_and(|expected| expected == *page),
        _ => false,
    };
    answered && has_an_order(model, others, log)
}

fn happens(
    model: &Model,
    this: &Operation,
    others: &[Operation],
    log: &[Arc<Batch>],
    acknowledged: Option<Revision>,
) -> bool {
    let Step::Commit { txn, .. } = &this.step else { return false };
    let mut model = model.clone();
    let Ok(revision) = model.commit(txn) else { return false };
    let Some((first, rest)) = log.split_first() else { return false };
    acknowledged.is_none_or(|acknowledged| acknowledged == revision)
        && model.batches.last() == Some(first)
        && has_an_order(&model, others, rest)
}

/// Makes one answer, one moment or the log another one, mostly wrong.
fn disturb(random: &SeededRandom, operations: &mut Vec<Operation>, log: &mut Vec<Arc<Batch>>) {
    let index = |bound: usize| usize::try_from(random.below(bound as u64)).unwrap();
    let (chosen, other) = (index(operations.len()), index(operations.len()));
    let by = if random.below(2) == 0 { 1 } else { -1 };
    let foreign = operations[other].step.clone();
    match random.below(10) {
        0 => _ = operations.remove(chosen),
        1 => _ = log.pop(),
        2 => operations[chosen].returned = None,
        3..6 => shift(&mut operations[chosen], random.below(12), random.below(2) == 0),
        _ => disturb_answer(&mut operations[chosen].step, &foreign, by),
    }
}

fn shift(operation: &mut Operation, ticks: u64, later: bool) {
    let moved = |tick: Tick| Tick(if later { tick.0 + ticks } else { tick.0.saturating_sub(ticks) });
    (operation.called, operation.returned) = (moved(operation.called), operation.returned.map(moved));
}

fn disturb_answer(step: &mut Step, foreign: &Step, by: i64) {
    match (step, foreign) {
        (Step::Commit { txn, result }, _) => {
            *result = match result {
                Ok(revision) if by > 0 => Ok(moved(*revision, 1)),
                Ok(_) => Err(CommitError::Ambiguous { txn: txn.id, reason: "disturbed".into() }),
                Err(CommitError::Ambiguous { .. }) if by > 0 => Ok(revision(102)),
                Err(CommitError::Conflict { key, current: Some(current) }) => {
                    Err(CommitError::Conflict { key: key.clone(), current: Some(moved(*current, by)) })
                }
                Err(_) => {
                    let key = txn.ops[0].key().clone();
                    Err(CommitError::Conflict { key, current: (by < 0).then(|| revision(101)) })
                }
            };
        }
        (Step::Get { result: Ok(read), .. }, Step::Get { result: Ok(other), .. }) if by > 0 => *read = other.clone(),
        (Step::Get { result: Ok(read), .. }, _) => read.revision = moved(read.revision, by),
        (Step::List { request, result: Ok(page) }, _) => {
            page.revision = moved(page.revision, by);
            if matches!(request.at, At::Exact(_)) {
                // What was before the initial state is unknown to the checker.
                page.revision = page.revision.max(revision(100));
                request.at = At::Exact(page.revision);
            }
        }
        _ => {}
    }
}

#[test]
fn the_checker_agrees_with_a_search_over_all_orders() {
    let (mut accepted, mut refused, mut disturbed_but_correct) = (0, 0, 0);
    for seed in 0..if cfg!(debug_assertions) { 6_000 } else { 60_000 } {
        let random = SeededRandom::new(seed);
        let simulated = Simulation::run(seed, 2 + usize::try_from(seed % 3).unwrap(), 6, 2);
        let (mut history, mut log) = (simulated.history(), simulated.model.batches.clone());
        let disturbed = seed % 4 != 0;
        if disturbed {
            disturb(&random, &mut history.operations, &mut log);
        }
        let model = Model::new(simulated.initial.revision.get());
        let expected = has_an_order(&model, &history.operations, &log);
        let found = check(&history, &log, &simulated.initial);
        assert_eq!(found.is_ok(), expected, "seed {seed}: {found:#?} for {:#?} and {log:#?}", history.operations);
        assert!(expected || disturbed, "seed {seed}: a simulated history has no order");
        match found {
            Ok(_) => accepted += 1,
            Err(_) => refused += 1,
        }
        disturbed_but_correct += usize::from(expected && disturbed);
    }
    assert!(accepted > 1_000 && refused > 1_000 && disturbed_but_correct > 300, "{accepted} {refused}");
}
