//! [`Trial`]: a controller, what there is at the begin, and what must come of it.

use std::fmt;
use std::future::pending;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Controller, KindRegistry, Object, RandomExt, Result, Revision, SeededRandom, Spec};
use thiserror::Error;
use tokio::time::timeout;

use super::process::{Process, Wiring};
use super::view::View;
use super::{Fault, World};
use crate::{ControllerConfig, Manager};

/// A controller, what there is at the begin, and what must come of it.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_core::{Controller, KindRegistry, Object, Spec};
/// use roa_runtime::testing::{Failure, Report, Trial, World};
/// /// Tries a controller that has nothing to do with a sample of what can go wrong.
/// fn try_it<S: Spec, C: Controller<Resource = Object<S>>>(make: fn() -> C) -> Result<Report, Failure> {
///     let kinds = KindRegistry::new().with::<S>();
///     let trial = Trial::new(kinds, || (), |_: &Arc<()>| make(), async |_: &World<()>| Ok(()), async |_: &World<()>| Ok(true));
///     trial.sampled(100, 7).survives_faults()
/// }
/// ```
pub struct Trial<S, O, C, M, K, G, D> {
    kinds: Arc<KindRegistry>,
    outside: M,
    controller: K,
    wiring: Arc<Wiring<C, O>>,
    given: G,
    done: D,
    config: ControllerConfig,
    max_steps: usize,
    quiet_steps: usize,
    sample: Option<Sample>,
    kind: PhantomData<fn() -> S>,
}

/// Which of all faults are tried.
#[derive(Debug, Clone, Copy)]
struct Sample {
    faults: usize,
    seed: u64,
}

impl Sample {
    /// So many of them, each at most once.
    fn of(self, mut faults: Vec<Fault>) -> Vec<Fault> {
        let random = SeededRandom::new(self.seed);
        let mut chosen = Vec::new();
        while chosen.len() < self.faults && !faults.is_empty() {
            let at = usize::try_from(random.below(faults.len() as u64)).unwrap_or(0);
            chosen.push(faults.swap_remove(at));
        }
        chosen
    }
}

/// A run that came to its end.
///
/// ```
/// # use roa_runtime::testing::Run;
/// fn was_quick(run: &Run) -> bool {
///     run.took.as_secs() < 60 && !run.restarted
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// What the first process did on its store, in words.
    pub operations: Vec<String>,
    /// How much time passed.
    pub took: Duration,
    /// Whether the fault happened: later ones than there are operations do not.
    pub restarted: bool,
}

/// Runs that came to their ends.
///
/// ```
/// # use roa_runtime::testing::Report;
/// fn says(report: Report) -> String {
///     format!("{} runs, in {} of them another process took over", report.runs, report.restarts)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many.
    pub runs: usize,
    /// In how many of them another process took over.
    pub restarts: usize,
}

/// A run that did not come to its end.
///
/// ```
/// # use roa_runtime::testing::{Failure, Fault};
/// /// What to run again to see it again.
/// fn again(failure: &Failure) -> Fault {
///     failure.fault
/// }
/// ```
#[derive(Debug, Clone, Error)]
#[error("run with {fault:?}: {reason}; the process did: {}", .operations.join("; "))]
#[non_exhaustive]
pub struct Failure {
    /// Which fault: the same can be run again with it.
    pub fault: Fault,
    /// What is wrong.
    pub reason: String,
    /// What the process did last on its store.
    pub operations: Vec<String>,
}

/// How many operations a failure tells of.
const TOLD: usize = 40;

