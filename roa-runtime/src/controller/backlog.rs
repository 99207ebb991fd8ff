//! [`Backlog`]: changes that concern more objects than are queued at once, and how far each is.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use roa_core::Key;
use tokio::sync::Notify;

use crate::locks;

/// Whom a change concerns, some at a time: so they need not be kept, however many there are.
pub(super) trait Concerned: Send + Sync + 'static {
    /// The first keys after one, in order, and not more than `limit`.
    fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key>;
}

/// By which relation whom it concerns is found, and what changed.
pub(super) type Change = (usize, Key);

/// Changes whose concerned objects are queued some at a time, by the workers: who tells of a change is held up by the first
/// few alone. As many as objects that concern many others.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    /// How many changes wait for their turn: almost always none, which each call finds out without the lock.
    waiting: AtomicUsize,
    there_is: Notify,
    relations: AtomicUsize,
}

#[derive(Default)]
struct State {
    progress: HashMap<Change, Progress>,
    turns: VecDeque<Change>,
}

/// How far a change is.
#[derive(Clone)]
pub(super) struct Progress {
    pub(super) concerned: Arc<dyn Concerned>,
    /// The last key that was queued; `None` for none yet.
    pub(super) after: Option<Key>,
    /// Whether it may help objects that were given up.
    pub(super) released: bool,
    /// It changed more often meanwhile.
    again: Option<Again>,
}

/// What changed again before all were queued: whom the first and the last of those changes concern. Who was concerned only in
/// between has nothing to see any more.
#[derive(Clone)]
struct Again {
    first: Arc<dyn Concerned>,
    last: Option<Arc<dyn Concerned>>,
    released: bool,
}

impl Backlog {
    /// The number of another relation.
    pub(super) fn relation(&self) -> usize {
        self.relations.fetch_add(1, Ordering::Relaxed)
    }

    /// Whom the change concerns is to be queued after a key. Says whether it is under way already: then it is queued from
    /// the first on, as soon as that is done.
    pub(super) fn begin(
        &self,
        change: Change,
        concerned: Arc<dyn Concerned>,
        after: Option<Key>,
        released: bool,
    ) -> bool {
        {
            let mut state = locks::lock(&self.state);
            if let Some(progress) = state.progress.get_mut(&change) {
                progress.repeat(concerned, released);
                return true;
            }
            state.progress.insert(change.clone(), Progress { concerned, after, released, again: None });
            self.wait_for_turn(&mut state, change);
        }
        self.there_is.notify_one();
        false
    }

    fn wait_for_turn(&self, state: &mut State, change: Change) {
        state.turns.push_back(change);
        self.waiting.store(state.turns.len(), Ordering::Release);
    }

    /// The change goes on after a key.
    pub(super) fn go_on(&self, change: Change, after: Key) {
        {
            let mut state = locks::lock(&self.state);
            let Some(progress) = state.progress.get_mut(&change) else { return };
            progress.after = Some(after);
            self.wait_for_turn(&mut state, change);
        }
        self.there_is.notify_one();
    }

    /// All that the change concerns are queued.
    pub(super) fn done(&self, change: Change) {
        let again = {
            let mut state = locks::lock(&self.state);
            state.progress.remove(&change).and_then(|progress| progress.again)
        };
        if let Some(Again { first, last, released }) = again {
            let concerned = match last {
                Some(last) => Arc::new(Both(first, last)),
                None => first,
            };
            self.begin(change, concerned, None, released);
        }
    }

    /// The change whose turn it is: whoever takes it says how far it got.
    pub(super) fn take(&self) -> Option<(Change, Progress)> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut state = locks::lock(&self.state);
        let change = state.turns.pop_front()?;
        self.waiting.store(state.turns.len(), Ordering::Release);
        let progress = state.progress.get(&change).cloned()?;
        Some((change, progress))
    }

    /// Completes when there may be a change to go on with.
    pub(super) async fn there_is(&self) {
        self.there_is.notified().await;
    }
}

impl Progress {
    fn repeat(&mut self, concerned: Arc<dyn Concerned>, released: bool) {
        match &mut self.again {
            Some(again) => {
                again.last = Some(concerned);
                again.released |= released;
            }
            None => self.again = Some(Again { first: concerned, last: None, released }),
        }
    }
}

/// Whom either of two concerns.
struct Both(Arc<dyn Concerned>, Arc<dyn Concerned>);

impl Concerned for Both {
    fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
        let mut keys = self.0.keys_after(after, limit);
        keys.extend(self.1.keys_after(after, limit));
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(limit);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct These(&'static [&'static str]);

    impl Concerned for These {
        fn keys_after(&self, after: Option<&Key>, limit: usize) -> Vec<Key> {
            let keys = self.0.iter().map(|name| key(name)).filter(|key| after.is_none_or(|after| key > after));
            keys.take(limit).collect()
        }
    }

    fn key(name: &str) -> Key {
        Key::new("g", "things", "n", name).unwrap()
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(Key::name).collect()
    }

    #[test]
    fn what_changes_again_is_queued_anew_for_those_whom_the_first_and_the_last_change_concern() {
        let (backlog, change) = (Backlog::default(), (0, key("cause")));
        let begin = |keys: &'static [&'static str], released| {
            backlog.begin(change.clone(), Arc::new(These(keys)), None, released)
        };
        assert!(!begin(&["a", "b", "c"], false));
        let (_, progress) = backlog.take().unwrap();
        assert_eq!(names(&progress.concerned.keys_after(None, 2)), ["a", "b"]);
        assert!(begin(&["b", "d"], true) && begin(&["x"], false) && begin(&["a", "e"], false));
        backlog.go_on(change.clone(), key("b"));
        let (_, progress) = backlog.take().unwrap();
        assert_eq!(names(&progress.concerned.keys_after(progress.after.as_ref(), 2)), ["c"]);
        assert!(backlog.take().is_none(), "whoever has it says how far it got");
        backlog.done(change.clone());
        let (_, again) = backlog.take().unwrap();
        assert_eq!((names(&again.concerned.keys_after(None, 9)), again.released), (vec!["a", "b", "d", "e"], true));
        backlog.done(change);
        assert!(backlog.take().is_none() && locks::lock(&backlog.state).progress.is_empty());
    }
}
