//! The queue against a model that is slow and obvious: a list of keys, searched from end to end.

use proptest::prelude::*;

use super::*;
use crate::queue::lanes::OVERDUE_TURN;

type Name = u8;

const MAX_KEYS: usize = 5;
const PROMOTE_AFTER: Duration = Duration::from_millis(500);

fn policy() -> BackoffPolicy {
    BackoffPolicy { base: Duration::from_millis(100), max: Duration::from_secs(1), jitter_percent: 0 }
}

#[derive(Debug, Clone)]
enum Step {
    Add(Name, Duration, Priority, Cause),
    Advance(Duration),
    Take,
    Finish(usize, Outcome),
    FinishAndTake(usize, Outcome),
    DropRun(usize),
    Forget(Name),
}

fn millis() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 1_u64..300].prop_map(Duration::from_millis)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Failed),
        Just(Outcome::Requeue),
        Just(Outcome::Drop),
        millis().prop_map(Outcome::RequeueAfter),
        millis().prop_map(Outcome::FailedAfter),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let cause = prop::sample::select(vec![Cause::Changed, Cause::Related, Cause::Resync]);
    let priority = prop::sample::select(Priority::ALL.to_vec());
    prop_oneof![
        4 => (0..8_u8, millis(), priority, cause).prop_map(|(name, after, priority, cause)| Step::Add(name, after, priority, cause)),
        2 => millis().prop_map(Step::Advance),
        4 => Just(Step::Take),
        3 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::Finish(which, outcome)),
        3 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Step::FinishAndTake(which, outcome)),
        1 => any::<usize>().prop_map(Step::DropRun),
        1 => (0..8_u8).prop_map(Step::Forget),
    ]
}

#[derive(Debug, Clone)]
struct Wish {
    due: Duration,
    priority: Priority,
    causes: Vec<Cause>,
}

impl Wish {
    fn and(self, other: Self) -> Self {
        let mut causes = self.causes;
        causes.extend(other.causes);
        let mut seen = Vec::new();
        causes.retain(|cause| {
            !seen.contains(cause) && {
                seen.push(*cause);
                true
            }
        });
        Self { due: self.due.min(other.due), priority: self.priority.max(other.priority), causes }
    }
}

#[derive(Debug)]
struct Known {
    name: Name,
    wish: Wish,
    streak: Streak,
    runs: bool,
    again: Option<Wish>,
    forgotten: bool,
    /// Breaks ties: who began to wait first.
    turn: u64,
    /// Whether it waits among those that may run now.
    in_lane: bool,
}

/// Three share the queue.
const fn sharer(name: Name) -> &'static str {
    ["a", "b", "c"][name as usize % 3]
}

