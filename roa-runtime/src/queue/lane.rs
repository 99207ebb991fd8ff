//! [`Lane`]: the ready keys of one priority, shared out fairly.

use roa_core::Monotonic;

use super::line::Line;
use super::table::{Id, Table};

/// A place in an order: by time, then by number. No two keys have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: Monotonic,
    pub(super) number: u64,
}

/// How many emptied lines are kept for those who come next.
const SPARE: usize = 16;

/// The ready keys of one priority. Those who share the queue take turns, one key each; the keys of one sharer go in the
/// order in which they became ready. Only who has a ready key is known, so it is as small as what it holds.
#[derive(Debug)]
pub(super) struct Lane<T> {
    sharers: Table<Box<str>, Sharer<T>>,
    /// Whose turn it is, by the number of the turn.
    turns: Line<u64, Id>,
    next_turn: u64,
    /// Where the oldest key of each sharer stands.
    fronts: Line<Place, ()>,
    len: usize,
    spare: Vec<Line<Place, T>>,
}

/// One who shares the queue, with at least one ready key.
#[derive(Debug)]
struct Sharer<T> {
    keys: Line<Place, T>,
    turn: u64,
}

impl<T> Sharer<T> {
    fn front(&self) -> Option<Place> {
        self.keys.first().map(|(place, _)| place)
    }
}

impl<T> Lane<T> {
    pub(super) fn new() -> Self {
        Self { sharers: Table::new(), turns: Line::new(), next_turn: 0, fronts: Line::new(), len: 0, spare: Vec::new() }
    }

    /// Adds a key; a sharer who had none so far has the last turn.
    pub(super) fn insert(&mut self, sharer: &str, place: Place, key: T) {
        self.len += 1;
        let vacant = match self.sharers.find(sharer) {
            Err(vacant) => vacant,
            Ok(id) => {
                let Some((_, known)) = self.sharers.get_mut(id) else { return };
                let front = known.front();
                known.keys.insert(place, key);
                let now = known.front();
                return self.move_front(front, now);
            }
        };
        let mut keys = self.spare.pop().unwrap_or_else(Line::new);
        keys.insert(place, key);
        self.next_turn += 1;
        let id = self.sharers.insert(vacant, sharer.into(), Sharer { keys, turn: self.next_turn });
        self.turns.insert(self.next_turn, id);
        self.fronts.insert(place, ());
    }

    fn move_front(&mut self, before: Option<Place>, now: Option<Place>) {
        if before == now {
            return;
        }
        if let Some(before) = before {
            self.fronts.remove(before);
        }
        if let Some(now) = now {
            self.fronts.insert(now, ());
        }
    }

    pub(super) fn remove(&mut self, sharer: &str, place: Place) -> Option<T> {
        let id = self.sharers.find(sharer).ok()?;
        let (_, known) = self.sharers.get_mut(id)?;
        let front = known.front();
        let key = known.keys.remove(place)?;
        let (now, turn) = (known.front(), known.turn);
        self.len -= 1;
        self.move_front(front, now);
        if now.is_none() {
            self.turns.remove(turn);
            self.leave(id);
        }
        Some(key)
    }

    /// Takes out the oldest key of whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let (_, id) = self.turns.pop_first()?;
        self.next_turn += 1;
        let (_, known) = self.sharers.get_mut(id)?;
        let (place, key) = known.keys.pop_first()?;
        (known.turn, self.len) = (self.next_turn, self.len - 1);
        let now = known.front();
        self.move_front(Some(place), now);
        if now.is_none() {
            self.leave(id);
        } else {
            self.turns.insert(self.next_turn, id);
        }
        Some(key)
    }

    fn leave(&mut self, id: Id) {
        if let Some((_, sharer)) = self.sharers.remove(id)
            && self.spare.len() < SPARE
        {
            self.spare.push(sharer.keys);
        }
    }

    /// Where the key stands that waits longest.
    pub(super) fn oldest(&self) -> Option<Place> {
        self.fronts.first().map(|(place, ())| place)
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many share it now.
    pub(super) fn sharers(&self) -> usize {
        self.sharers.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u64) -> Place {
        Place { at: Monotonic::default(), number }
    }

    fn insert(lane: &mut Lane<(&'static str, u64)>, sharer: &'static str, number: u64) {
        lane.insert(sharer, place(number), (sharer, number));
    }

    fn pop(lane: &mut Lane<(&'static str, u64)>) -> Option<u64> {
        lane.pop().map(|key| key.1)
    }

    fn pop_all(lane: &mut Lane<(&'static str, u64)>) -> Vec<u64> {
        std::iter::from_fn(|| pop(lane)).collect()
    }

    #[test]
    fn those_who_share_take_turns_and_each_ones_keys_go_in_order() {
        let mut lane = Lane::new();
        for (number, sharer) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c"), (6, "b")] {
            insert(&mut lane, sharer, number);
        }
        assert_eq!((lane.len(), lane.sharers(), lane.oldest()), (6, 3, Some(place(1))));
        assert_eq!(pop_all(&mut lane), [1, 4, 5, 2, 6, 3]);
        assert!(lane.is_empty() && lane.turns.is_empty() && lane.fronts.is_empty() && lane.sharers() == 0);
    }

    /// Lesson 26: one tenant's burst holds up nobody else.
    #[test]
    fn a_single_key_waits_for_one_key_of_another_however_many_that_has() {
        let mut lane = Lane::new();
        for number in 0..10_000 {
            insert(&mut lane, "busy", number);
        }
        insert(&mut lane, "quiet", 10_000);
        assert_eq!([pop(&mut lane), pop(&mut lane)], [Some(0), Some(10_000)]);
    }

    #[test]
    fn who_is_served_and_comes_back_has_the_last_turn() {
        let mut lane = Lane::new();
        insert(&mut lane, "a", 1);
        insert(&mut lane, "b", 2);
        assert_eq!(pop(&mut lane), Some(1));
        insert(&mut lane, "a", 3);
        assert_eq!(pop_all(&mut lane), [2, 3]);
    }

    #[test]
    fn who_leaves_by_removal_leaves_no_turn() {
        let mut lane = Lane::new();
        insert(&mut lane, "a", 1);
        insert(&mut lane, "b", 2);
        assert_eq!((lane.remove("a", place(2)), lane.remove("a", place(1))), (None, Some(("a", 1))));
        assert_eq!((lane.len(), lane.sharers(), lane.oldest()), (1, 1, Some(place(2))));
        insert(&mut lane, "a", 3);
        assert_eq!(pop_all(&mut lane), [2, 3]);
    }
}
