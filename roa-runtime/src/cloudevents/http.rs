//! [`HttpSink`]: CloudEvents by HTTP, over any client.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use roa_core::ReconcileError;

use super::{CloudEvent, CloudEventSink};

/// Posts a body to the one address that it was made for.
///
/// ```
/// # use async_trait::async_trait;
/// # use roa_runtime::HttpPost;
/// #[derive(Debug)]
/// struct Client;
///
/// #[async_trait]
/// impl HttpPost for Client {
///     async fn post(&self, content_type: &str, body: bytes::Bytes) -> Result<u16, String> {
///         println!("{} bytes of {content_type}", body.len()); // here it is sent
///         Ok(202)
///     }
/// }
/// ```
#[async_trait]
pub trait HttpPost: Debug + Send + Sync + 'static {
    /// Posts, and gives the status of the answer. It has a deadline of its own.
    ///
    /// # Errors
    /// Why there is no answer; without secrets of the address.
    async fn post(&self, content_type: &str, body: Bytes) -> Result<u16, String>;
}

/// Posts each event in structured mode. What the receiver can't take now is posted again; what it says that it will never
/// take (400, 413, 415, 422) is left out and counted, for it would hold up all that comes after it.
///
/// ```
/// # use std::sync::Arc;
/// # use roa_runtime::{CloudEventSink, HttpPost, HttpSink};
/// fn sink(client: impl HttpPost) -> Arc<dyn CloudEventSink> {
///     Arc::new(HttpSink::new(client))
/// }
/// ```
#[derive(Debug)]
pub struct HttpSink<P> {
    client: P,
    refused: AtomicU64,
}

impl<P: HttpPost> HttpSink<P> {
    /// A sink that posts by `client`.
    #[must_use]
    pub const fn new(client: P) -> Self {
        Self { client, refused: AtomicU64::new(0) }
    }

    /// How many events the receiver refused for good.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl<P: HttpPost> CloudEventSink for HttpSink<P> {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn send(&self, event: &CloudEvent) -> Result<(), ReconcileError> {
        let failed = |message: String| ReconcileError::Transient { reason: "SinkFailed", message };
        match self.client.post(CloudEvent::CONTENT_TYPE, event.to_json()).await.map_err(failed)? {
            200..=299 => Ok(()),
            status @ (400 | 413 | 415 | 422) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    status,
                    id = event.id,
                    subject = event.subject,
                    "the receiver refused an event for good"
                );
                Ok(())
            }
            status => Err(failed(format!("the receiver answered {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use roa_core::{ChangeKind, DynamicObject, Key, WatchEvent};
    use std::sync::{Arc, Mutex};

    #[derive(Debug, Default)]
    struct Fake(Mutex<Vec<(String, Bytes)>>, u16);

    #[async_trait]
    impl HttpPost for Fake {
        async fn post(&self, content_type: &str, body: Bytes) -> Result<u16, String> {
            self.0.lock().unwrap().push((content_type.to_owned(), body));
            if self.1 == 0 { Err("connection refused".into()) } else { Ok(self.1) }
        }
    }

    #[test]
    fn what_is_not_taken_now_is_sent_again_and_what_is_never_taken_holds_up_nothing() {
        let key = Key::new("g", "things", "n", "a").unwrap();
        let watched = WatchEvent { change: ChangeKind::Added, key, object: Ok(Arc::new(DynamicObject::default())) };
        let event = CloudEvent::of("/roa", &watched).unwrap();
        for (status, taken, refused) in
            [(202, true, 0), (503, false, 0), (401, false, 0), (0, false, 0), (422, true, 1)]
        {
            let sink = HttpSink::new(Fake(Mutex::default(), status));
            assert_eq!(sink.send(&event).now_or_never().unwrap().is_ok(), taken, "{status}");
            assert_eq!(sink.refused(), refused);
            let posted = sink.client.0.lock().unwrap();
            assert_eq!(*posted, [("application/cloudevents+json; charset=UTF-8".to_owned(), event.to_json())]);
        }
    }
}
