//! [`ServerTls`]: what connections are accepted with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roa_core::Clock;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};
use thiserror::Error;

use super::{TlsConfig, pem, self_signed};
use crate::files::{FileError, Reloaded, read_file};

/// No certificate of one authority is larger.
const MAX_AUTHORITY_BYTES: u64 = 1 << 20;

/// Why TLS can't be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The configuration names no certificate.
    #[error("set up TLS: no certificate, expected server.tls.cert_file and key_file, or self_signed = true")]
    NotConfigured,
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file holds something else.
    #[error("read {path}: expected {expected}, found {found}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is.
        found: String,
    },
    /// Certificate and key do not fit.
    #[error("use {cert} with {key}: {source}, expected a certificate and its own key")]
    Mismatch {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The parts make no configuration.
    #[error("set up TLS: {0}")]
    Unusable(String),
    /// No certificate could be made.
    #[error("make a certificate in {dir}: {reason}")]
    SelfSigned {
        /// Where it would be kept.
        dir: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What connections are accepted with. Files that change are seen by connections that begin after that.
///
/// TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1. A client certificate is asked for if authorities for them are configured, and
/// verified if one is given; who comes without one has to show something else.
#[derive(Debug, Clone)]
pub struct ServerTls {
    current: Arc<Reloaded<ServerConfig, TlsError>>,
}

#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl ServerTls {
    /// TLS as configured. `names` are the host names and addresses under which clients reach the server, besides those
    /// of the machine itself (the address on which it listens is not known here); a certificate of the own making, kept in `data_dir`, is good for them. Blocks.
    ///
    /// # Errors
    /// [`TlsError`], which names the file and what was expected in it.
    pub fn open(config: &TlsConfig, data_dir: &Path, names: &[String]) -> Result<Self, TlsError> {
        let (cert, key) = match (&config.cert_file, &config.key_file) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            _ if config.self_signed => {
                let own = self_signed::ensure(data_dir, names)?;
                (own.cert, own.key)
            }
            _ => return Err(TlsError::NotConfigured),
        };
        let files = Files { cert, key, client_ca: config.client_ca_file.clone() };
        let paths = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
        let paths = paths.into_iter().flatten().cloned().collect();
        let current = Arc::new(Reloaded::open(paths, move || build(&files))?);
        Ok(Self { current })
    }

    /// What the next connection is accepted with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.get()
    }

    /// Loads the files again whenever they change, until dropped.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn run(&self, clock: &dyn Clock) {
        Arc::clone(&self.current).run("TLS certificates", clock).await;
    }

    /// Loads the files again if they changed, and says whether they did. Blocks.
    ///
    /// # Errors
    /// [`TlsError`]; then what was loaded before stays.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        self.current.refresh()
    }

    /// How often the files were loaded again, and how often that failed.
    #[must_use]
    pub fn reloads(&self) -> (u64, u64) {
        self.current.counts()
    }

    /// The authority's certificate in PEM that clients verify the own certificate in `data_dir` with: what a kubeconfig
    /// calls `certificate-authority-data`. `None` if the server makes none, or has not yet made it: that is done at its
    /// first start, and nothing is made here. Blocks.
    ///
    /// # Errors
    /// [`FileError`] if it can't be read.
    pub fn own_authority(config: &TlsConfig, data_dir: &Path) -> Result<Option<Vec<u8>>, FileError> {
        let authority = self_signed::Own::of(data_dir).authority;
        if !config.self_signed || config.cert_file.is_some() || !authority.exists() {
            return Ok(None);
        }
        read_file(&authority, MAX_AUTHORITY_BYTES).map(Some)
    }
}

fn build(files: &Files) -> Result<ServerConfig, TlsError> {
    let certificates = pem::certificates(&files.cert)?;
    let key = pem::key(&files.key)?;
    let builder = builder()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let provider = Arc::clone(builder.crypto_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(pem::roots(path)?), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| TlsError::Unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mismatch = |source| TlsError::Mismatch { cert: files.cert.clone(), key: files.key.clone(), source };
    let mut config = builder.with_single_cert(certificates, key).map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if files.client_ca.is_some() {
        // A resumed session would bring its client certificate along without a look at it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// TLS 1.2 and 1.3 by ring, whatever the process's default is.
fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable(error.to_string()))
}
