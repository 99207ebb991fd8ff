//! The suite put to the test: each case passes on good stores, and fails on the mutants that it names.
//!
//! There are two good stores, so that no case fits one of them alone: the memory store, and a small one that can be
//! closed, copied and opened again.

mod image;
mod memory;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use roa_conformance::mutants::{FeedMutation, MutantFactory, Mutation};
use roa_conformance::{Case, CaseFailure, Settings, StoreFactory, cases};

use image::ImageFactory;
use memory::MemoryFactory;

/// What a mutant does wrong that shows only by waiting in vain.
const SEEN_BY_WAITING: &[Mutation] = &[
    Mutation::Feed(FeedMutation::Stalls),
    Mutation::Feed(FeedMutation::Delays),
    Mutation::Feed(FeedMutation::UnreadFeedsBlockCommits),
];

fn main() -> ExitCode {
    let memory: Arc<dyn StoreFactory> = Arc::new(MemoryFactory::default());
    let image: Arc<dyn StoreFactory> = Arc::new(ImageFactory::default());
    let mut trials = Vec::new();
    for case in cases() {
        let runnable: Vec<_> =
            [&memory, &image].into_iter().filter(|factory| case.missing(&***factory).is_none()).collect();
        trials.extend(runnable.iter().map(|factory| passes(case, factory)));
        for mutation in case.mutations() {
            trials.extend(runnable.first().map(|factory| rejects(case, factory, *mutation)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Small, and impatient enough that what shows only by waiting shows soon.
fn settings() -> Settings {
    Settings::default().scale(0.02).patience(Duration::from_secs(5))
}

fn passes(case: &'static Case, factory: &Arc<dyn StoreFactory>) -> Trial {
    let (name, factory) = (format!("{} passes on {}", case.title(), factory.name()), Arc::clone(factory));
    Trial::test(name, move || case.run(factory, &settings()).map_err(Failed::from))
}

fn rejects(case: &'static Case, factory: &Arc<dyn StoreFactory>, mutation: Mutation) -> Trial {
    let (name, mutants) =
        (format!("{} rejects {mutation:?}", case.title()), MutantFactory::new(Arc::clone(factory), mutation));
    Trial::test(name, move || match case.run(Arc::new(mutants), &settings()) {
        Ok(()) => Err("the mutant passed".into()),
        Err(failure @ (CaseFailure::Factory(_) | CaseFailure::Panicked(_) | CaseFailure::Hung(_))) => {
            Err(format!("failed for another reason: {failure}").into())
        }
        Err(failure) if failure.is_timeout() && !SEEN_BY_WAITING.contains(&mutation) => {
            Err(format!("expected a failed check, not waiting in vain: {failure}").into())
        }
        Err(_) => Ok(()),
    })
}
