//! [`Cancellation`]: a sign to stop that can be awaited.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

/// Gives the sign. Dropping it does not.
#[derive(Debug, Clone, Default)]
pub struct CancellationSource {
    shared: Arc<Shared>,
}

/// Receives the sign. A clone receives the same.
#[derive(Debug, Clone)]
pub struct Cancellation {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: HashMap<u64, Waker>,
    next_id: u64,
    children: Vec<Weak<Shared>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn cancel(&self) {
        let (wakers, children) = {
            let mut waiting = self.lock();
            self.cancelled.store(true, Ordering::Release);
            (std::mem::take(&mut waiting.wakers), std::mem::take(&mut waiting.children))
        };
        wakers.into_values().for_each(Waker::wake);
        for child in children.iter().filter_map(Weak::upgrade) {
            child.cancel();
        }
    }
}

impl CancellationSource {
    /// A source that has not given the sign.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What receives the sign.
    #[must_use]
    pub fn token(&self) -> Cancellation {
        Cancellation { shared: Some(Arc::clone(&self.shared)) }
    }

    /// Gives the sign, to all children too.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// Whether the sign was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled()
    }

    /// A source of its own that also gives the sign when this one does.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut waiting = self.shared.lock();
        if self.is_cancelled() {
            child.shared.cancelled.store(true, Ordering::Release);
        } else {
            waiting.children.retain(|known| known.strong_count() > 0);
            waiting.children.push(Arc::downgrade(&child.shared));
        }
        drop(waiting);
        child
    }
}

/// Takes a waker back when the wait is given up.
struct Registration<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.shared.lock().wakers.remove(&self.id);
    }
}

impl Cancellation {
    /// One that never comes.
    #[must_use]
    pub const fn never() -> Self {
        Self { shared: None }
    }

    /// Whether the sign was given.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.is_cancelled())
    }

    /// Completes when the sign is given.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn cancelled(&self) {
        let Some(shared) = &self.shared else { return std::future::pending().await };
        let id = {
            let mut waiting = shared.lock();
            waiting.next_id += 1;
            waiting.next_id
        };
        let registration = Registration { shared, id };
        poll_fn(|cx| {
            let mut waiting = shared.lock();
            if shared.is_cancelled() {
                return Poll::Ready(());
            }
            waiting.wakers.insert(registration.id, cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_sign_reaches_those_who_wait_and_all_children() {
        let source = CancellationSource::new();
        let (token, child) = (source.token(), source.child());
        let mut waiting = Box::pin(token.cancelled());
        assert!((&mut waiting).now_or_never().is_none());
        source.cancel();
        assert!(waiting.now_or_never().is_some());
        assert!(child.is_cancelled() && child.token().cancelled().now_or_never().is_some());
        assert!(source.child().is_cancelled(), "a child of a cancelled source is cancelled");
    }

    #[test]
    fn a_child_does_not_stop_its_parent_and_dropping_stops_nobody() {
        let source = CancellationSource::new();
        source.child().cancel();
        let token = source.token();
        drop(source);
        assert!(!token.is_cancelled() && Cancellation::never().cancelled().now_or_never().is_none());
    }

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing() {
        let source = CancellationSource::new();
        let token = source.token();
        let mut waiting = Box::pin(token.cancelled());
        assert!((&mut waiting).now_or_never().is_none());
        drop(waiting);
        assert!(source.shared.lock().wakers.is_empty());
    }
}
