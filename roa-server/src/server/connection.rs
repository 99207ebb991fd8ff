//! One connection: HTTP/1.1, or HTTP/2 where TLS has agreed on it.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roa_core::{Cancellation, Clock};
use roa_runtime::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::patience::Patience;
use crate::http::{Peer, Progress, respond};

/// Bytes of the largest request's head.
const MAX_HEAD: usize = 64 << 10;
/// Headers that one request may have.
const MAX_HEADERS: usize = 100;
/// Requests of one HTTP/2 connection at once.
const MAX_STREAMS: u32 = 250;
/// Bytes that one HTTP/2 stream may have on its way to a client.
const SEND_BUFFER: usize = 64 << 10;

/// Which protocol a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Answers the requests of a connection until it ends; at shutdown, those that are under way.
pub(super) async fn serve<S>(
    shared: Arc<Shared>,
    peer: Peer,
    stream: S,
    protocol: Protocol,
    tasks: Tasks,
    stop: Cancellation,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.config.limits;
    let (clock, write_timeout) = (Arc::clone(&shared.clock), limits.write_timeout);
    let io = TokioIo::new(Patience::new(stream, Arc::clone(&clock), write_timeout));
    let head_timeout = limits.head_timeout;
    let peer = Arc::new(peer);
    let service = service_fn(move |request| respond(Arc::clone(&shared), Arc::clone(&peer), request));
    let outcome = match protocol {
        Protocol::Http1 => {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout)
                .max_buf_size(MAX_HEAD)
                .max_headers(MAX_HEADERS)
                .serve_connection(io, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
        Protocol::Http2 => {
            let connection = http2::Builder::new(Spawn { tasks, clock, patience: write_timeout })
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
                .keep_alive_interval(head_timeout)
                .keep_alive_timeout(head_timeout)
                .serve_connection(io, service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended");
    }
}

/// Runs the streams of an HTTP/2 connection as tasks of the server. At shutdown they come to their end, as requests of
/// HTTP/1.1 do: watches see the sign by themselves.
#[derive(Clone)]
struct Spawn {
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    /// How long a stream's client may take nothing.
    patience: Duration,
}

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let (progress, patience) = (Progress::new(Arc::clone(&self.clock)), self.patience);
        let stream = async move {
            if let Err(stalled) = progress.watch(future, patience).await {
                tracing::debug!(error = %stalled, "a stream of an HTTP/2 connection is cut");
            }
        };
        if let Err(error) = self.tasks.spawn_draining("stream", move |_| stream) {
            tracing::warn!(%error, "a request of an HTTP/2 connection is dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use roa_core::{CancellationSource, KindDescriptor, KindRegistry, ResourceStore, Scope, Store, SystemRandom};
    use roa_runtime::{HubConfig, SystemClock, WatchHub};
    use roa_store_memory::{MemoryConfig, MemoryStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::timeout;

    use super::*;
    use crate::server::{ApiConfig, ApiMetrics, ApiParts, ApiSecurity, ApiServer, HealthChecks};

    const BOUND: Duration = Duration::from_secs(60);
    /// Frames, by their numbers in RFC 9113, section 6.
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;

    /// A connection that speaks HTTP/2 in bare frames, and the server at its other end.
    struct Raw {
        stream: DuplexStream,
        server: ApiServer,
        stop: CancellationSource,
        tasks: Tasks,
    }

    impl Raw {
        /// `window`: how many bytes of each stream the client takes before it says more.
        async fn open(config: ApiConfig, window: u32) -> Self {
            let (clock, random): (Arc<dyn Clock>, _) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
            let store = MemoryStore::new(MemoryConfig::default(), Arc::clone(&clock), random.clone());
            let store: Arc<dyn Store> = Arc::new(store);
            let hub = WatchHub::start(Arc::clone(&store), Arc::clone(&clock), HubConfig::default()).await.unwrap();
            let lab = KindDescriptor::dynamic("example.com", "v1", "Lab", "labs", Scope::Namespaced);
            let kinds = Arc::new(KindRegistry::new().with_kind(lab));
            let resources = ResourceStore::new(store, kinds, Arc::clone(&clock), random.clone(), "test");
            let parts = ApiParts {
                resources,
                hub,
                clock,
                random,
                health: HealthChecks::new(Vec::new),
                metrics: ApiMetrics::default(),
                security: ApiSecurity::open(),
                subresources: Vec::new(),
            };
            let server = ApiServer::new(parts, config);
            let (mut stream, other) = tokio::io::duplex(64 << 10);
            let (tasks, stop) = (Tasks::new("test", 10), CancellationSource::new());
            let (shared, streams, token) = (Arc::clone(&server.shared), tasks.clone(), stop.token());
            let serve = move |_| serve(shared, Peer::default(), other, Protocol::Http2, streams, token);
            tasks.spawn_draining("connection", serve).unwrap();
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            let mut raw = Self { stream, server, stop, tasks };
            let initial_window = [&[0, 4][..], &window.to_be_bytes()].concat();
            raw.send(SETTINGS, 0, 0, &initial_window).await;
            raw.send(SETTINGS, END_STREAM, 0, &[]).await;
            raw
        }

        async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
            let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
            let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
            self.stream.write_all(&frame).await.unwrap();
        }

        /// The head of a request: `method` is GET or POST in the static table of RFC 7541.
        async fn ask(&mut self, method: u8, path: &str, flags: u8) {
            let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let block = [&[0x80 | method, 0x80 | 6, 0x04][..], &text(path), &[0x01], &text("localhost")].concat();
            self.send(HEADERS, END_HEADERS | flags, 1, &block).await;
        }

        /// The next frame of the stream: kind, and what is in it.
        async fn next(&mut self) -> (u8, Vec<u8>) {
            loop {
                let mut head = [0; 9];
                timeout(BOUND, self.stream.read_exact(&mut head)).await.expect("a frame in time").unwrap();
                let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
                timeout(BOUND, self.stream.read_exact(&mut payload)).await.expect("a frame in time").unwrap();
                if head[8] == 1 {
                    return (head[3], payload);
                }
            }
        }
    }

    const GET: u8 = 2;
    const POST: u8 = 3;
    const LABS: &str = "/apis/example.com/v1/namespaces/school/labs";

    #[tokio::test]
    async fn t9_a_stream_whose_client_gives_it_no_window_is_cut() {
        let told = "watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        for path in [LABS.to_owned(), format!("/apis/example.com/v1/labs?{told}")] {
            let mut config = ApiConfig::default();
            config.limits.write_timeout = Duration::from_millis(200);
            let mut raw = Raw::open(config, 0).await;
            raw.ask(GET, &path, END_STREAM).await;
            assert_eq!(raw.next().await.0, HEADERS, "{path}");
            assert_eq!(raw.next().await.0, RST_STREAM, "{path}");
        }
    }

    #[tokio::test]
    async fn t9_a_watch_that_has_nothing_to_tell_is_not_cut() {
        let mut config = ApiConfig::default();
        config.limits.write_timeout = Duration::from_millis(50);
        let mut raw = Raw::open(config, 1 << 16).await;
        raw.ask(GET, &format!("{LABS}?watch=true&timeoutSeconds=1&resourceVersion=0"), END_STREAM).await;
        assert_eq!(raw.next().await.0, HEADERS);
        assert_eq!(raw.next().await, (DATA, Vec::new()), "its own end, not a reset");
    }

    #[tokio::test]
    async fn c8_a_request_that_was_under_way_is_answered_when_the_server_stops() {
        let mut raw = Raw::open(ApiConfig::default(), 1 << 16).await;
        raw.ask(POST, LABS, 0).await;
        let lab = br#"{"apiVersion":"example.com/v1","kind":"Lab","metadata":{"name":"late"}}"#;
        // Half of the body first, so that the request is certainly there.
        let (first, second) = lab.split_at(lab.len() / 2);
        raw.send(DATA, 0, 1, first).await;
        while raw.tasks.len() < 2 {
            tokio::task::yield_now().await;
        }
        raw.stop.cancel();
        let (tasks, clock) = (raw.tasks.clone(), Arc::clone(&raw.server.shared.clock));
        let rest = async {
            while !raw.tasks.cancellation().is_cancelled() {
                tokio::task::yield_now().await;
            }
            raw.send(DATA, END_STREAM, 1, second).await;
            assert_eq!(raw.next().await.0, HEADERS);
            let (kind, body) = raw.next().await;
            assert_eq!(kind, DATA);
            assert!(String::from_utf8_lossy(&body).contains("\"uid\""), "{}", String::from_utf8_lossy(&body));
            drop(raw);
        };
        let (left, ()) = tokio::join!(tasks.shutdown(&*clock, BOUND), rest);
        assert!(left.is_empty(), "{left:?}");
    }
}