impl<S, O, C, M, K, G, D> Trial<S, O, C, M, K, G, D>
where
    S: Spec,
    O: Send + Sync + 'static,
    C: Controller<Resource = Object<S>>,
    M: Fn() -> O,
    K: Fn(&Arc<O>) -> C,
    G: AsyncFn(&World<O>) -> Result<()>,
    D: AsyncFn(&World<O>) -> Result<bool, String>,
{
    /// A trial of objects of `kinds`. For each run, `outside` makes the world outside of the store, and `given` what there
    /// is at the begin. `controller` makes the controller of each process. `done` says whether all is as it must be; its
    /// error is something that must never be, and ends the run.
    pub fn new(kinds: KindRegistry, outside: M, controller: K, given: G, done: D) -> Self {
        let config = ControllerConfig { workers: 2, ..ControllerConfig::default() };
        let kinds = Arc::new(kinds);
        let wiring = |manager: &mut Manager, controller: C, config: ControllerConfig, _outside: &Arc<O>| {
            manager.add_controller::<S, C>(controller, config).map(|_| ())
        };
        Self {
            kinds,
            outside,
            controller,
            wiring: Arc::new(wiring),
            given,
            done,
            config,
            max_steps: 2_000,
            quiet_steps: 10,
            sample: None,
            kind: PhantomData,
        }
    }

    /// The same, with processes that add the controller so: with what else leads to its calls, beside reconcilers and other
    /// controllers, or reading caches of other kinds. By default it is alone in its process.
    #[must_use]
    pub fn wired(
        mut self,
        wiring: impl Fn(&mut Manager, C, ControllerConfig, &Arc<O>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.wiring = Arc::new(wiring);
        self
    }

    /// The same, driven so. By default as any controller, by two workers.
    #[must_use]
    pub fn driven(mut self, config: ControllerConfig) -> Self {
        self.config = config;
        self
    }

    /// The same, given up after so many steps of the clock; 2,000 by default.
    #[must_use]
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.max_steps = steps;
        self
    }

    /// The same, with so many steps of the clock after the end in which the controller must write nothing more, and all
    /// must stay as it is; 10 by default.
    #[must_use]
    pub fn quiet_for(mut self, steps: usize) -> Self {
        self.quiet_steps = steps;
        self
    }

    /// The same, in which no more than so many faults are tried, chosen by a seed: for a controller that takes long to come
    /// to its end. By default all are.
    #[must_use]
    pub fn sampled(mut self, faults: usize, seed: u64) -> Self {
        self.sample = Some(Sample { faults, seed });
        self
    }

    /// Runs it with one fault, to its end.
    ///
    /// # Errors
    /// [`Failure`] if it does not come to its end, or if something is that must never be.
    ///
    /// # Panics
    /// Inside of a tokio runtime: it has one of its own, whose time stands still.
    pub fn run(&self, fault: Fault) -> Result<Run, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let failure = |reason: String| Failure { fault, reason, operations: Vec::new() };
        runtime.map_err(|error| failure(error.to_string()))?.block_on(self.run_in(fault))
    }

    /// Runs it as often as the process has operations, and ends the process before one and after it, each time another.
    ///
    /// # Errors
    /// [`Failure`] of the first run that does not come to its end.
    pub fn survives_crashes(&self) -> Result<Report, Failure> {
        self.survives(Fault::is_crash)
    }

    /// As [`Trial::survives_crashes`], with all that can go wrong at one operation, and with caches that are behind.
    ///
    /// # Errors
    /// [`Failure`] of the first run that does not come to its end.
    pub fn survives_faults(&self) -> Result<Report, Failure> {
        let mut report = self.survives(|_| true)?;
        for late in [1, 10, 100] {
            self.run(Fault::Stale(Duration::from_secs(late)))?;
            report.runs += 1;
        }
        Ok(report)
    }

    fn survives(&self, chosen: impl Fn(Fault) -> bool) -> Result<Report, Failure> {
        let operations = self.run(Fault::None)?.operations.len();
        let mut report = Report { runs: 1, restarts: 0 };
        let all: Vec<_> = (0..operations).flat_map(Fault::at).filter(|fault| chosen(*fault)).collect();
        let faults = match self.sample {
            Some(sample) => sample.of(all),
            None => all,
        };
        for fault in faults {
            let run = self.run(fault)?;
            report.runs += 1;
            report.restarts += usize::from(run.restarted);
        }
        Ok(report)
    }

    async fn run_in(&self, fault: Fault) -> Result<Run, Failure> {
        let world = World::new(Arc::clone(&self.kinds), (self.outside)());
        let mut running = Running { trial: self, world, processes: Vec::new(), fault };
        match running.finish().await {
            Ok(run) => Ok(run),
            Err(reason) => {
                let mut operations = running.operations();
                operations.drain(..operations.len().saturating_sub(TOLD));
                Err(Failure { fault, reason, operations })
            }
        }
    }
}

