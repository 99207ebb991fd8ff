//! Tokens of an OIDC issuer, from the issuer's own TLS to what roles allow, with `kubectl`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair as CertificateKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::{Roa, program, until};

/// For whom tokens are made.
const AUDIENCE: &str = "roa";

/// An issuer on this machine: it says where its keys are, and publishes them, over TLS.
struct Issuer {
    url: String,
    /// The authority that its certificate is of, in PEM.
    authority: String,
    key: EcdsaKeyPair,
}

impl Issuer {
    fn start() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (authority, tls) = certificates();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        let keys = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256", "x": encode(x), "y": encode(y),
        }] });
        let configuration = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let connection = ServerConnection::new(Arc::clone(&tls)).unwrap();
                answer(StreamOwned::new(connection, stream), &configuration, &keys);
            }
        });
        Self { url, authority, key }
    }

    /// A token for ann, who is one of the operators.
    fn token(&self, change: &Json) -> String {
        let mut claims = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "ann", "groups": ["operators"], "exp": now() + 600,
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({ "alg": "ES256", "kid": "one" });
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[expect(clippy::disallowed_methods, reason = "an issuer and a server share the machine's time alone")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// An authority in PEM, and what serves with a certificate of it.
fn certificates() -> (String, Arc<ServerConfig>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, CertificateKey::generate().unwrap()).unwrap();
    let key = CertificateKey::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from(own.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (authority.pem(), Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}

/// Answers one request; a client that does not like the certificate is gone before.
fn answer(mut stream: impl Read + Write, configuration: &Json, keys: &Json) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    let body = match String::from_utf8_lossy(&head).split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => configuration.to_string(),
        Some("/keys") => keys.to_string(),
        _ => return,
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush());
}

/// `roa` beside an issuer, and a `kubectl` that shows a token.
struct World {
    issuer: Issuer,
    roa: Roa,
}

impl World {
    fn start() -> Self {
        let (issuer, dir) = (Issuer::start(), tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("issuer.crt"), &issuer.authority).unwrap();
        let admin = admin_token(&dir);
        let variables = [
            ("ROA_SERVER__TLS__SELF_SIGNED", "true"),
            ("ROA_SERVER__AUTHORIZATION", "rbac"),
            ("ROA_SERVER__AUTH__TOKENS_FILE", "tokens"),
            ("ROA_SERVER__AUTH__OIDC__ISSUER", issuer.url.as_str()),
            ("ROA_SERVER__AUTH__OIDC__AUDIENCE", AUDIENCE),
            ("ROA_SERVER__AUTH__OIDC__CA_FILE", "issuer.crt"),
        ];
        let roa = Roa::start_guarded(dir, "serve", &variables);
        std::fs::write(roa.dir.path().join("admin"), admin).unwrap();
        Self { issuer, roa }
    }

    /// Runs `kubectl` as who bears this token: whether it went well, and what it printed.
    fn kubectl(&self, token: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("kubectl");
        command.current_dir(self.roa.dir.path()).env("HOME", self.roa.dir.path()).env("KUBECONFIG", "none");
        command.args(["--server", &self.roa.url().replace("http:", "https:"), "--cache-dir", "cache"]);
        command.args(["--certificate-authority", "data/tls/ca.crt", "--token", token]).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn as_admin(&self, arguments: &[&str]) {
        let token = std::fs::read_to_string(self.roa.dir.path().join("admin")).unwrap();
        let (done, told) = self.kubectl(&token, arguments);
        assert!(done, "{arguments:?}: {told}\n{}", self.roa.log());
    }
}

/// Makes the file of tokens with one that may do everything.
fn admin_token(dir: &TempDir) -> String {
    use std::os::unix::fs::OpenOptionsExt as _;
    let made = Command::new(program()).args(["token", "root", "--group", "system:masters"]).output().unwrap();
    let line = String::from_utf8(made.stderr).unwrap().lines().last().unwrap().to_owned();
    let path = dir.path().join("tokens");
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_token_of_an_issuer_lets_its_bearer_in_and_the_groups_in_it_have_roles() {
    if Command::new("kubectl").arg("--help").output().is_err() {
        eprintln!("skipped: there is no kubectl");
        return;
    }
    let world = World::start();
    let token = world.issuer.token(&json!({}));
    let labs = ["get", "labs", "-n", "school"];
    let (done, told) = world.kubectl(&token, &labs);
    assert!(!done && told.contains("User \"oidc:ann\" cannot list"), "{told}\n{}", world.roa.log());

    let rule = ["--verb", "get,list", "--resource", "labinstances.lab.neuroglia.com"];
    world.as_admin(&[&["create", "clusterrole", "system:lab-readers"], &rule[..]].concat());
    let binding = ["create", "clusterrolebinding", "operators:read", "--clusterrole", "system:lab-readers"];
    world.as_admin(&[&binding[..], &["--group", "oidc:operators"]].concat());
    let told = until("the role holds", || Some(world.kubectl(&token, &labs)).filter(|(done, _)| *done)).1;
    assert!(told.contains("No resources found"), "{told}");
    let (done, told) = world.kubectl(&token, &["delete", "labs", "--all", "-n", "school"]);
    assert!(!done || told.contains("No resources found"), "{told}");
    let (may, told) = world.kubectl(&token, &["auth", "can-i", "delete", "labs", "-n", "school"]);
    assert!(!may && told.contains("no"), "{told}");

    let other = world.issuer.token(&json!({ "groups": ["students"] }));
    assert!(world.kubectl(&other, &labs).1.contains("is forbidden"), "the group is what has the role");
    for refused in [
        json!({ "aud": "somebody-else" }),
        json!({ "exp": now() - 120 }),
        json!({ "iss": "https://issuer.example.com" }),
        json!({ "nbf": now() + 600 }),
    ] {
        let (done, told) = world.kubectl(&world.issuer.token(&refused), &labs);
        assert!(!done && told.contains("You must be logged in to the server"), "{refused}: {told}");
    }
    let (stranger, kept) = (Issuer::start(), token.rsplit_once('.').unwrap().0.to_owned());
    let forged = stranger.token(&json!({ "iss": world.issuer.url }));
    let signature = forged.rsplit_once('.').unwrap().1;
    for wrong in [forged.clone(), format!("{kept}.{signature}")] {
        assert!(!world.kubectl(&wrong, &labs).0, "it is signed by somebody else");
    }
    assert!(!world.roa.log().contains(&token), "t14: no token is logged");
}
