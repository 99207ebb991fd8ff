//! [`Shards`]: a number that many threads add to, each at a place of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many places there are: threads beyond that share them.
const PLACES: usize = 8;

thread_local! {
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % PLACES
    };
}

/// What each thread adds to without waiting for the others, and is added up by whoever reads it.
#[derive(Debug, Default)]
pub(super) struct Shards<T>([Apart<T>; PLACES]);

/// In cache lines of its own, those that are fetched together included.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Shards<T> {
    /// That of the thread.
    pub(super) fn mine(&self) -> &T {
        // A thread that ends has no place any more.
        let place = PLACE.try_with(|place| *place).unwrap_or(0);
        &self.0[place].0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|apart| &apart.0)
    }
}
