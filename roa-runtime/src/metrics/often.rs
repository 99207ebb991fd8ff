//! [`Count`] and [`Durations`]: a counter and a histogram that cost each call next to nothing, however many workers there
//! are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{Atomic, Counter};
use prometheus_client::metrics::{MetricType, TypedMetric};

use super::shards::Shards;

/// A counter of what happens often. A clone counts the same.
pub(super) type Count = Counter<u64, Sharded>;

/// The number behind a [`Count`].
#[derive(Debug, Default)]
pub(super) struct Sharded(Shards<AtomicU64>);

impl Atomic<u64> for Sharded {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Gives what this thread's place had before: nobody asks for more.
    fn inc_by(&self, more: u64) -> u64 {
        self.0.mine().fetch_add(more, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.iter().map(|place| place.load(Ordering::Relaxed)).sum()
    }
}

/// Upper bounds of the buckets; what is longer has one more.
const BOUNDS: [Duration; 12] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
];

/// A histogram of durations. A clone is the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Arc<Shards<Observed>>);

#[derive(Debug, Default)]
struct Observed {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In nanoseconds: together they would have to last for 500 years to be too many.
    sum: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, took: Duration) {
        let observed = self.0.mine();
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        observed.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        observed.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Each bucket's upper bound in seconds, and how many are in it alone.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let count =
            |bucket: usize| self.0.iter().map(|observed| observed.buckets[bucket].load(Ordering::Relaxed)).sum();
        bounds.enumerate().map(|(bucket, bound)| (bound, count(bucket))).collect()
    }

    fn sum(&self) -> f64 {
        self.0.iter().map(|observed| Duration::from_nanos(observed.sum.load(Ordering::Relaxed)).as_secs_f64()).sum()
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let buckets = self.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    fn encoded(metric: impl prometheus_client::registry::Metric) -> String {
        let mut registry = Registry::default();
        registry.register("m", "M", metric);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn it_tells_what_the_librarys_histogram_tells_whichever_threads_observe() {
        let theirs = Histogram::new(BOUNDS.iter().map(Duration::as_secs_f64));
        let ours = Durations::default();
        let took =
            [0, 100_000, 100_001, 2_000_000, 250_000_000, 120_000_000_000, 121_000_000_000].map(Duration::from_nanos);
        took.iter().for_each(|took| theirs.observe(took.as_secs_f64()));
        std::thread::scope(|scope| {
            for took in &took {
                scope.spawn(|| ours.observe(*took));
            }
        });
        // All of one thread's buckets are exact; their sums differ in the last digits.
        let without_sum =
            |text: String| text.lines().filter(|line| !line.contains("_sum")).collect::<Vec<_>>().join("\n");
        assert_eq!(without_sum(encoded(ours.clone())), without_sum(encoded(theirs)));
        assert!((ours.sum() - 241.252_200_001).abs() < 1e-9, "{}", ours.sum());
    }

    #[test]
    fn nothing_is_lost_when_many_count() {
        let count = Count::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1_000).for_each(|_| _ = count.inc()));
            }
        });
        assert_eq!(count.get(), 20_000);
        assert!(encoded(count).contains("m_total 20000"));
    }
}
