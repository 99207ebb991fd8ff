//! [`StaticSite`]: the server itself.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::answer;

/// How many connections are served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How many headers a request may have.
const MAX_HEADERS: usize = 64;
/// How large they may be together with the request line, in bytes.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// How long a request may take to arrive.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, whatever it carries.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a site can't be served.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StaticSiteError {
    /// There is no such directory, or it is not ours to read.
    #[error("serve directory {}: {error}", directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The port can't be listened on.
    #[error("listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

/// Serves the files of a directory on this port of the loopback address, until the future is dropped. This is all that
/// `roa static-site` does.
///
/// # Errors
/// When the directory can't be read or the port can't be listened on.
pub async fn serve_static(directory: &Path, port: u16) -> Result<Infallible, StaticSiteError> {
    StaticSite::bind(directory, port).await?.serve().await
}

/// A directory and the socket on which it is served.
#[derive(Debug)]
pub struct StaticSite {
    root: Arc<Path>,
    listener: TcpListener,
    address: SocketAddr,
}

impl StaticSite {
    /// Listens on this port of the loopback address; on any free one if it is 0.
    ///
    /// # Errors
    /// When the directory can't be read or the port can't be listened on.
    pub async fn bind(directory: &Path, port: u16) -> Result<Self, StaticSiteError> {
        let unusable = |error| StaticSiteError::Directory { directory: directory.to_owned(), error };
        let root = tokio::fs::canonicalize(directory).await.map_err(unusable)?;
        drop(tokio::fs::read_dir(&root).await.map_err(unusable)?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let deaf = |error| StaticSiteError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(deaf)?;
        let address = listener.local_addr().map_err(deaf)?;
        Ok(Self { root: root.into(), listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, until the future is dropped; with it all connections end.
    ///
    /// # Errors
    /// When the socket takes no more connections.
    pub async fn serve(self) -> Result<Infallible, StaticSiteError> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(serve_connection(stream, Arc::clone(&self.root)))),
                    Err(error) if is_of_the_client(&error) => {}
                    Err(error) => return Err(StaticSiteError::Listen { address: self.address, error }),
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Whether a connection failed before it was accepted, which says nothing about the next.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn serve_connection(stream: TcpStream, root: Arc<Path>) {
    let service = service_fn(|request| {
        let root = Arc::clone(&root);
        async move { Ok::<_, Infallible>(answer(&root, request.method(), request.uri().path()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        // A connection that waits for its next request would hold a place.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // How a client broke off is its own business, and is nothing to log for each of them.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}
