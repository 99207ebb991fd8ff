//! [`Http`]: requests, each over a connection of its own, so that none is spoilt by one that a restart has cut.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use roa_runtime::Tasks;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::lines::{Lines, Pieces};
use super::{ClientError, Endpoint, Login, Refusal};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of the longest answer that is not a stream.
const MAX_ANSWER: usize = 128 << 20;
/// Connections at once.
const MAX_CONNECTIONS: usize = 16;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// The path and the query, encoded.
    pub(crate) path: String,
    pub(crate) accept: &'static str,
    /// What is sent, and its type.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
}

impl Ask {
    /// For JSON.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), accept: "application/json", body: None }
    }
}

/// A way to an API.
pub(crate) struct Http {
    endpoint: Endpoint,
    token: Option<String>,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
    tasks: Tasks,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Http({})", self.endpoint)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Http {
    /// Connects nowhere yet. No answer may take longer than `patience`.
    ///
    /// # Errors
    /// The login's certificates can't be used, or its token would be shown to everybody on the way.
    pub(crate) fn new(login: &Login, patience: Duration) -> Result<Self, ClientError> {
        let (endpoint, token) = (login.endpoint.clone(), login.token.clone());
        if token.is_some() && !endpoint.is_private() {
            let what = format!("a token is not sent to {endpoint}, where others can read it; expected https");
            return Err(ClientError::Login { what });
        }
        let tls = match &endpoint {
            Endpoint::Tcp { tls: true, .. } => {
                let config = login.tls_config();
                Some(config.map_err(|why| ClientError::Login { what: format!("failed to reach {endpoint}: {why}") })?)
            }
            _ => None,
        };
        Ok(Self { endpoint, token, tls, patience, tasks: Tasks::new("api client", MAX_CONNECTIONS) })
    }

    /// Where it goes.
    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks, and reads the whole answer: its status code and its body.
    ///
    /// # Errors
    /// Nobody answers, or the server refuses.
    pub(crate) async fn ask(&self, ask: &Ask) -> Result<(u16, Bytes), ClientError> {
        self.in_time(async {
            let mut response = self.begin(ask).await?;
            let body = self.read(&mut response).await?;
            let code = response.status().as_u16();
            if response.status().is_success() {
                Ok((code, body))
            } else {
                Err(ClientError::Refused(Box::new(Refusal::read(code, &body))))
            }
        })
        .await
    }

    /// Asks for an answer that comes line by line, without an end that is known.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) async fn stream(&self, ask: &Ask) -> Result<Lines, ClientError> {
        Ok(Lines::new(self.in_time(self.open_stream(ask)).await?.into_body()))
    }

    /// Asks for an answer that is handed on as it comes.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) async fn pieces(&self, ask: &Ask) -> Result<Pieces, ClientError> {
        let response = self.in_time(self.open_stream(ask)).await?;
        Ok(Pieces::new(self.endpoint.to_string(), response.into_body()))
    }

    async fn open_stream(&self, ask: &Ask) -> Result<Response<Incoming>, ClientError> {
        let mut response = self.begin(ask).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let body = self.read(&mut response).await?;
        Err(ClientError::Refused(Box::new(Refusal::read(response.status().as_u16(), &body))))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let late = |_| ClientError::TooSlow { at: self.endpoint.to_string(), after: self.patience };
        timeout(self.patience, work).await.map_err(late)?
    }

    async fn begin(&self, ask: &Ask) -> Result<Response<Incoming>, ClientError> {
        let broken = |error: hyper::Error| self.unreachable(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await.map_err(broken)?;
        let drive = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        };
        self.tasks.spawn("connection", drive).map_err(|error| self.unreachable(error.to_string()))?;
        sender.send_request(self.request(ask)?).await.map_err(broken)
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(format!("{}{}", self.endpoint.base(), ask.path))
            .header(HOST, self.endpoint.host())
            .header(USER_AGENT, concat!("roa/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, ask.accept);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match &ask.body {
            Some((media, body)) => {
                request = request.header(CONTENT_TYPE, *media);
                Bytes::from(body.clone())
            }
            None => Bytes::new(),
        };
        request.body(Full::new(body)).map_err(|error| ClientError::usage(format!("failed to ask: {error}")))
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let connected = timeout(CONNECT, self.dial()).await;
        connected.unwrap_or_else(|_| Err(format!("not within {CONNECT:?}"))).map_err(|why| self.unreachable(why))
    }

    async fn dial(&self) -> Result<Box<dyn Stream>, String> {
        let told = |error: std::io::Error| error.to_string();
        let (host, port) = match &self.endpoint {
            Endpoint::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await.map_err(told)?)),
            Endpoint::Tcp { host, port, .. } => (host, *port),
        };
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(told)?;
        Ok(Box::new(stream))
    }

    async fn read(&self, response: &mut Response<Incoming>) -> Result<Bytes, ClientError> {
        let mut all = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| self.unreachable(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                all.extend_from_slice(&data);
            }
            if all.len() > MAX_ANSWER {
                let why = format!("an answer is longer than {MAX_ANSWER} bytes");
                return Err(ClientError::Strange { at: self.endpoint.to_string(), why });
            }
        }
        Ok(all.into())
    }

    fn unreachable(&self, why: String) -> ClientError {
        ClientError::Unreachable { at: self.endpoint.to_string(), why }
    }
}
