//! [`Case`]: one thing that a store must do, by its own name.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};

use futures_core::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

use crate::failure::{CaseFailure, Outcome};
use crate::harness::Harness;
use crate::mutants::Mutation;
use crate::{Facility, FactoryError, Settings, StoreFactory};

/// What a case does with a harness.
pub(crate) type Body = fn(Harness) -> BoxFuture<'static, Outcome>;

/// One thing that a store must do.
#[derive(Clone, Copy)]
pub struct Case {
    number: u32,
    name: &'static str,
    invariants: &'static str,
    needs: &'static [Need],
    mutations: &'static [Mutation],
    body: Body,
}

/// What a store must promise, or its factory be able to do, for a case to make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// [`Capabilities::dense`](roa_core::Capabilities::dense).
    Dense,
    /// [`Capabilities::exact_lists`](roa_core::Capabilities::exact_lists).
    ExactLists,
    /// [`Capabilities::reopens`](roa_core::Capabilities::reopens).
    Reopens,
    /// Something of the factory.
    Facility(Facility),
}

impl Need {
    fn is_met(self, factory: &dyn StoreFactory) -> bool {
        match self {
            Self::Dense => factory.capabilities().dense,
            Self::ExactLists => factory.capabilities().exact_lists,
            Self::Reopens => factory.capabilities().reopens,
            Self::Facility(facility) => factory.facilities().contains(&facility),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense => f.write_str("capability dense"),
            Self::ExactLists => f.write_str("capability exact_lists"),
            Self::Reopens => f.write_str("capability reopens"),
            Self::Facility(facility) => facility.fmt(f),
        }
    }
}

impl Case {
    pub(crate) const fn new(number: u32, name: &'static str, invariants: &'static str, body: Body) -> Self {
        Self { number, name, invariants, needs: &[], mutations: &[], body }
    }

    pub(crate) const fn needs(mut self, needs: &'static [Need]) -> Self {
        self.needs = needs;
        self
    }

    pub(crate) const fn rejects(mut self, mutations: &'static [Mutation]) -> Self {
        self.mutations = mutations;
        self
    }

    /// Its number, for good: a case that is dropped leaves a gap.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Number and name, as it is reported.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{:02}_{}", self.number, self.name)
    }

    /// Which invariants of the contract it holds a store to.
    #[must_use]
    pub const fn invariants(&self) -> &'static str {
        self.invariants
    }

    /// What is missing to run it on this factory's stores; `None` if nothing is.
    #[must_use]
    pub fn missing(&self, factory: &dyn StoreFactory) -> Option<Need> {
        self.needs.iter().copied().find(|need| !need.is_met(factory))
    }

    /// What a store can do wrong that the case notices; at least one thing.
    #[must_use]
    pub const fn mutations(&self) -> &'static [Mutation] {
        self.mutations
    }

    /// Runs it on a runtime of its own, and waits until it has ended or its deadline has passed.
    ///
    /// # Errors
    /// [`CaseFailure`]: what was expected, and what was seen.
    pub fn run(&self, factory: Arc<dyn StoreFactory>, settings: &Settings) -> Outcome {
        let runtime = runtime()?;
        let (done, ended) = channel();
        let harness = Harness::new(factory, settings.clone());
        let case = runtime.spawn((self.body)(harness));
        runtime.spawn(async move {
            let outcome = case.await.unwrap_or_else(|panic| Err(CaseFailure::Panicked(panic.to_string())));
            // Nobody listens any more if the deadline has passed: then the outcome is that.
            done.send(outcome).ok();
        });
        let outcome = match ended.recv_timeout(settings.deadline) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(CaseFailure::Hung(settings.deadline)),
            Err(RecvTimeoutError::Disconnected) => Err(CaseFailure::Panicked("its runtime ended".to_owned())),
        };
        runtime.shutdown_background();
        outcome
    }
}

/// Two threads, so that what a case does at once is really done at once.
fn runtime() -> Result<Runtime, CaseFailure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("conformance-case").build();
    runtime.map_err(|error| FactoryError::failed(format!("start a runtime: {error}")).into())
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title(), self.invariants)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use async_trait::async_trait;
    use roa_core::{Capabilities, Store};

    use crate::FreshOptions;

    #[derive(Debug)]
    struct NoStores;

    #[async_trait]
    impl StoreFactory for NoStores {
        fn name(&self) -> &str {
            "no stores"
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities::volatile()
        }

        fn facilities(&self) -> &[Facility] {
            &[Facility::Closes]
        }

        async fn fresh(&self, _: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
            Err(FactoryError::failed("no stores here"))
        }
    }

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    fn run(body: Body, deadline: Duration) -> Outcome {
        let settings = Settings { deadline, ..Settings::default() };
        Case::new(1, "example", "S1", body).run(Arc::new(NoStores), &settings)
    }

    #[test]
    fn a_case_that_hangs_fails_at_its_deadline_even_if_it_blocks_its_thread() {
        let waits: Body = |_| Box::pin(std::future::pending());
        assert!(matches!(run(waits, SOON), Err(CaseFailure::Hung(_))));
        let blocks: Body = |_| {
            Box::pin(async {
                loop {
                    std::thread::park();
                }
            })
        };
        assert!(matches!(run(blocks, SOON), Err(CaseFailure::Hung(_))));
    }

    #[test]
    fn a_case_that_panics_fails_with_what_the_panic_said() {
        let panics: Body = |_| Box::pin(async { panic!("boom") });
        assert!(run(panics, LATE).unwrap_err().to_string().contains("boom"));
        assert!(run(|_| Box::pin(async { Ok(()) }), LATE).is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let needs: &[(&'static [Need], Option<&str>)] = &[
            (&[Need::Dense, Need::ExactLists, Need::Facility(Facility::Closes)], None),
            (&[Need::Dense, Need::Reopens], Some("capability reopens")),
            (&[Need::Facility(Facility::Backups)], Some("a factory that makes backups")),
        ];
        for (needs, expected) in needs {
            let case = Case::new(7, "example", "S1", |_| Box::pin(async { Ok(()) })).needs(needs);
            let missing = case.missing(&NoStores).map(|need| need.to_string());
            assert_eq!((missing.as_deref(), case.to_string().as_str()), (*expected, "07_example (S1)"));
        }
    }
}
