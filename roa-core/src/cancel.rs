//! [`Cancellation`]: a sign to stop that can be awaited.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};

/// Gives the sign. Dropping it does not.
///
/// ```
/// use roa_core::CancellationSource;
/// let source = CancellationSource::new();
/// let (token, child) = (source.token(), source.child());
/// source.cancel();
/// assert!(token.is_cancelled() && child.is_cancelled());
/// ```
#[derive(Debug, Clone, Default)]
pub struct CancellationSource {
    shared: Arc<Shared>,
}

/// Receives the sign. A clone receives the same.
///
/// ```
/// # use roa_core::Cancellation;
/// async fn work(stop: Cancellation) {
///     while !stop.is_cancelled() {
///         // a piece of it
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Cancellation {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// Held so that the sign passes through a parent that nobody else holds any more; downwards the links are weak.
    #[expect(dead_code, reason = "kept alive, never read")]
    parent: Option<Arc<Self>>,
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
        let parent = Some(Arc::clone(&self.shared));
        let child = Self { shared: Arc::new(Shared { parent, ..Shared::default() }) };
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

/// One wait for the sign. It is known to the source from when it first waits, by the waker that it had then; so to look again
/// costs no lock, as long as it is the same task that looks.
struct Wait<'a> {
    shared: &'a Shared,
    known: Option<(u64, Waker)>,
}

impl Wait<'_> {
    fn poll(&mut self, waker: &Waker) -> Poll<()> {
        if self.shared.is_cancelled() {
            return Poll::Ready(());
        }
        if self.known.as_ref().is_some_and(|(_, known)| known.will_wake(waker)) {
            return Poll::Pending;
        }
        let mut waiting = self.shared.lock();
        if self.shared.is_cancelled() {
            return Poll::Ready(());
        }
        let id = self.known.as_ref().map_or(waiting.next_id, |(id, _)| *id);
        waiting.next_id = waiting.next_id.max(id + 1);
        let replaced = waiting.wakers.insert(id, waker.clone());
        drop(waiting);
        // After the lock: a waker may own another wait, which takes the lock as it goes.
        drop(replaced);
        self.known = Some((id, waker.clone()));
        Poll::Pending
    }
}

/// Takes the waker back when the wait is given up.
impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some((id, _)) = &self.known {
            let waker = self.shared.lock().wakers.remove(id);
            drop(waker);
        }
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
        let mut wait = Wait { shared, known: None };
        poll_fn(|cx| wait.poll(cx.waker())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::Pin;
    use std::sync::mpsc;
    use std::task::{Context, Wake};
    use std::time::Duration;

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

    #[test]
    fn whoever_looks_again_is_told_whichever_task_it_is_by_then() {
        let source = CancellationSource::new();
        let token = source.token();
        let mut waiting = Box::pin(token.cancelled());
        let wakers = [(); 2].map(|()| Arc::new(Told(AtomicBool::new(false))));
        for told in [&wakers[0], &wakers[0], &wakers[1]] {
            let waker = Waker::from(Arc::clone(told));
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        source.cancel();
        assert_eq!(wakers.map(|told| told.0.load(Ordering::Relaxed)), [false, true]);
        assert!(waiting.now_or_never().is_some());
    }

    struct Told(AtomicBool);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_sign_passes_through_a_child_that_was_dropped() {
        let source = CancellationSource::new();
        let grandchild = source.child().child();
        let token = source.child().token();
        source.cancel();
        assert!(grandchild.is_cancelled() && token.is_cancelled());
    }

    #[test]
    fn children_that_were_dropped_are_not_kept() {
        let source = CancellationSource::new();
        for _ in 0..1_000 {
            drop(source.child());
        }
        assert!(source.shared.lock().children.len() <= 1);
    }

    /// A waker that owns a wait of its own, as a task's waker owns the task.
    struct Owner {
        _wait: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }

    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_waker_that_owns_another_wait_may_go_with_its_own() {
        let (done, finished) = mpsc::channel();
        std::thread::spawn(move || {
            let token = CancellationSource::new().token();
            let owned = token.clone();
            let mut wait: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { owned.cancelled().await });
            assert!((&mut wait).now_or_never().is_none());
            let mut outer = Box::pin(token.cancelled());
            let waker = Waker::from(Arc::new(Owner { _wait: Mutex::new(wait) }));
            assert!(outer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            drop(outer);
            done.send(token.shared.map(|shared| shared.lock().wakers.len()))
        });
        assert_eq!(finished.recv_timeout(Duration::from_secs(10)), Ok(Some(0)), "it waits for its own lock");
    }
}
