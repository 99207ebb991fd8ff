//! [`Random`]: where random numbers come from. Injected, so that a test can repeat a run.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::{Builder, Uuid};

/// A source of random numbers.
///
/// ```
/// # use roa_core::{Random, RandomExt};
/// /// One of them.
/// fn choose<'a>(random: &dyn Random, names: &[&'a str]) -> &'a str {
///     names[random.below(names.len() as u64) as usize]
/// }
/// ```
pub trait Random: Debug + Send + Sync + 'static {
    /// 64 random bits.
    fn next_u64(&self) -> u64;
}

/// What else can be drawn from any source.
///
/// ```
/// use roa_core::{RandomExt, SeededRandom};
/// let random = SeededRandom::new(7);
/// assert!((0.0..1.0).contains(&random.unit()) && random.below(6) < 6);
/// ```
pub trait RandomExt: Random {
    /// A random UUID, version 4.
    fn uuid(&self) -> Uuid {
        let bits = u128::from(self.next_u64()) << 64 | u128::from(self.next_u64());
        Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// A number from 0 to less than 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    fn unit(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `bound`, each as likely as the others; 0 if `bound` is.
    fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Numbers from here on would favour the small remainders.
        let fair = u64::MAX - u64::MAX % bound;
        loop {
            let number = self.next_u64();
            if number < fair {
                return number % bound;
            }
        }
    }

    /// A duration between `base` and `base * (1 + factor)`.
    fn jitter(&self, base: Duration, factor: f64) -> Duration {
        let stretched = base.as_secs_f64() * (1.0 + factor.max(0.0) * self.unit());
        Duration::try_from_secs_f64(stretched).unwrap_or(base)
    }
}

impl<T: Random + ?Sized> RandomExt for T {}

/// The operating system's source.
///
/// ```
/// use roa_core::{RandomExt, SystemRandom};
/// assert_ne!(SystemRandom.uuid(), SystemRandom.uuid());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next_u64(&self) -> u64 {
        // Of a version 4 UUID all but six bits are random: two halves make 64 that all are.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        (high & 0xffff_ffff_0000_0000) | (low & 0xffff_ffff)
    }
}

/// The same numbers for the same seed: SplitMix64, after Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators" (2014).
///
/// ```
/// use roa_core::{RandomExt, SeededRandom};
/// assert_eq!(SeededRandom::new(7).uuid(), SeededRandom::new(7).uuid(), "the same seed, the same numbers");
/// ```
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The source with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeded_source_gives_the_published_numbers() {
        let random = SeededRandom::new(1_234_567);
        assert_eq!([random.next_u64(), random.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn draws_stay_in_their_ranges() {
        for random in [&SystemRandom as &dyn Random, &SeededRandom::new(7)] {
            for _ in 0..200 {
                assert!(random.below(3) < 3 && random.below(0) == 0);
                assert!((0.0..1.0).contains(&random.unit()));
                let jittered = random.jitter(Duration::from_secs(10), 0.5);
                assert!((Duration::from_secs(10)..=Duration::from_secs(15)).contains(&jittered));
            }
            assert_eq!(random.uuid().get_version_num(), 4);
            assert_ne!(random.uuid(), random.uuid());
        }
    }
}
