use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ServerConnection, Stream, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{ServerTls, TlsConfig, pem};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

fn write_private(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes a certificate for `localhost` and its key, and says where.
fn files(dir: &Path, authority: &Authority) -> TlsConfig {
    let (certificate, key) = issue(authority, "localhost");
    let (cert_file, key_file) = (dir.join("cert.pem"), dir.join("key.pem"));
    write_private(&key_file, &key.serialize_pem());
    write_private(&cert_file, &certificate.pem());
    TlsConfig { cert_file: Some(cert_file), key_file: Some(key_file), ..TlsConfig::default() }
}

struct Client {
    roots: Vec<CertificateDer<'static>>,
    own: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: &'static [&'static [u8]],
    name: &'static str,
}

impl Client {
    fn trusting(authority: &CertificateDer<'_>) -> Self {
        let roots = vec![authority.clone().into_owned()];
        Self { roots, own: None, versions: vec![&TLS12, &TLS13], protocols: &[b"h2", b"http/1.1"], name: "localhost" }
    }

    fn showing(self, (certificate, key): &(rcgen::Certificate, KeyPair)) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Self { own: Some((certificate.der().clone(), key)), ..self }
    }

    fn connection(self) -> ClientConnection {
        let mut roots = rustls::RootCertStore::empty();
        self.roots.into_iter().for_each(|root| roots.add(root).unwrap());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match self.own {
            Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        ClientConnection::new(Arc::new(config), self.name.try_into().unwrap()).unwrap()
    }
}

/// What the server saw: version, protocol, and how many certificates the client showed.
type Seen = (Option<rustls::ProtocolVersion>, Option<Vec<u8>>, usize);

/// A whole conversation over a socket: the client's handshake and one byte each way.
fn talk(tls: &ServerTls, client: Client) -> io::Result<Seen> {
    let (mut near, mut far) = UnixStream::pair()?;
    let mut server = ServerConnection::new(tls.config()).unwrap();
    let serving = thread::spawn(move || {
        let mut byte = [0];
        Stream::new(&mut server, &mut far).read_exact(&mut byte)?;
        Stream::new(&mut server, &mut far).write_all(&byte)?;
        let certificates = server.peer_certificates().map_or(0, <[_]>::len);
        Ok((server.protocol_version(), server.alpn_protocol().map(<[u8]>::to_vec), certificates))
    });
    let mut client = client.connection();
    let mut stream = Stream::new(&mut client, &mut near);
    let mut byte = [0];
    let answered = stream.write_all(b"x").and_then(|()| stream.read_exact(&mut byte));
    drop(near);
    let seen = serving.join().unwrap();
    answered?;
    seen
}

fn open(config: &TlsConfig, dir: &Path) -> ServerTls {
    ServerTls::open(config, dir, &[]).unwrap()
}

fn failure(config: &TlsConfig, dir: &Path) -> String {
    ServerTls::open(config, dir, &[]).unwrap_err().to_string()
}

#[test]
fn t3_clients_talk_http2_or_1_over_tls_1_2_or_1_3() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let tls = open(&files(dir.path(), &authority), dir.path());
    for (version, protocols, protocol) in [
        (&TLS13, &[b"h2" as &[u8], b"http/1.1"][..], Some(b"h2".to_vec())),
        (&TLS12, &[b"http/1.1"], Some(b"http/1.1".to_vec())),
        (&TLS12, &[], None),
    ] {
        let client = Client { versions: vec![version], protocols, ..Client::trusting(authority.der()) };
        assert_eq!(talk(&tls, client).unwrap(), (Some(version.version), protocol, 0));
    }
    assert!(talk(&tls, Client::trusting(super::tests::authority().der())).is_err(), "another authority");
}

#[test]
fn t1_a_client_certificate_is_verified_if_there_is_one() {
    let (dir, ours) = (tempfile::tempdir().unwrap(), authority());
    let clients = authority();
    let ca = dir.path().join("clients.pem");
    fs::write(&ca, clients.pem()).unwrap();
    let tls = open(&TlsConfig { client_ca_file: Some(ca), ..files(dir.path(), &ours) }, dir.path());
    let client = || Client::trusting(ours.der());
    assert_eq!(talk(&tls, client()).unwrap().2, 0);
    for version in [&TLS12, &TLS13] {
        let known = Client { versions: vec![version], ..client().showing(&issue(&clients, "alice")) };
        assert_eq!(talk(&tls, known).unwrap().2, 1);
        let stranger = Client { versions: vec![version], ..client().showing(&issue(&authority(), "alice")) };
        assert!(talk(&tls, stranger).is_err());
    }
    let server_only = open(&files(dir.path(), &ours), dir.path());
    assert_eq!(talk(&server_only, client().showing(&issue(&clients, "alice"))).unwrap().2, 0, "not asked for");
}

