//! [`Address`]: where the configuration says that the server is, and under which names others may know it.

use std::sync::Arc;

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::ExposeSecret;

use crate::error::OpenError;
use crate::{RedisConfig, RedisTls};

/// Where the server is. Its `Debug` and its texts hold no password.
#[derive(Clone)]
pub(crate) struct Address {
    /// As the URL says, with credentials.
    info: ConnectionInfo,
    tls: Option<Arc<Certificates>>,
    /// Sentinels, each as host and port.
    pub(crate) sentinels: Vec<(String, u16)>,
}

struct Certificates {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Address {
    /// Reads the configuration, and the files that it names.
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, OpenError> {
        let name = &config.name;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(OpenError::config("name", format!("{name:?}, expected 1 to 64 of letters, digits, - _ .")));
        }
        // What redis-rs says of a URL is not passed on: it may quote it.
        let malformed = |_| {
            OpenError::config("url", "expected redis://HOST[:PORT][/DATABASE], rediss://... for TLS or unix:///PATH")
        };
        let mut info = config.url.expose_secret().into_connection_info().map_err(malformed)?;
        let mut settings = info.redis_settings().clone().set_lib_name("roa", env!("CARGO_PKG_VERSION"));
        if let Some(username) = &config.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &config.password {
            settings = settings.set_password(password.expose_secret());
        }
        info = info.set_redis_settings(settings);
        let encrypted = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let tls = if encrypted { Some(Arc::new(Certificates::read(&config.tls)?)) } else { None };
        let sentinels = config.sentinels.iter().map(|text| sentinel(text)).collect::<Result<_, _>>()?;
        Ok(Self { info, tls, sentinels })
    }

    /// A client for the address of the URL.
    pub(crate) fn client(&self) -> redis::RedisResult<Client> {
        self.open(self.info.clone())
    }

    /// A client for another host, with the same credentials and certificates.
    pub(crate) fn client_at(&self, host: &str, port: u16) -> redis::RedisResult<Client> {
        self.open(self.info.clone().set_addr(self.moved(host, port)))
    }

    /// A client for a sentinel: no database, no credentials of the store.
    pub(crate) fn sentinel_client(&self, host: &str, port: u16) -> redis::RedisResult<Client> {
        let plain = self.moved(host, port).into_connection_info()?;
        self.open(plain)
    }

    fn moved(&self, host: &str, port: u16) -> ConnectionAddr {
        let host = host.to_owned();
        match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        }
    }

    fn open(&self, info: ConnectionInfo) -> redis::RedisResult<Client> {
        let Some(certificates) = &self.tls else { return Client::open(info) };
        // One provider for the process; somebody may have chosen it already.
        let _chosen = rustls::crypto::ring::default_provider().install_default();
        let client_tls = certificates
            .client
            .as_ref()
            .map(|(cert, key)| ClientTlsConfig { client_cert: cert.clone(), client_key: key.clone() });
        Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: certificates.ca.clone() })
    }

    /// The host, where it is reached by a network.
    pub(crate) fn host(&self) -> Option<&str> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    pub(crate) const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => write!(f, "redis://{host}:{port}"),
            ConnectionAddr::TcpTls { host, port, .. } => write!(f, "rediss://{host}:{port}"),
            ConnectionAddr::Unix(path) => write!(f, "unix://{}", path.display()),
            _ => f.write_str("an address of another kind"),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Certificates {
    fn read(tls: &RedisTls) -> Result<Self, OpenError> {
        let read = |key: &'static str, path: &std::path::PathBuf| {
            std::fs::read(path).map_err(|why| OpenError::config(key, format!("read {}: {why}", path.display())))
        };
        let ca = tls.ca_file.as_ref().map(|path| read("tls.ca_file", path)).transpose()?;
        let client = tls.client.as_ref().map(|(certificate, key)| {
            Ok::<_, OpenError>((read("tls.cert_file", certificate)?, read("tls.key_file", key)?))
        });
        Ok(Self { ca, client: client.transpose()? })
    }
}

fn sentinel(text: &str) -> Result<(String, u16), OpenError> {
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts {
        Some((host, port)) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(OpenError::config("sentinels", format!("{text:?}, expected HOST:PORT"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedisConfig;

    #[test]
    fn r13_no_text_of_an_address_holds_its_password() {
        let address = Address::new(&RedisConfig::new("redis://ann:canary@localhost:7/2")).unwrap();
        assert_eq!(address.to_string(), "redis://localhost:7");
        assert!(!format!("{address:?}").contains("canary"));
        for bad in ["redis://ann:canary@local host", "http://ann:canary@localhost", "ann:canary"] {
            let error = Address::new(&RedisConfig::new(bad)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
        assert!(!format!("{:?}", RedisConfig::new("redis://ann:canary@localhost")).contains("canary"));
    }

    #[test]
    fn names_and_sentinels_are_checked() {
        for name in ["", "a b", "a}b", &"x".repeat(65)] {
            assert!(Address::new(&RedisConfig::new("redis://localhost").name(name)).is_err(), "{name:?}");
        }
        for bad in ["", "host", ":1", "host:x"] {
            let config = RedisConfig::new("redis://localhost").sentinels(vec![bad.to_owned()], "mymaster");
            assert!(Address::new(&config).is_err(), "{bad:?}");
        }
    }
}
