//! [`Histogram`]: many durations in little room, each known to within a sixteenth.

use std::time::Duration;

/// How many steps there are between a power of two and the next.
const STEPS: usize = 16;
/// Powers of two of nanoseconds: enough for 584 years.
const POWERS: usize = 64;

/// How often what took how long.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; STEPS * POWERS].into(), total: 0, longest: Duration::ZERO }
    }

    pub(super) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[step_of(nanos)] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    pub(super) const fn longest(&self) -> Duration {
        self.longest
    }

    /// What so many in a thousand did not exceed; `None` of nothing.
    pub(super) fn per_mille(&self, share: u64) -> Option<Duration> {
        let wanted = (self.total * share).div_ceil(1_000).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(|step| Duration::from_nanos(end_of(step)).min(self.longest))
    }
}

/// Below sixteen each number has its own step; above, each power of two has sixteen.
fn step_of(nanos: u64) -> usize {
    let power = nanos.max(1).ilog2();
    let within = if power < 4 { nanos } else { (nanos >> (power - 4)) - 16 };
    let power = if power < 4 { 0 } else { power as usize - 3 };
    (power * STEPS + usize::try_from(within).unwrap_or(STEPS - 1)).min(STEPS * POWERS - 1)
}

/// The largest number of a step.
fn end_of(step: usize) -> u64 {
    let (power, within) = (step / STEPS, (step % STEPS) as u64);
    match u32::try_from(power) {
        Ok(0) => within,
        Ok(power) => ((u128::from(17 + within) << (power - 1)) - 1).try_into().unwrap_or(u64::MAX),
        Err(_) => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_lies_in_a_step_that_ends_at_most_a_sixteenth_later() {
        for power in 0..63 {
            for nanos in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let end = end_of(step_of(nanos));
                assert!(end >= nanos && end - nanos <= nanos / 16, "{nanos} is told as {end}");
            }
        }
        assert_eq!(end_of(step_of(0)), 0);
    }

    #[test]
    fn quantiles_of_two_histograms_together() {
        let (mut low, mut high) = (Histogram::new(), Histogram::new());
        for _ in 0..990 {
            low.record(Duration::from_micros(100));
        }
        for _ in 0..10 {
            high.record(Duration::from_millis(50));
        }
        low.add(&high);
        let near = |found: Option<Duration>, wanted: Duration| {
            let found = found.unwrap();
            assert!(found >= wanted && found <= wanted.mul_f64(1.07), "{found:?} for {wanted:?}");
        };
        near(low.per_mille(500), Duration::from_micros(100));
        near(low.per_mille(990), Duration::from_micros(100));
        assert_eq!(low.per_mille(999), Some(Duration::from_millis(50)));
        assert_eq!(low.longest(), Duration::from_millis(50));
        assert_eq!(Histogram::new().per_mille(500), None);
    }
}
