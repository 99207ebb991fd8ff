//! [`Causes`]: why a key is in the queue, bounded, and without an allocation if no other object led to it.

use roa_core::{Cause, Key};

/// How many different causes are kept; there are fewer today. They are for people: what came after these is left out.
const MAX_CAUSES: usize = 8;
/// How many other objects are kept that led to it.
const MAX_RELATED: usize = 4;

/// Different causes, at least one, in the order in which they came, and the objects because of which [`Cause::Related`] is one.
#[derive(Debug, Clone)]
pub(super) struct Causes {
    /// The first `count` are; the others are nothing.
    causes: [Cause; MAX_CAUSES],
    count: usize,
    related: Vec<Key>,
}

impl Causes {
    pub(super) fn one(cause: Cause) -> Self {
        Self { causes: [cause; MAX_CAUSES], count: 1, related: Vec::new() }
    }

    pub(super) fn related(key: &Key) -> Self {
        Self { related: vec![key.clone()], ..Self::one(Cause::Related) }
    }

    pub(super) fn insert(&mut self, cause: Cause) {
        if self.count < MAX_CAUSES && !self.as_slice().contains(&cause) {
            self.causes[self.count] = cause;
            self.count += 1;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        other.as_slice().iter().for_each(|cause| self.insert(*cause));
        for key in other.related {
            if self.related.len() < MAX_RELATED && !self.related.contains(&key) {
                self.related.push(key);
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[Cause] {
        &self.causes[..self.count]
    }

    pub(super) fn objects(&self) -> &[Key] {
        &self.related
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
        assert_eq!(causes.as_slice(), [Cause::Retry, Cause::Changed, Cause::Resync]);
        let mut union = Causes::one(Cause::Resync);
        union.extend(causes);
        assert_eq!(union.as_slice(), [Cause::Resync, Cause::Retry, Cause::Changed]);
    }

    #[test]
    fn c6_the_objects_that_led_to_it_are_kept_once_and_not_more_than_a_few() {
        let key = |number: usize| Key::new("g", "parts", "n", &number.to_string()).unwrap();
        let mut causes = Causes::one(Cause::Changed);
        for number in [1, 0, 1, 2, 3, 4, 5] {
            causes.extend(Causes::related(&key(number)));
        }
        assert_eq!(causes.as_slice(), [Cause::Changed, Cause::Related]);
        assert_eq!(causes.objects(), [1, 0, 2, 3].map(key));
    }
}
