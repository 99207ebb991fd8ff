//! Any schedule of pauses, faults, restarts and jumps of the calendar.

use proptest::prelude::*;
use roa_core::Timestamp;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Pass(Duration),
    /// A process stops for a while, or goes on.
    Pause(usize, bool),
    Break(usize, Fault),
    /// Held commits arrive after all.
    Deliver(usize),
    /// A process is killed and started again.
    Restart(usize),
    /// A process gives the lease back and is started again.
    GiveBack(usize),
    SetCalendar(i64),
    BreakHistory,
}

fn step() -> impl Strategy<Value = Step> {
    let faults = [Fault::None, Fault::Down, Fault::AnswersLost, Fault::AnswersHeld, Fault::CommitsHeld, Fault::Silent];
    let process = 0..3_usize;
    prop_oneof![
        8 => (0..30_000_u64).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        3 => (process.clone(), any::<bool>()).prop_map(|(process, paused)| Step::Pause(process, paused)),
        3 => (process.clone(), prop::sample::select(faults.to_vec())).prop_map(|(process, fault)| Step::Break(process, fault)),
        2 => process.clone().prop_map(Step::Deliver),
        1 => process.clone().prop_map(Step::Restart),
        1 => process.prop_map(Step::GiveBack),
        1 => (0..4_000_000_000_i64).prop_map(Step::SetCalendar),
        1 => Just(Step::BreakHistory),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

struct Schedule {
    world: World,
    processes: [Process; 3],
    paused: [bool; 3],
    /// Ownerships that somebody held, and who.
    held: Vec<(usize, Ownership)>,
    writes: usize,
}

impl Schedule {
    fn new() -> Self {
        let mut world = World::new();
        let processes = NAMES.map(|name| world.start(name));
        Self { world, processes, paused: [false; 3], held: Vec::new(), writes: 0 }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Pass(time) => self.pass(time),
            Step::Pause(process, paused) => self.paused[process] = paused,
            Step::Break(process, fault) => self.processes[process].wire.set(fault),
            Step::Deliver(process) => drop(self.processes[process].wire.deliver()),
            Step::Restart(process) => self.processes[process] = self.world.start(NAMES[process]),
            Step::GiveBack(process) => {
                self.processes[process].stop.cancel();
                self.processes[process].step();
                self.processes[process] = self.world.start(NAMES[process]);
            }
            Step::SetCalendar(seconds) => self.world.clock.set_wall(Timestamp::from_unix_seconds(seconds).unwrap()),
            Step::BreakHistory => {
                let state = now(self.world.store.state()).unwrap();
                now(self.world.store.fence(state.epoch, state.head)).unwrap();
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let (mut left, step) = (time, Duration::from_millis(250));
        while !left.is_zero() {
            self.world.clock.advance(left.min(step));
            left = left.saturating_sub(step);
            for (process, paused) in self.processes.iter_mut().zip(self.paused) {
                if !paused {
                    process.step();
                }
            }
            self.check();
        }
    }

    /// L2, L4: at most one leads, by its own knowledge. L5: of all that ever led, at most one can write.
    fn check(&mut self) {
        let leaders: Vec<usize> = (0..3).filter(|process| self.processes[*process].lease.is_held()).collect();
        assert!(leaders.len() <= 1, "{leaders:?} lead at once");
        for leader in leaders {
            let ownership = held(&self.processes[leader]);
            if self.held.last().map(|(_, known)| known) != Some(&ownership) {
                assert!(!self.held.iter().any(|(_, known)| *known == ownership), "a term came back");
                self.held.push((leader, ownership));
            }
        }
        let mut able = Vec::new();
        for (process, ownership) in self.held.iter().rev().take(4) {
            self.writes += 1;
            let name = format!("thing-{}", self.writes);
            if self.processes[*process].write(ownership, &name).is_ok() {
                able.push(ownership);
            }
        }
        assert!(able.len() <= 1, "{able:?} can all write");
    }

    /// Whatever happened before: when all is well again, one leads.
    fn recover(&mut self) {
        self.paused = [false; 3];
        self.processes.iter().for_each(|process| process.wire.set(Fault::None));
        self.pass(secs(40));
        let leaders = self.processes.iter().filter(|process| process.lease.is_held()).count();
        assert_eq!(leaders, 1, "after all was well for 40 s");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn l1_to_l7_hold_under_any_schedule(steps in prop::collection::vec(step(), 1..40)) {
        let mut schedule = Schedule::new();
        for step in &steps {
            schedule.step(step);
        }
        schedule.recover();
    }
}