#[derive(Debug, Default)]
struct Model {
    now: Duration,
    known: Vec<Known>,
    turns: u64,
    passed_over: u32,
    /// Whose turn it is, by priority.
    rings: [Vec<&'static str>; 3],
}

impl Model {
    fn position(&self, name: Name) -> Option<usize> {
        self.known.iter().position(|known| known.name == name)
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn enter(&mut self, position: usize) {
        let known = &mut self.known[position];
        known.in_lane = true;
        let (sharer, ring) = (sharer(known.name), &mut self.rings[known.wish.priority as usize]);
        if !ring.contains(&sharer) {
            ring.push(sharer);
        }
    }

    fn leave(&mut self, position: usize) {
        if !std::mem::take(&mut self.known[position].in_lane) {
            return;
        }
        let (left, priority) = (sharer(self.known[position].name), self.known[position].wish.priority);
        let others = |known: &Known| known.in_lane && known.wish.priority == priority && sharer(known.name) == left;
        if !self.known.iter().any(others) {
            self.rings[priority as usize].retain(|sharer| *sharer != left);
        }
    }

    fn add(&mut self, name: Name, wish: Wish) -> bool {
        let Some(position) = self.position(name) else {
            if self.known.len() == MAX_KEYS {
                return false;
            }
            let turn = self.turn();
            let (streak, due) = (Streak::default(), wish.due);
            let known = Known { name, wish, streak, runs: false, again: None, forgotten: false, turn, in_lane: false };
            self.known.push(known);
            if due <= self.now {
                self.enter(self.known.len() - 1);
            }
            return true;
        };
        let known = &mut self.known[position];
        if known.runs {
            known.again = Some(match known.again.take() {
                Some(again) => again.and(wish),
                None => wish,
            });
            return true;
        }
        let merged = known.wish.clone().and(wish);
        let moves = (merged.due, merged.priority) != (known.wish.due, known.wish.priority);
        if moves {
            self.leave(position);
        }
        self.known[position].wish = merged;
        if moves && self.known[position].wish.due <= self.now {
            self.enter(position);
        }
        true
    }

    /// Those whose time has come, in its order.
    fn release_due(&mut self) {
        let due = |known: &Known| !known.runs && !known.in_lane && known.wish.due <= self.now;
        let mut released: Vec<usize> = (0..self.known.len()).filter(|at| due(&self.known[*at])).collect();
        released.sort_by_key(|at| (self.known[*at].wish.due, self.known[*at].turn));
        for position in released {
            self.enter(position);
        }
    }

    /// The lane whose turn it is.
    fn choose(&mut self) -> Option<Priority> {
        let oldest = |priority| {
            let lane = self.known.iter().filter(move |known| known.in_lane && known.wish.priority == priority);
            lane.map(|known| (known.wish.due, known.turn, priority)).min()
        };
        let fronts: Vec<_> = Priority::ALL.into_iter().filter_map(oldest).collect();
        let first = fronts.first()?.2;
        let overdue = fronts[1..].iter().filter(|front| self.now - front.0 >= PROMOTE_AFTER).min();
        match overdue {
            Some(overdue) if self.passed_over + 1 == OVERDUE_TURN => {
                self.passed_over = 0;
                Some(overdue.2)
            }
            Some(_) => {
                self.passed_over += 1;
                Some(first)
            }
            None => Some(first),
        }
    }

    fn take(&mut self) -> Option<&Known> {
        self.release_due();
        let priority = self.choose()?;
        let turn = self.rings[priority as usize].remove(0);
        let whose = |known: &Known| known.in_lane && known.wish.priority == priority && sharer(known.name) == turn;
        let mut keys: Vec<usize> = (0..self.known.len()).filter(|at| whose(&self.known[*at])).collect();
        keys.sort_by_key(|at| (self.known[*at].wish.due, self.known[*at].turn));
        if keys.len() > 1 {
            self.rings[priority as usize].push(turn);
        }
        let known = &mut self.known[keys[0]];
        (known.in_lane, known.runs) = (false, true);
        Some(known)
    }

    fn finish(&mut self, name: Name, outcome: Outcome) {
        let (now, turn) = (self.now, self.turn());
        let position = self.position(name).expect("a key that runs is known");
        let mut known = self.known.remove(position);
        let next = next_run(outcome, known.streak, &policy(), 0.0);
        let own = next.after.filter(|_| !known.forgotten).map(|after| Wish {
            due: now + after,
            priority: known.wish.priority.min(Priority::Retry),
            causes: match outcome {
                Outcome::Failed | Outcome::FailedAfter(_) => [known.wish.causes.clone(), vec![Cause::Retry]].concat(),
                _ => vec![Cause::Requeued],
            },
        });
        let wish = match (own, known.again.take()) {
            (Some(own), Some(again)) => own.and(again),
            (None, None) => return,
            (own, again) => own.or(again).expect("one of them"),
        };
        let nothing = Wish { due: Duration::MAX, priority: Priority::Resync, causes: Vec::new() };
        let wish = Wish { due: wish.due.max(now), ..wish.and(nothing) };
        let streak = if known.forgotten { Streak::default() } else { next.streak };
        let ready = wish.due <= now;
        let known = Known { wish, streak, runs: false, forgotten: false, turn, again: None, name, in_lane: false };
        self.known.push(known);
        if ready {
            self.enter(self.known.len() - 1);
        }
    }

    fn forget(&mut self, name: Name) -> bool {
        let Some(position) = self.position(name) else { return false };
        if self.known[position].runs {
            self.known[position].forgotten = true;
            self.known[position].again = None;
        } else {
            self.leave(position);
            self.known.remove(position);
        }
        true
    }
}

/// Both, side by side.
struct Pair {
    queue: WorkQueue<Name>,
    clock: ManualClock,
    model: Model,
    runs: Vec<Run<Name>>,
}

impl Pair {
    fn new() -> Self {
        let clock = manual_clock();
        let config = QueueConfig { max_keys: MAX_KEYS, backoff: policy(), promote_after: PROMOTE_AFTER, rate: None };
        let random = Arc::new(SeededRandom::new(1));
        let queue = WorkQueue::shared_fairly(config, Arc::new(clock.clone()), random, |name| sharer(*name));
        Self { queue, clock, model: Model::default(), runs: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Add(name, after, priority, cause) => {
                let wish = Wish { due: self.model.now + after, priority, causes: vec![cause] };
                let added = self.queue.try_add_after(&name, after, priority, cause).is_ok();
                assert_eq!(added, self.model.add(name, wish));
            }
            Step::Advance(by) => {
                self.clock.advance(by);
                self.model.now += by;
            }
            Step::Take => self.take(),
            Step::Finish(which, outcome) => {
                if let Some(run) = self.some_run(which) {
                    self.model.finish(*run.key(), outcome);
                    run.finish(outcome);
                }
            }
            Step::FinishAndTake(which, outcome) => {
                if let Some(run) = self.some_run(which) {
                    self.model.finish(*run.key(), outcome);
                    let next = run.finish_and_next(outcome);
                    self.taken(next);
                }
            }
            Step::DropRun(which) => {
                if let Some(run) = self.some_run(which) {
                    self.model.finish(*run.key(), Outcome::Failed);
                    drop(run);
                }
            }
            Step::Forget(name) => assert_eq!(self.queue.forget(&name), self.model.forget(name)),
        }
    }

