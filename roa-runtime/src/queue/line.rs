//! [`Line`]: what is mostly put at the end of an order, and taken from its front.

use std::collections::{BTreeMap, VecDeque};

/// How many places are kept allocated, however few are needed.
const ROOM: usize = 32;

/// Items in the order of their places, no two of which are the same. Whatever comes with the greatest place so far, and is
/// taken out as the first, is moved in a ring: no node of a tree is made for it. All else takes O(log n), amortised.
#[derive(Debug)]
pub(super) struct Line<P, T> {
    /// In order. What was taken out between its ends left a gap; there are no more gaps than items.
    ring: VecDeque<(P, Option<T>)>,
    gaps: usize,
    /// What came with a place before that of the last in the ring.
    early: BTreeMap<P, T>,
}

impl<P: Ord + Copy, T> Line<P, T> {
    pub(super) const fn new() -> Self {
        Self { ring: VecDeque::new(), gaps: 0, early: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len() - self.gaps + self.early.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn insert(&mut self, place: P, item: T) {
        match self.ring.back() {
            Some((last, _)) if *last > place => _ = self.early.insert(place, item),
            _ => self.ring.push_back((place, Some(item))),
        }
    }

    /// The first place, and what is there.
    pub(super) fn first(&self) -> Option<(P, &T)> {
        let (ring, early) = (self.ring.front(), self.early.first_key_value());
        match (ring, early) {
            (Some((place, _)), Some((early, item))) if early < place => Some((*early, item)),
            (Some((place, item)), _) => Some((*place, item.as_ref()?)),
            (None, early) => early.map(|(place, item)| (*place, item)),
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<(P, T)> {
        let first = self.ring.front().map(|(place, _)| *place);
        let early = self.early.first_key_value().is_some_and(|(early, _)| first.is_none_or(|first| *early < first));
        if early {
            return self.early.pop_first();
        }
        let (place, item) = self.ring.pop_front()?;
        self.tidy();
        Some((place, item?))
    }

    /// Takes out what has this place.
    pub(super) fn remove(&mut self, place: P) -> Option<T> {
        if self.ring.front().is_some_and(|(front, _)| *front == place) {
            let (_, item) = self.ring.pop_front()?;
            self.tidy();
            return item;
        }
        let found = self.ring.binary_search_by_key(&place, |(place, _)| *place).ok();
        let Some(item) = found.and_then(|at| self.ring.get_mut(at)?.1.take()) else {
            return self.early.remove(&place);
        };
        self.gaps += 1;
        self.tidy();
        Some(item)
    }

    /// No gap is at an end, gaps are fewer than half, and the ring is not much larger than what it holds.
    fn tidy(&mut self) {
        while self.ring.front().is_some_and(|(_, item)| item.is_none()) {
            self.ring.pop_front();
            self.gaps -= 1;
        }
        while self.ring.back().is_some_and(|(_, item)| item.is_none()) {
            self.ring.pop_back();
            self.gaps -= 1;
        }
        if self.gaps > self.ring.len() / 2 {
            self.ring.retain(|(_, item)| item.is_some());
            self.gaps = 0;
        }
        let room = 2 * self.ring.len().max(ROOM);
        if self.ring.capacity() > 4 * room {
            self.ring.shrink_to(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u16),
        PopFirst,
        Remove(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400_u16).prop_map(Step::Insert),
            2 => Just(Step::PopFirst),
            3 => (0..400_u16).prop_map(Step::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_does_what_an_ordered_map_does(steps in prop::collection::vec(step(), 0..600)) {
            let (mut line, mut map) = (Line::new(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Insert(place) if map.contains_key(&place) => {}
                    Step::Insert(place) => {
                        line.insert(place, u32::from(place));
                        map.insert(place, u32::from(place));
                    }
                    Step::PopFirst => prop_assert_eq!(line.pop_first(), map.pop_first()),
                    Step::Remove(place) => prop_assert_eq!(line.remove(place), map.remove(&place)),
                }
                prop_assert_eq!(line.first(), map.first_key_value().map(|(place, item)| (*place, item)));
                prop_assert_eq!((line.len(), line.is_empty()), (map.len(), map.is_empty()));
                prop_assert!(line.gaps <= line.ring.len() / 2, "{} gaps of {}", line.gaps, line.ring.len());
            }
        }
    }

    #[test]
    fn what_only_comes_last_and_goes_first_makes_no_node() {
        let mut line = Line::new();
        for place in 0..1_000 {
            line.insert(place, ());
            line.insert(place + 100_000, ());
            assert!(line.remove(place + 100_000).is_some() && line.early.is_empty());
        }
        assert_eq!((line.len(), line.first()), (1_000, Some((0, &()))));
    }

    #[test]
    fn after_a_rush_little_is_kept() {
        let mut line = Line::new();
        (0..100_000).for_each(|place| line.insert(place, ()));
        while line.pop_first().is_some() {}
        assert!(line.ring.capacity() <= 8 * ROOM, "room for {}", line.ring.capacity());
    }
}
