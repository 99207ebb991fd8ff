//! [`Causes`]: why a key is in the queue, bounded, and without an allocation if no other object led to it.

use roa_core::{Cause, Key};

/// How many different causes are kept; there are fewer today. They are for people: what came after these is left out.
const MAX_CAUSES: usize = 8;
/// How many other objects are kept that led to it.
const MAX_RELATED: usize = 4;

/// Different causes, in the order in which they came, and the objects because of which [`Cause::Related`] is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Causes {
    causes: [Option<Cause>; MAX_CAUSES],
    related: Vec<Key>,
}

impl Causes {
    pub(super) fn one(cause: Cause) -> Self {
        let mut causes = Self::default();
        causes.insert(cause);
        causes
    }

    pub(super) fn related(key: &Key) -> Self {
        Self { related: vec![key.clone()], ..Self::one(Cause::Related) }
    }

    pub(super) fn insert(&mut self, cause: Cause) {
        for place in &mut self.causes {
            if place.is_none_or(|known| known == cause) {
                *place = Some(cause);
                return;
            }
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        other.iter().for_each(|cause| self.insert(cause));
        for key in other.related {
            if self.related.len() < MAX_RELATED && !self.related.contains(&key) {
                self.related.push(key);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cause> {
        self.causes.into_iter().flatten()
    }

    pub(super) fn to_vec(&self) -> Vec<Cause> {
        self.iter().collect()
    }

    pub(super) fn objects(&self) -> &[Key] {
        &self.related
    }

    pub(super) fn into_related(self) -> Vec<Key> {
        self.related
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

    #[test]
    fn c6_the_objects_that_led_to_it_are_kept_once_and_not_more_than_a_few() {
        let key = |number: usize| Key::new("g", "parts", "n", &number.to_string()).unwrap();
        let mut causes = Causes::one(Cause::Changed);
        for number in [1, 0, 1, 2, 3, 4, 5] {
            causes.extend(Causes::related(&key(number)));
        }
        assert_eq!(causes.to_vec(), [Cause::Changed, Cause::Related]);
        assert_eq!(causes.into_related(), [1, 0, 2, 3].map(key));
    }
}