/// One run.
struct Running<'a, S, O, C, M, K, G, D> {
    trial: &'a Trial<S, O, C, M, K, G, D>,
    world: World<O>,
    /// The last one runs.
    processes: Vec<Arc<View>>,
    fault: Fault,
}

impl<S, O, C, M, K, G, D> Running<'_, S, O, C, M, K, G, D>
where
    S: Spec,
    O: Send + Sync + 'static,
    C: Controller<Resource = Object<S>>,
    M: Fn() -> O,
    K: Fn(&Arc<O>) -> C,
    G: AsyncFn(&World<O>) -> Result<()>,
    D: AsyncFn(&World<O>) -> Result<bool, String>,
{
    async fn finish(&mut self) -> Result<Run, String> {
        (self.trial.given)(&self.world).await.map_err(|error| format!("what was given could not be made: {error}"))?;
        let begin = self.world.resources.clock().monotonic();
        let mut process = self.start(self.fault)?;
        let mut ended = None;
        for _ in 0..self.trial.max_steps {
            rest().await;
            if process.view.has_crashed() {
                drop(process);
                process = self.start(Fault::None)?;
                continue;
            }
            if (self.trial.done)(&self.world).await? {
                ended = Some(self.world.resources.clock().monotonic().saturating_since(begin));
                break;
            }
            if self.world.clock.advance_to_next_timer().is_none() {
                return Err("nobody can do anything, and nobody waits for a time".to_owned());
            }
        }
        let took = ended.ok_or_else(|| format!("not done after {} steps of the clock", self.trial.max_steps))?;
        self.stay_quiet(process).await?;
        let operations = self.processes.first().map(|view| view.log()).unwrap_or_default();
        Ok(Run { operations, took, restarted: self.processes.len() > 1 })
    }

    /// What is done must stay so, also with a process that starts where another ended.
    async fn stay_quiet(&mut self, mut process: Process) -> Result<(), String> {
        let mut head = self.settle().await?;
        for _ in 0..self.trial.quiet_steps {
            if process.view.has_crashed() {
                drop(process);
                process = self.start(Fault::None)?;
            }
            self.world.clock.advance_to_next_timer();
            rest().await;
            if !(self.trial.done)(&self.world).await? {
                return Err("what was done did not stay so".to_owned());
            }
            let now = self.head().await?;
            if self.fault == Fault::None && now != head {
                return Err("it was done, and yet the controller went on writing".to_owned());
            }
            head = now;
        }
        Ok(())
    }

    /// The writes that are under way when all is done may end.
    async fn settle(&self) -> Result<Revision, String> {
        rest().await;
        self.head().await
    }

    async fn head(&self) -> Result<Revision, String> {
        self.world.store.state().await.map(|state| state.head).map_err(|error| error.to_string())
    }

    fn start(&mut self, fault: Fault) -> Result<Process, String> {
        let clock = Arc::new(self.world.clock.clone());
        let view = View::new(Arc::clone(&self.world.store), clock, fault);
        let controller = (self.trial.controller)(&self.world.outside);
        let process = Process::start(&self.world, view, controller, self.trial.config.clone(), &self.trial.wiring);
        let process = process.map_err(|error| error.to_string())?;
        self.processes.push(Arc::clone(&process.view));
        Ok(process)
    }

    fn operations(&self) -> Vec<String> {
        self.processes.iter().flat_map(|view| view.log()).collect()
    }
}

/// Lets everybody do what they can: the runtime's own time, which nothing else uses, moves only when nobody can go on.
async fn rest() {
    let _ = timeout(Duration::from_millis(1), pending::<()>()).await;
}

impl<S, O, C, M, K, G, D> fmt::Debug for Trial<S, O, C, M, K, G, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trial(of at most {} steps)", self.max_steps)
    }
}
