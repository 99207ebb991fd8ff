//! [`Scheduler`]: finds a worker for a lab, and reserves the place there.
//!
//! # Layout
//! - Which workers come into question: [`Candidates`], and `filter` with the reasons why not
//! - Which of them is taken: [`Strategy`]
//! - How a place is taken and given back, together with the lab's status, in one commit: `reserve`

mod candidates;
mod filter;
mod reserve;
mod strategy;

use std::sync::{Mutex, PoisonError};

use roa_core::{RandomExt, SeededRandom};

pub(crate) use candidates::Candidates;
pub(crate) use filter::{Wanted, refusals};
pub(crate) use reserve::{Assigned, stage_spec, stage_status};
pub use strategy::Strategy;

use crate::worker::Worker;

/// How a worker is chosen among those that have room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scheduling {
    /// By which rule.
    pub strategy: Strategy,
    /// For [`Strategy::Random`]: the same seed, the same choices.
    pub seed: u64,
}

/// Chooses workers. What it remembers is only a matter of taste: a restart loses nothing.
#[derive(Debug)]
pub(crate) struct Scheduler {
    strategy: Strategy,
    random: SeededRandom,
    /// For [`Strategy::RoundRobin`]: which worker was chosen last.
    last: Mutex<String>,
}

impl Scheduler {
    pub(crate) fn new(scheduling: Scheduling) -> Self {
        let random = SeededRandom::new(scheduling.seed);
        Self { strategy: scheduling.strategy, random, last: Mutex::default() }
    }

    /// One of the workers that the lab fits on.
    ///
    /// # Errors
    /// Why none of them can have it, in words: `0/3 workers: 2 insufficient cpu, 1 draining`.
    fn choose<'a>(&self, wanted: &Wanted<'_>, workers: &'a [Worker]) -> Result<&'a Worker, String> {
        let mut fitting: Vec<&Worker> = workers.iter().filter(|worker| refusals(wanted, worker).is_empty()).collect();
        fitting.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let chosen = match self.strategy {
            Strategy::RoundRobin => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                fitting.iter().find(|worker| worker.metadata.name > *last).or_else(|| fitting.first()).copied()
            }
            Strategy::Random if fitting.is_empty() => None,
            Strategy::Random => {
                let index = self.random.below(u64::try_from(fitting.len()).unwrap_or(u64::MAX));
                usize::try_from(index).ok().and_then(|index| fitting.get(index).copied())
            }
            // Of several that are equal, the first by name.
            strategy => fitting.iter().copied().min_by(|a, b| {
                let score = |worker: &Worker| strategy.score(wanted.resources, worker);
                score(a).total_cmp(&score(b))
            }),
        };
        let chosen = chosen.ok_or_else(|| filter::explain(wanted, workers))?;
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&chosen.metadata.name);
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::filter::tests::worker;
    use super::*;
    use crate::{Quantity, Resources};

    const NEEDS: Resources = Resources { cpu: Quantity::whole(1), memory: Quantity::mebi(1024) };

    /// Workers of 8 processors and 8 Gi by name, with so many labs of one of each.
    fn workers(of: &[(&str, u32)]) -> Vec<Worker> {
        of.iter().map(|(name, labs)| worker(name, 8, *labs)).collect()
    }

    fn chosen(strategy: Strategy, of: &[(&str, u32)]) -> Vec<String> {
        let scheduler = Scheduler::new(Scheduling { strategy, seed: 7 });
        let (wanted, workers) = (Wanted { track: None, resources: NEEDS }, workers(of));
        (0..4).map(|_| scheduler.choose(&wanted, &workers).unwrap().metadata.name.clone()).collect()
    }

    #[test]
    fn each_strategy_chooses_by_its_rule_and_ties_go_by_name() {
        let of = [("c", 2), ("a", 5), ("b", 5), ("d", 0)];
        assert_eq!(chosen(Strategy::BestFit, &of), ["a"; 4], "the fullest that has room");
        assert_eq!(chosen(Strategy::LeastUtilized, &of), ["d"; 4]);
        assert_eq!(chosen(Strategy::LeastLabs, &of), ["d"; 4]);
        assert_eq!(chosen(Strategy::LeastLabs, &[("b", 1), ("a", 1), ("c", 2)]), ["a"; 4]);
        assert_eq!(chosen(Strategy::RoundRobin, &of), ["a", "b", "c", "d"]);
        assert_eq!(chosen(Strategy::RoundRobin, &of[..2]), ["a", "c", "a", "c"]);
    }

    #[test]
    fn random_choices_are_those_of_the_seed_and_reach_every_worker() {
        let of = [("a", 0), ("b", 0), ("c", 0)];
        assert_eq!(chosen(Strategy::Random, &of), chosen(Strategy::Random, &of));
        let (wanted, workers) = (Wanted { track: None, resources: NEEDS }, workers(&of));
        let mut seen: Vec<String> = (0..20)
            .map(|seed| Scheduler::new(Scheduling { strategy: Strategy::Random, seed }))
            .map(|scheduler| scheduler.choose(&wanted, &workers).unwrap().metadata.name.clone())
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen, ["a", "b", "c"]);
    }

    #[test]
    fn best_fit_passes_over_what_is_full() {
        assert_eq!(chosen(Strategy::BestFit, &[("a", 8), ("b", 3), ("c", 7)]), ["c"; 4]);
    }
}
