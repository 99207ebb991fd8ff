//! [`Sending`]: the body of an answer on its way: what it holds meanwhile, and whether its client takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use roa_core::{Clock, Monotonic};
use tokio::sync::Notify;

use super::answer::Body;

tokio::task_local! {
    /// That of the stream of an HTTP/2 connection whose task this is.
    static PROGRESS: Arc<Progress>;
}

/// Whether the client of one stream takes what there is for it. Streams share their connection, so that of one whose client
/// gives it no window, nothing is seen on the connection itself.
#[derive(Debug)]
pub(crate) struct Progress {
    clock: Arc<dyn Clock>,
    /// Since when, after [`Self::begun`], there is something for the client to take; 0 while there is nothing.
    waits_since: AtomicU64,
    begun: Monotonic,
    waits: Notify,
}

impl Progress {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let begun = clock.monotonic();
        Arc::new(Self { clock, waits_since: AtomicU64::new(0), begun, waits: Notify::new() })
    }

    /// Runs a stream that is told by this, until its client has taken nothing for `limit`.
    ///
    /// # Errors
    /// [`Stalled`]; then the stream is dropped.
    pub(crate) async fn watch(
        self: Arc<Self>,
        stream: impl Future<Output = ()>,
        limit: Duration,
    ) -> Result<(), Stalled> {
        let stream = PROGRESS.scope(Arc::clone(&self), stream);
        tokio::select! {
            biased;
            () = stream => Ok(()),
            () = self.stalled(limit) => Err(Stalled),
        }
    }

    async fn stalled(&self, limit: Duration) {
        loop {
            let since = self.waits_since.load(Ordering::Acquire);
            if since == 0 {
                self.waits.notified().await;
                continue;
            }
            let until = self.begun + Duration::from_nanos(since) + limit;
            if self.clock.monotonic() >= until {
                return;
            }
            self.clock.sleep_until(until).await;
        }
    }

    /// There is something for the client to take.
    fn offered(&self) {
        let since = self.clock.monotonic().saturating_since(self.begun).as_nanos();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        if self.waits_since.swap(since, Ordering::AcqRel) == 0 {
            self.waits.notify_one();
        }
    }

    /// All that there was is taken.
    fn taken(&self) {
        self.waits_since.store(0, Ordering::Release);
    }
}

/// A client took nothing of a stream for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client took nothing of an answer for too long")]
pub(crate) struct Stalled;

/// A body, and what it holds until it is sent: places among the requests, say.
pub(crate) struct Sending<H> {
    body: Body,
    /// None over HTTP/1.1, where the connection itself shows it.
    progress: Option<Arc<Progress>>,
    #[expect(dead_code, reason = "held, not used")]
    held: H,
}

impl<H> Sending<H> {
    /// Of the request whose task this is.
    pub(crate) fn new(body: Body, held: H) -> Self {
        let progress = PROGRESS.try_with(Arc::clone).ok();
        progress.iter().for_each(|progress| progress.offered());
        Self { body, progress, held }
    }
}

impl<H: Unpin> HttpBody for Sending<H> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        // Whoever asks for more has taken what there was.
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if let Some(progress) = &this.progress {
            if polled.is_ready() { progress.offered() } else { progress.taken() }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<H> Drop for Sending<H> {
    fn drop(&mut self) {
        self.progress.iter().for_each(|progress| progress.taken());
    }
}
