//! [`Fetcher`]: one GET of one address that the operator configured. No redirects, bounded in time and size.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use roa_core::{Clock, ClockExt};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::files::read_file;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 1 << 20;

/// Gets what is published under one address.
pub(super) struct Fetcher {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Fetcher {
    /// Of a URL; with `https`, trusting the authorities in a file, or those of the system.
    pub(super) fn new(url: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        let secure = url.starts_with("https://");
        Self::over(url, secure.then(|| connector(ca_file)).transpose()?)
    }

    /// The same of another URL, trusting the same authorities.
    pub(super) fn elsewhere(&self, url: &str) -> Result<Self, String> {
        Self::over(url, self.tls.clone())
    }

    fn over(url: &str, tls: Option<TlsConnector>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let host = uri.host().ok_or_else(|| format!("{url:?} has no host"))?.trim_matches(['[', ']']).to_owned();
        let expected = if tls.is_some() { "https" } else { "http" };
        if uri.scheme_str() != Some(expected) {
            return Err(format!("{url:?} is refused, expected {expected}://"));
        }
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { uri, host, port, tls })
    }

    /// What is there.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn get(&self, clock: &dyn Clock) -> Result<Bytes, String> {
        let got = tokio::select! {
            biased;
            got = self.connect_and_get() => got,
            () = clock.sleep(DEADLINE) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        got.map_err(|reason| format!("get {}: {reason}", self.uri))
    }

    async fn connect_and_get(&self) -> Result<Bytes, String> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        let Some(tls) = &self.tls else { return self.request(socket).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
        let stream = tls.connect(name, socket).await.map_err(|error| error.to_string())?;
        self.request(stream).await
    }

    async fn request(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes, String> {
        let failed = |error: hyper::Error| error.to_string();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(failed)?;
            if answer.status() != 200 {
                return Err(format!("answered {}, expected 200", answer.status()));
            }
            let body = Limited::new(answer.into_body(), MAX_BYTES).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
        };
        // The connection is driven here, so that nothing of it outlives the request.
        let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
        tokio::select! {
            biased;
            got = &mut exchange => got,
            ended = &mut connection => {
                // The peer may have closed after its whole answer, which is here then: also without a word, as many do
                // over TLS.
                let got = exchange.await;
                got.map_err(|reason| ended.err().map_or(reason, |error| error.to_string()))
            }
        }
    }
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca_file {
        let bytes = read_file(path, 4 << 20).map_err(|error| error.to_string())?;
        for certificate in rustls_pki_types::CertificateDer::pem_slice_iter(&bytes) {
            let wrong = |error: &dyn ToString| format!("read {}: {}", path.display(), error.to_string());
            roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        }
    } else {
        // Some of the system's may be of no use; without any there is the error below.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err("no authorities to trust, expected ca_file, or those of the system".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetcher({})", self.uri)
    }
}