#[test]
fn t3_a_new_certificate_is_used_for_new_connections_and_a_broken_one_is_not() {
    let (dir, [old, new]) = (tempfile::tempdir().unwrap(), [authority(), authority()]);
    let config = files(dir.path(), &old);
    let tls = open(&config, dir.path());
    let works = |authority: &Authority| talk(&tls, Client::trusting(authority.der())).is_ok();
    assert!(works(&old) && !works(&new));
    fs::write(config.cert_file.as_ref().unwrap(), issue(&new, "localhost").0.pem()).unwrap();
    let error = tls.refresh().unwrap_err().to_string();
    assert!(error.contains("cert.pem") && error.contains("key.pem") && works(&old), "{error}");
    files(dir.path(), &new);
    assert!(tls.refresh().unwrap());
    assert!(works(&new) && !works(&old));
    assert_eq!(tls.reloads(), (1, 1));
}

#[test]
fn a_certificate_of_the_own_making_is_kept_and_is_good_for_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let config = TlsConfig { self_signed: true, ..TlsConfig::default() };
    assert!(ServerTls::own_authority(&config, dir.path()).unwrap().is_none(), "a client makes nothing");
    assert!(!dir.path().join("tls").exists());
    let tls = open(&config, dir.path());
    let authority = || pem::certificates(&dir.path().join("tls/ca.crt")).unwrap().remove(0);
    let first = authority();
    for name in ["localhost", "127.0.0.1", "::1"] {
        talk(&tls, Client { name, ..Client::trusting(&first) }).unwrap();
    }
    let shown = ServerTls::own_authority(&config, dir.path()).unwrap().unwrap();
    assert!(shown.starts_with(b"-----BEGIN CERTIFICATE-----"));
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("tls"), mode("tls/server.key"), mode("tls/server.crt")], [0o700, 0o600, 0o600]);
    open(&config, dir.path());
    assert_eq!(authority(), first, "made once");
    let tls = ServerTls::open(&config, dir.path(), &["roa.example.com".into(), "10.0.0.5".into()]).unwrap();
    assert_ne!(authority(), first, "made anew for other names");
    talk(&tls, Client { name: "10.0.0.5", ..Client::trusting(&authority()) }).unwrap();
    assert!(talk(&tls, Client { name: "example.org", ..Client::trusting(&authority()) }).is_err());
}

#[test]
fn an_error_names_the_file_and_what_was_expected() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let good = files(dir.path(), &authority);
    let file = |name: &str, text: &str| {
        write_private(&dir.path().join(name), text);
        Some(dir.path().join(name))
    };
    let none = TlsConfig { cert_file: Some(dir.path().join("none.pem")), ..good.clone() };
    assert!(failure(&none, dir.path()).contains("none.pem"));
    let empty = TlsConfig { cert_file: file("empty.pem", ""), ..good.clone() };
    assert!(failure(&empty, dir.path()).contains("empty.pem: expected certificates in PEM, found none"));
    let no_key = TlsConfig { key_file: file("nokey.pem", "x"), ..good.clone() };
    assert!(failure(&no_key, dir.path()).contains("nokey.pem: expected a private key in PEM"));
    let other = TlsConfig { key_file: file("other.pem", &issue(&authority, "x").1.serialize_pem()), ..good.clone() };
    assert!(failure(&other, dir.path()).contains("other.pem"));
    let no_ca = TlsConfig { client_ca_file: file("ca.pem", "-----BEGIN CERTIFICATE-----\n!\n"), ..good.clone() };
    assert!(failure(&no_ca, dir.path()).contains("ca.pem"));
    fs::set_permissions(good.key_file.as_ref().unwrap(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(failure(&good, dir.path()).contains("chmod 600"));
    assert!(failure(&TlsConfig::default(), dir.path()).contains("self_signed"));
}
