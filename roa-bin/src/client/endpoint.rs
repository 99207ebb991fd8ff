//! [`Endpoint`]: where an API is reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;

/// Where an API is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Over TCP; `base` is what stands before every path, without a `/` at its end.
    Tcp { host: String, port: u16, tls: bool, base: String },
    /// Over a Unix socket.
    Unix(PathBuf),
}

/// What such text looks like.
const EXPECTED: &str = "expected http://HOST:PORT, https://HOST:PORT or unix:PATH";

impl Endpoint {
    /// An address.
    pub(crate) fn at(address: SocketAddr, tls: bool) -> Self {
        Self::Tcp { host: address.ip().to_string(), port: address.port(), tls, base: String::new() }
    }

    /// What stands before every path.
    pub(crate) fn base(&self) -> &str {
        match self {
            Self::Tcp { base, .. } => base,
            Self::Unix(_) => "",
        }
    }

    /// Whether nobody on the way can read or change what is said.
    pub(crate) fn is_private(&self) -> bool {
        match self {
            Self::Tcp { tls, host, .. } => {
                let local =
                    host.parse::<std::net::IpAddr>().map_or(host == "localhost", |address| address.is_loopback());
                *tls || local
            }
            Self::Unix(_) => true,
        }
    }

    /// What the header `Host` says.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(wrong(text, EXPECTED)) } else { Ok(Self::Unix(path.into())) };
        }
        let uri: Uri = text.parse().map_err(|_| wrong(text, EXPECTED))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong(text, EXPECTED)),
        };
        let authority = uri.authority().ok_or_else(|| wrong(text, EXPECTED))?;
        if authority.as_str().contains('@') {
            return Err("a URL with a password is not taken, expected a token in a kubeconfig".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self::Tcp { host, port, tls, base: uri.path().trim_end_matches('/').to_owned() })
    }
}

fn wrong(text: &str, expected: &str) -> String {
    format!("{text:?} is no address of a server, {expected}")
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls, base, .. } => {
                write!(f, "{}://{}{base}", if *tls { "https" } else { "http" }, self.host())
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_it_is_written() {
        for text in
            ["http://127.0.0.1:8080", "https://roa.example.com:443/api", "http://[::1]:80", "unix:/run/roa.sock"]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///run/a".parse(), Ok(Endpoint::Unix("/run/a".into())));
        assert_eq!("https://a/".parse::<Endpoint>().unwrap().to_string(), "https://a:443");
    }

    #[test]
    fn what_is_no_address_says_what_was_expected() {
        for text in ["", "unix:", "ftp://a", "127.0.0.1:80", "a b"] {
            assert!(text.parse::<Endpoint>().unwrap_err().contains("expected http://"), "{text}");
        }
        let told = "http://ann:secret@host".parse::<Endpoint>().unwrap_err();
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn only_this_machine_and_tls_are_private() {
        let private = |text: &str| text.parse::<Endpoint>().unwrap().is_private();
        assert!(
            private("http://127.0.0.1:1") && private("http://[::1]:1") && private("https://a") && private("unix:a")
        );
        assert!(!private("http://10.0.0.1:1") && !private("http://127.0.0.1.example.com"));
    }
}
