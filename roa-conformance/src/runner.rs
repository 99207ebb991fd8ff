//! [`run`]: all cases that a backend can face, each reported by its name.

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::cases::cases;
use crate::{Case, Settings, StoreFactory};

/// How many cases a backend runs and skips: pinned, so that none is lost unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// How many cases run.
    pub run: usize,
    /// How many are skipped, since a capability or a facility is missing.
    pub skipped: usize,
}

/// Runs all cases that the factory's stores can face, with the arguments of the command line, which are those of
/// `cargo test`. What is skipped is reported with what is missing.
pub fn run<F: StoreFactory>(factory: F) -> ExitCode {
    start(&(Arc::new(factory) as Arc<dyn StoreFactory>), None)
}

/// As [`run`], and fails if another number of cases than expected runs or is skipped.
pub fn run_pinned<F: StoreFactory>(factory: F, expected: Expected) -> ExitCode {
    start(&(Arc::new(factory) as Arc<dyn StoreFactory>), Some(expected))
}

fn start(factory: &Arc<dyn StoreFactory>, expected: Option<Expected>) -> ExitCode {
    let settings = match Settings::from_env() {
        Ok(settings) => settings,
        Err(error) => {
            report(&error.to_string());
            return ExitCode::from(2);
        }
    };
    let arguments = Arguments::from_args();
    let plan = Plan::new(&**factory);
    plan.report(&**factory, &settings);
    if let Some(difference) = expected.and_then(|expected| plan.difference(expected)) {
        report(&difference);
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&arguments, plan.trials(factory, &settings)).exit_code()
}

#[expect(clippy::print_stderr, reason = "a test binary speaks there")]
fn report(line: &str) {
    eprintln!("conformance: {line}");
}

/// Which cases run, and what is missing for the others.
struct Plan {
    run: Vec<&'static Case>,
    skipped: Vec<(&'static Case, String)>,
}

impl Plan {
    fn new(factory: &dyn StoreFactory) -> Self {
        let (mut run, mut skipped) = (Vec::new(), Vec::new());
        for case in cases() {
            match case.missing(factory) {
                None => run.push(case),
                Some(need) => skipped.push((case, format!("needs {need}"))),
            }
        }
        Self { run, skipped }
    }

    fn counts(&self) -> Expected {
        Expected { run: self.run.len(), skipped: self.skipped.len() }
    }

    fn report(&self, factory: &dyn StoreFactory, settings: &Settings) {
        let (Expected { run, skipped }, scale) = (self.counts(), settings.scale * factory.scale());
        report(&format!("{}: {run} cases run, {skipped} skipped, scale {scale}", factory.name()));
        for (case, reason) in &self.skipped {
            report(&format!("skipped {case}: {reason}"));
        }
    }

    fn difference(&self, expected: Expected) -> Option<String> {
        let counts = self.counts();
        let message = || {
            let Expected { run, skipped } = expected;
            format!("{} cases run and {} skipped, expected {run} and {skipped}", counts.run, counts.skipped)
        };
        (counts != expected).then(message)
    }

    fn trials(self, factory: &Arc<dyn StoreFactory>, settings: &Settings) -> Vec<Trial> {
        let run = self.run.into_iter().map(|case| {
            let (factory, settings) = (Arc::clone(factory), settings.clone());
            let body = move || case.run(factory, &settings).map_err(Failed::from);
            Trial::test(case.title(), body).with_kind(case.invariants())
        });
        let skipped = self.skipped.into_iter().map(|(case, reason)| {
            let body = move || Ok(Completion::ignored_with(reason));
            Trial::ignorable_test(case.title(), body).with_kind(case.invariants())
        });
        let mut trials: Vec<_> = run.chain(skipped).collect();
        trials.sort_by(|a, b| a.name().cmp(b.name()));
        trials
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FactoryError, FreshOptions, Opened};
    use async_trait::async_trait;
    use roa_core::{Capabilities, Store};

    /// A factory of which only the capabilities matter.
    #[derive(Debug)]
    struct Declared(Capabilities);

    #[async_trait]
    impl StoreFactory for Declared {
        fn name(&self) -> &str {
            "declared"
        }

        fn capabilities(&self) -> Capabilities {
            self.0.clone()
        }

        async fn fresh(&self, _: FreshOptions) -> Result<Arc<dyn Store>, FactoryError> {
            Err(FactoryError::failed("no stores here"))
        }

        async fn open(&self, _: crate::Fixture) -> Result<Opened, FactoryError> {
            Err(FactoryError::failed("no stores here"))
        }
    }

    fn declared(change: impl FnOnce(&mut Capabilities)) -> Arc<dyn StoreFactory> {
        let mut capabilities = Capabilities::volatile();
        change(&mut capabilities);
        Arc::new(Declared(capabilities))
    }

    #[test]
    fn d38_a_case_that_lacks_a_capability_is_skipped_by_its_name() {
        let skipped = |factory: Arc<dyn StoreFactory>| {
            Plan::new(&*factory).skipped.iter().map(|(case, reason)| format!("{case}: {reason}")).collect::<Vec<_>>()
        };
        let none = skipped(declared(|_| {}));
        assert!(none.contains(&"75_reopen_preserves_all (S1, S4): needs capability reopens".to_owned()), "{none:?}");
        let lists = skipped(declared(|capabilities| capabilities.exact_lists = false));
        assert!(lists.len() > none.len());
        assert!(skipped(declared(|capabilities| capabilities.dense = false)).len() > lists.len());
    }

    #[test]
    fn d38_another_number_of_cases_than_pinned_is_a_difference() {
        let plan = Plan::new(&*declared(|_| {}));
        let counts = plan.counts();
        assert_eq!((plan.difference(counts), counts.run + counts.skipped), (None, cases().count()));
        let difference = plan.difference(Expected { run: counts.run + 1, skipped: counts.skipped }).unwrap();
        assert!(difference.contains(&format!("expected {} and", counts.run + 1)), "{difference}");
    }

    #[test]
    fn a_case_is_reported_with_its_invariants_and_fails_with_its_reason() {
        let factory = declared(|_| {});
        let trials = Plan::new(&*factory).trials(&factory, &Settings::default());
        assert_eq!((trials[0].name(), trials[0].kind()), ("01_create_absent_ok", "S3"));
        let failure = cases().next().unwrap().run(factory, &Settings::default()).unwrap_err();
        assert_eq!(failure.to_string(), "no stores here");
    }
}
