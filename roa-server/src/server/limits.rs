//! [`Places`]: how many requests and watches there may be at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ApiLimits;
use crate::auth::User;

/// How many requests and watches there may be at once. Who finds no place is told to come back, and waits for nothing.
#[derive(Debug)]
pub(super) struct Places {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    requests_of: Arc<PerUser>,
    watches_of: Arc<PerUser>,
}

/// A request's place; given back when dropped.
pub(crate) type InFlight = OwnedSemaphorePermit;

/// A watch's place; given back when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held, not used")]
pub(crate) struct WatchPlace(OwnedSemaphorePermit, UserPlace);

impl Places {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        Self {
            reads: Arc::new(Semaphore::new(limits.reads)),
            writes: Arc::new(Semaphore::new(limits.writes)),
            watches: Arc::new(Semaphore::new(limits.watches)),
            requests_of: PerUser::new(limits.requests_per_user),
            watches_of: PerUser::new(limits.watches_per_user),
        }
    }

    pub(super) fn take(&self, mutating: bool) -> Option<InFlight> {
        let places = if mutating { &self.writes } else { &self.reads };
        Arc::clone(places).try_acquire_owned().ok()
    }

    /// `user` is `None` where users are not told apart: then there is no limit for each.
    pub(super) fn take_of(&self, user: Option<&User>) -> Option<UserPlace> {
        self.requests_of.take(user)
    }

    pub(super) fn take_watch(&self, user: Option<&User>) -> Option<WatchPlace> {
        let of_user = self.watches_of.take(user)?;
        Arc::clone(&self.watches).try_acquire_owned().ok().map(|place| WatchPlace(place, of_user))
    }
}

/// How many places each user has taken. Who has none takes no memory, so that there are never more entries than places.
#[derive(Debug)]
struct PerUser {
    limit: usize,
    taken: Mutex<HashMap<String, usize>>,
}

/// One place of a user; given back when dropped.
#[derive(Debug)]
pub(crate) struct UserPlace(Option<(Arc<PerUser>, String)>);

impl PerUser {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    fn take(self: &Arc<Self>, user: Option<&User>) -> Option<UserPlace> {
        let Some(user) = user else { return Some(UserPlace(None)) };
        // Each change is of one number, so what a panicking holder left is whole.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get(&user.name).is_some_and(|count| *count >= self.limit) {
            return None;
        }
        *taken.entry(user.name.clone()).or_insert(0) += 1;
        Some(UserPlace(Some((Arc::clone(self), user.name.clone()))))
    }
}

impl Drop for UserPlace {
    fn drop(&mut self) {
        let Some((of, user)) = &self.0 else { return };
        let mut taken = of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                taken.remove(user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t9_one_user_can_take_no_more_than_its_share_and_others_find_places() {
        let limits = ApiLimits { watches: 3, watches_per_user: 2, requests_per_user: 1, ..ApiLimits::default() };
        let places = Places::new(&limits);
        let (ann, bob) = (User::new("ann", [""; 0]), User::new("bob", [""; 0]));
        let (ann, bob) = (Some(&ann), Some(&bob));
        let first = places.take_watch(ann);
        let second = places.take_watch(ann);
        assert!(first.is_some() && second.is_some() && places.take_watch(ann).is_none());
        let other = places.take_watch(bob);
        assert!(other.is_some() && places.take_watch(bob).is_none(), "three at a time");
        drop((first, second, other));
        assert!(places.watches_of.taken.lock().unwrap().is_empty(), "nothing is left of who has gone");

        let request = places.take_of(ann);
        assert!(places.take_of(ann).is_none() && places.take_of(bob).is_some());
        drop(request);
        assert!(places.take_of(ann).is_some());
    }

    #[test]
    fn where_users_are_not_told_apart_none_has_a_limit_of_its_own() {
        let places = Places::new(&ApiLimits { requests_per_user: 1, ..ApiLimits::default() });
        let taken: Vec<_> = (0..5).map(|_| places.take_of(None)).collect();
        assert!(taken.iter().all(Option::is_some));
    }
}
