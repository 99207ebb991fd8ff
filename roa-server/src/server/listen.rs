//! Listening: connections, not too many of them, until the server is to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roa_core::{Cancellation, CancellationSource, ClockExt};
use roa_runtime::Tasks;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{self, Protocol};
use super::{ApiServer, Shared, declared};
use crate::http::Peer;
use crate::tls::ServerTls;

/// How long to leave the socket alone after it failed to accept: most likely there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// Streams of HTTP/2 connections for each connection, on average.
const STREAMS_PER_CONNECTION: usize = 4;

/// Why a server can't listen.
#[derive(Debug, Error)]
#[error("listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// A socket that a server was given.
#[derive(Debug)]
pub struct ApiListener {
    socket: Socket,
    tls: Option<ServerTls>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

/// A connection as it comes.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl ApiListener {
    /// Takes an address; port 0 is any that is free.
    ///
    /// # Errors
    /// [`ListenError`] if somebody else has it, or it is none of this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source| ListenError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { socket: Socket::Tcp(listener, address), tls: None })
    }

    /// A Unix socket that listens at `path`. Who may connect is what its permissions and those of its directory say.
    #[must_use]
    pub const fn unix(listener: UnixListener, path: PathBuf) -> Self {
        Self { socket: Socket::Unix(listener, path), tls: None }
    }

    /// The same, over TLS; a Unix socket is not, since nobody else hears what is said there.
    #[must_use]
    pub fn over_tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The address that it listens on; `None` for a Unix socket.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, address) => Some(*address),
            Socket::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(listener, _) => listener.accept().await.map(|(stream, from)| Accepted::Tcp(stream, from)),
            Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }
}

impl fmt::Display for ApiListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Tcp(_, address) => write!(f, "{address}"),
            Socket::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ApiServer {
    /// Answers on a socket until `stop`; then watches end, and requests that are under way are answered.
    ///
    /// # Cancel safety
    /// Dropped, it cuts all connections.
    pub async fn serve(&self, listener: ApiListener, stop: Cancellation) {
        let limits = &self.shared.config.limits;
        let tasks = Tasks::new("api server", limits.connections * (1 + STREAMS_PER_CONNECTION));
        let places = Arc::new(Semaphore::new(limits.connections));
        let closing = CancellationSource::new();
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(&self.shared, &listener, &tasks, &places, &closing) => {}
            () = declared::follow(&self.shared) => {}
        }
        drop(listener);
        self.shared.drain.cancel();
        closing.cancel();
        let left = tasks.shutdown(&*self.shared.clock, self.shared.config.drain).await;
        if !left.is_empty() {
            tracing::debug!(open = left.len(), "cut connections that were still open");
        }
    }
}

async fn accept(
    shared: &Arc<Shared>,
    listener: &ApiListener,
    tasks: &Tasks,
    places: &Arc<Semaphore>,
    closing: &CancellationSource,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return };
        let accepted = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                shared.clock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (shared, stop, streams, tls) = (Arc::clone(shared), closing.token(), tasks.clone(), listener.tls.clone());
        let spawned = tasks.spawn_draining("connection", move |_| async move {
            match accepted {
                Accepted::Tcp(stream, source) => answer(shared, stream, source, tls, streams, stop).await,
                Accepted::Unix(stream) => {
                    let peer = Peer { source: "unix".to_owned(), certificates: Vec::new() };
                    connection::serve(shared, peer, stream, Protocol::Http1, streams, stop).await;
                }
            }
            drop(place);
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "a connection is refused");
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    stream: TcpStream,
    source: SocketAddr,
    tls: Option<ServerTls>,
    tasks: Tasks,
    stop: Cancellation,
) {
    let mut peer = Peer { source: source.to_string(), certificates: Vec::new() };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended before it began");
        return;
    }
    let Some(tls) = tls else {
        return connection::serve(shared, peer, stream, Protocol::Http1, tasks, stop).await;
    };
    let stream = match shake_hands(&shared, &tls, stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%source, %error, "a TLS handshake failed");
            return;
        }
    };
    let (_, session) = stream.get_ref();
    let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
    let certificates = session.peer_certificates().unwrap_or_default();
    peer.certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
    connection::serve(shared, peer, stream, protocol, tasks, stop).await;
}

async fn shake_hands(shared: &Shared, tls: &ServerTls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    tokio::select! {
        outcome = TlsAcceptor::from(tls.config()).accept(stream) => outcome,
        () = shared.clock.sleep(shared.config.limits.handshake_timeout) => Err(io::ErrorKind::TimedOut.into()),
    }
}
