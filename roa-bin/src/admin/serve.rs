//! [`serve`]: connections, each with its deadline, and not too many of them.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::PrivateSocket;

/// What one client can take of the process. Deadlines are in real time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at a time; others wait in the socket's queue.
    pub(crate) connections: usize,
    /// From the connection to the end of the request's headers.
    pub(crate) headers: Duration,
    /// From the connection to the end of the answer: one request each.
    pub(crate) connection: Duration,
    /// From the shutdown until what is still open is cut.
    pub(crate) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connections: 64, headers: seconds(5), connection: seconds(15), drain: seconds(1) }
    }
}

/// Bytes of the largest request's headers.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// How long to leave the socket alone after it failed to accept: most likely there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Answers on `socket` until `shutdown` is done, then removes the socket and lets open connections end.
///
/// # Cancel safety
/// Dropped, it cuts all connections and removes the socket.
pub(crate) async fn serve(socket: PrivateSocket, routes: Router, limits: Limits, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => note_panic(&ended),
            accepted = socket.accept(), if connections.len() < limits.connections => match accepted {
                Ok(stream) => {
                    connections.spawn(answer(stream, routes.clone(), limits));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept an admin connection");
                    if timeout(ACCEPT_PAUSE, &mut shutdown).await.is_ok() {
                        break;
                    }
                }
            },
        }
    }
    drop(socket);
    drain(connections, limits.drain).await;
}

async fn drain(mut connections: JoinSet<()>, deadline: Duration) {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            note_panic(&ended);
        }
    };
    if timeout(deadline, all).await.is_err() {
        tracing::debug!(open = connections.len(), "cutting admin connections that are still open");
    }
}

fn note_panic(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin connection panicked");
    }
}

async fn answer(stream: UnixStream, routes: Router, limits: Limits) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match timeout(limits.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "an admin connection failed"),
        Err(_) => tracing::debug!(error = %io::ErrorKind::TimedOut, "an admin connection was too slow"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Registry;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;
    use crate::admin::{Readiness, routes};

    const PATIENCE: Duration = Duration::from_secs(10);

    struct Server {
        path: PathBuf,
        readiness: Readiness,
        reconciles: Counter,
        stop: oneshot::Sender<()>,
        running: JoinSet<()>,
        _directory: TempDir,
    }

    impl Server {
        async fn start(limits: Limits) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("admin.sock");
            let (readiness, reconciles, mut registry) = (Readiness::default(), Counter::default(), Registry::default());
            registry.register("reconciles", "Reconciles begun", reconciles.clone());
            let socket = PrivateSocket::bind(&path, "admin.socket").await.unwrap();
            let (stop, stopped) = oneshot::channel();
            let shutdown = async move { drop(stopped.await) };
            let mut running = JoinSet::new();
            running.spawn(serve(socket, routes(readiness.clone(), Arc::new(registry), None), limits, shutdown));
            Self { path, readiness, reconciles, stop, running, _directory: directory }
        }

        async fn get(&self, path: &str) -> String {
            let mut stream = UnixStream::connect(&self.path).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: roa\r\n\r\n").as_bytes()).await.unwrap();
            read_to_end(&mut stream).await
        }

        async fn stop(mut self) {
            drop(self.stop);
            timeout(PATIENCE, self.running.join_next()).await.unwrap().unwrap().unwrap();
        }
    }

    async fn read_to_end(stream: &mut UnixStream) -> String {
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    }

    fn body(answer: &str) -> &str {
        answer.split_once("\r\n\r\n").unwrap().1
    }

    #[tokio::test]
    async fn readyz_lists_what_fails_and_livez_does_not_care() {
        let server = Server::start(Limits::default()).await;
        let store = server.readiness.check("store");
        let answer = server.get("/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert_eq!(body(&answer), "store: not started yet\n");
        assert_eq!(body(&server.get("/livez").await), "ok\n");
        store.pass();
        let answer = server.get("/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(body(&answer), "ok\n");
        server.stop().await;
    }

    #[tokio::test]
    async fn metrics_are_open_metrics() {
        let server = Server::start(Limits::default()).await;
        server.reconciles.inc_by(3);
        let answer = server.get("/metrics").await;
        assert!(
            answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
            "{answer}"
        );
        assert!(body(&answer).contains("reconciles_total 3\n") && answer.ends_with("# EOF\n"), "{answer}");
        assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404 "));
        server.stop().await;
    }

    #[tokio::test]
    async fn t10_a_client_that_says_nothing_is_cut_and_lets_others_in() {
        let limits = Limits { connections: 1, headers: Duration::from_millis(50), ..Limits::default() };
        let server = Server::start(limits).await;
        let mut silent = UnixStream::connect(&server.path).await.unwrap();
        assert_eq!(body(&server.get("/livez").await), "ok\n", "it waits for the place of the silent one");
        assert_eq!(read_to_end(&mut silent).await, "");
        server.stop().await;
    }

    #[tokio::test]
    async fn a_shutdown_does_not_wait_for_ever_and_removes_the_socket() {
        let server = Server::start(Limits { drain: Duration::from_millis(50), ..Limits::default() }).await;
        let mut silent = UnixStream::connect(&server.path).await.unwrap();
        assert_eq!(body(&server.get("/livez").await), "ok\n", "the silent one is accepted by now");
        let path = server.path.clone();
        server.stop().await;
        assert_eq!(read_to_end(&mut silent).await, "");
        assert!(!Path::new(&path).exists());
    }

    #[tokio::test]
    async fn t10_headers_are_limited() {
        let server = Server::start(Limits::default()).await;
        let mut stream = UnixStream::connect(&server.path).await.unwrap();
        let request = format!("GET /livez?{} HTTP/1.1\r\n\r\n", "x".repeat(2 * MAX_HEADER_BYTES));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut status)).await.unwrap().unwrap();
        assert!(status.starts_with(b"HTTP/1.1 4"), "{}", status.escape_ascii());
        server.stop().await;
    }

    /// The server ends when its future is dropped: nothing of it lives on.
    #[tokio::test]
    async fn dropping_the_server_removes_the_socket() {
        let mut server = Server::start(Limits::default()).await;
        server.running.shutdown().await;
        assert!(!server.path.exists());
    }
}
