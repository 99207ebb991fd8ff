//! Checking takes little longer than sorting.

use std::time::{Duration, Instant};

use super::simulation::Simulation;
use crate::checker::{ClientId, Selection, WatchHistory, WatchItem, WatchSession, check, check_watches};

const OPERATIONS: usize = 100_000;

fn limit() -> Duration {
    Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 })
}

#[test]
fn a_hundred_thousand_operations_are_checked_in_a_second() {
    let simulated = Simulation::run(1, 16, OPERATIONS, 40);
    let history = simulated.history();
    let began = Instant::now();
    let report = check(&history, &simulated.model.batches, &simulated.initial).unwrap();
    let took = began.elapsed();
    println!("{report}, checked in {took:?}");
    assert_eq!(report.operations, OPERATIONS);
    assert!(took < limit(), "took {took:?}");
}

#[test]
fn ten_watches_of_a_long_log_are_checked_in_a_second() {
    let simulated = Simulation::run(2, 16, OPERATIONS, 40);
    let log = &simulated.model.batches;
    let mut session = WatchSession::new(simulated.initial.revision);
    session.items = log.iter().map(|batch| WatchItem::Batch(batch.clone())).collect();
    let watch = |number| WatchHistory {
        sessions: vec![session.clone()],
        ..WatchHistory::new(ClientId(number), Selection::Everything)
    };
    let watches: Vec<WatchHistory> = (0..10).map(watch).collect();
    let began = Instant::now();
    let report = check_watches(&watches, log, &simulated.initial).unwrap();
    let took = began.elapsed();
    println!("{report}, checked in {took:?}");
    assert_eq!(report.delivered, 10 * log.len());
    assert!(took < limit(), "took {took:?}");
}
