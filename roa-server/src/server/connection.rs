//! One connection: HTTP/1.1, or HTTP/2 where TLS has agreed on it.

use std::sync::Arc;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roa_core::Cancellation;
use roa_runtime::Tasks;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::patience::Patience;
use crate::http::{Peer, respond};

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
    let io = TokioIo::new(Patience::new(stream, Arc::clone(&shared.clock), limits.write_timeout));
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
            let connection = http2::Builder::new(Spawn(tasks))
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

/// Runs the streams of an HTTP/2 connection as tasks of the server.
#[derive(Clone)]
struct Spawn(Tasks);

impl<F> hyper::rt::Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if let Err(error) = self.0.spawn("stream", future) {
            tracing::warn!(%error, "a request of an HTTP/2 connection is dropped");
        }
    }
}