    fn some_run(&mut self, which: usize) -> Option<Run<Name>> {
        (!self.runs.is_empty()).then(|| self.runs.swap_remove(which % self.runs.len()))
    }

    fn take(&mut self) {
        let found = take(&self.queue);
        self.taken(found);
    }

    fn taken(&mut self, found: Option<Run<Name>>) {
        let now = self.model.now;
        let seen = found
            .as_ref()
            .map(|run| (*run.key(), run.priority(), run.causes().to_vec(), run.failures(), run.queued_for()));
        let expected = self.model.take().map(|known| {
            let Wish { due, priority, causes } = known.wish.clone();
            (known.name, priority, causes, known.streak.failures, now - due)
        });
        assert_eq!(seen, expected);
        self.runs.extend(found);
    }

    fn check(&self) {
        assert_eq!((self.queue.len(), self.queue.in_flight()), (self.model.known.len(), self.runs.len()));
        for known in &self.model.known {
            let state = self.queue.why(&known.name).expect("known to both");
            assert_eq!((state.priority, &state.causes), (known.wish.priority, &known.wish.causes));
            assert_eq!(state.failures, known.streak.failures);
            let (now, due) = (self.model.now, known.wish.due);
            match state.phase {
                KeyPhase::Processing { again, .. } => assert_eq!((true, again), (known.runs, known.again.is_some())),
                KeyPhase::Waiting { waited } => assert_eq!((false, Some(waited)), (known.runs, now.checked_sub(due))),
                KeyPhase::Delayed { left } => assert_eq!((false, Some(left)), (known.runs, due.checked_sub(now))),
            }
        }
    }

    /// Nothing is lost: what is left runs once its time has come.
    fn run_out(&mut self) {
        while let Some(run) = self.some_run(0) {
            self.model.finish(*run.key(), Outcome::Done);
            run.finish(Outcome::Done);
        }
        self.clock.advance(secs(10));
        self.model.now += secs(10);
        while !self.queue.is_empty() {
            self.take();
            let run = self.runs.pop().expect("whatever is known can run by now");
            self.model.finish(*run.key(), Outcome::Done);
            run.finish(Outcome::Done);
        }
        assert!(self.model.known.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn c4_c5_c6_c7_the_queue_does_what_the_model_does(steps in prop::collection::vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
            pair.check();
        }
        pair.run_out();
    }
}
