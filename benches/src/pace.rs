//! How long something is measured: long enough to say something, or, with `ROA_BENCH_PACE=quick`, for a glance.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};

/// A group of what is compared.
pub type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// What varies with the pace.
struct Pace {
    samples: usize,
    warm_up: Duration,
    measure: Duration,
}

impl Pace {
    /// Short, since it is measured in several rounds: what changes with the hour would otherwise decide.
    const FULL: Self = Self { samples: 10, warm_up: Duration::from_millis(150), measure: Duration::from_millis(650) };
    const QUICK: Self = Self { samples: 10, warm_up: Duration::from_millis(50), measure: Duration::from_millis(300) };
    /// So that the statistics take less time than what they are about.
    const RESAMPLES: usize = 2_000;
}

/// Whether only a glance is wanted.
#[must_use]
pub fn is_quick() -> bool {
    std::env::var_os("ROA_BENCH_PACE").is_some_and(|pace| pace == "quick")
}

/// A group that is measured at the pace that was asked for, with samples of the same length each.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let pace = if is_quick() { Pace::QUICK } else { Pace::FULL };
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(pace.samples).nresamples(Pace::RESAMPLES);
    group.warm_up_time(pace.warm_up).measurement_time(pace.measure);
    group
}
