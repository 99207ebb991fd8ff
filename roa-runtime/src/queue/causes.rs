//! [`Causes`]: why a key is in the queue, bounded, without an allocation.

use roa_core::Cause;

/// How many different causes are kept; there are fewer today. They are for people: what came after these is left out.
const MAX_CAUSES: usize = 8;

/// Different causes, in the order in which they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Causes([Option<Cause>; MAX_CAUSES]);

impl Causes {
    pub(super) fn one(cause: Cause) -> Self {
        let mut causes = Self::default();
        causes.insert(cause);
        causes
    }

    pub(super) fn insert(&mut self, cause: Cause) {
        for place in &mut self.0 {
            if place.is_none_or(|known| known == cause) {
                *place = Some(cause);
                return;
            }
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        other.iter().for_each(|cause| self.insert(cause));
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Cause> {
        self.0.into_iter().flatten()
    }

    pub(super) fn to_vec(self) -> Vec<Cause> {
        self.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c6_each_cause_is_kept_once_in_order() {
        let mut causes = Causes::one(Cause::Retry);
        for cause in [Cause::Changed, Cause::Retry, Cause::Changed, Cause::Resync] {
            causes.insert(cause);
        }
        assert_eq!(causes.to_vec(), [Cause::Retry, Cause::Changed, Cause::Resync]);
        let mut union = Causes::one(Cause::Resync);
        union.extend(causes);
        assert_eq!(union.to_vec(), [Cause::Resync, Cause::Retry, Cause::Changed]);
    }
}
