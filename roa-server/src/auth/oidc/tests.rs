//! Tokens that are good, and all the ways in which one is not; keys that are fetched.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use roa_core::{ManualClock, Timestamp};
use serde_json::{Value as Json, json};

use super::Oidc;
use super::fetch::Fetcher;
use super::keys::KeySet;
use crate::auth::{AUTHENTICATED, OidcConfig, User};
use crate::tls::{ServerTls, TlsConfig};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example.com";
/// A key of RSA, and a token that it signed: `alice`, until 600 s after `NOW`.
const RSA_MODULUS: &str = "u8VSd-GXJweM8p3R4JDHPEjoVKQxJn2RvrOvFj9se-gAIdvhMkr94Sqv-g0TA1SOuxoWMnudMjANd_zJge9TKHLZk8PJ1bnK6Ohh\
    cbWaDCZYzWFW9ye9NDv2QGt-nQ-xrHoSfgJUozM2Ioih2KBB0LfdWqC43bcJajYkyDlEA7M--NW4Vj9z-FXFV7pD4bi8I2fkW0ud\
    gEedb6AVRYyGrKUcnXw8f1l56uuHPuV5OE8oQOFGxVPRXPtrPkZYVZ5BRLBlGEJtMiW6WzFFmfe14u3Fh8zngjgNalJJ7aQ_9y17\
    7_dcLuZOBEc6tDYBsSjOSWNNJwpMD_rAYKeRZXw0Ew";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbSIsImF1ZCI6InJvYSI\
    sInN1YiI6ImFsaWNlIiwiZXhwIjoxODAwMDAwNjAwfQ.Xbr9wIVAjUYGWAKnM4qUHV0vn4xsy8e-vwxOpFB8yFGDUxaxKDLRvlVY\
    kMSt0GEANDtR_ExwCX9vVnaL3QTzfCJmwKI1cOY6Fk1BPF7tYzEw6TY31XmWL4_FWhLxyeS8lYZRG2I8HD58bwbxp8cKNyJMvFjK\
    _duSFMq7xWRamsuxgjyYAoo1-Oxo8xfLD2pft8okacS_mvpug91ONLr6i450r38QNfIViWt9iLgwf6ER_EqNcA6PxcXTTO85jzKs\
    WfXWR_qZMkJMSu2MexZf6M32iZpJMHVwEx4gEeQa5dp5BsN76R9ogbWw6-FagS_TxY1cHkBLDkmr2bgKWmx4aw";

fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |place| char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]))
    });
    digits.collect()
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &SystemRandom::new());
        Self(pair.unwrap())
    }

    fn jwk(&self, id: &str) -> Json {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256", "x": encode(x), "y": encode(y)})
    }

    fn sign(&self, header: &Json, claims: &Json) -> String {
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    }

    fn token(&self, id: &str, claims: &Json) -> String {
        self.sign(&json!({"alg": "ES256", "kid": id}), claims)
    }
}

fn claims(change: &Json) -> Json {
    let mut claims = json!({
        "iss": ISSUER, "aud": "roa", "sub": "alice", "groups": ["ops"], "exp": NOW + 600, "nbf": NOW - 600,
    });
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn config(change: &Json) -> OidcConfig {
    let mut config = json!({"issuer": ISSUER, "audience": "roa"});
    for (name, value) in change.as_object().unwrap() {
        config[name] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_unix_seconds(NOW).unwrap()))
}

/// Verifies with these keys, from a file.
struct World {
    _dir: tempfile::TempDir,
    oidc: Oidc,
}

impl World {
    fn new(keys: &[Json], change: &Json) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
        let config = OidcConfig { jwks_file: Some(path), ..config(change) };
        Self { _dir: dir, oidc: Oidc::open(config, clock()).unwrap() }
    }

    fn verify(&self, token: &str) -> Result<User, String> {
        self.oidc.verify(token).now_or_never().unwrap().map_err(|error| error.to_string())
    }
}

#[test]
fn t1_a_token_of_the_issuer_for_this_server_is_taken_and_its_names_have_prefixes() {
    let signer = Signer::new();
    let world = World::new(&[signer.jwk("a")], &json!({}));
    let user = world.verify(&signer.token("a", &claims(&json!({})))).unwrap();
    assert_eq!((&*user.name, &user.groups[..]), ("oidc:alice", &["oidc:ops", AUTHENTICATED].map(String::from)[..]));
    for good in [json!({"aud": ["x", "roa"]}), json!({"groups": "ops"}), json!({"groups": null}), json!({"nbf": null})]
    {
        assert!(world.verify(&signer.token("a", &claims(&good))).is_ok(), "{good}");
    }
    assert!(world.verify(&signer.sign(&json!({"alg": "ES256"}), &claims(&json!({})))).is_ok(), "the only key");
}

#[test]
fn t1_a_token_of_somebody_else_for_somebody_else_or_of_nobody_is_refused() {
    let signer = Signer::new();
    let world = World::new(&[signer.jwk("a")], &json!({}));
    let groups = vec!["x"; 1_001];
    for wrong in [
        json!({"iss": "https://other.example.com"}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "a\nb"}),
        json!({"sub": 7}),
        json!({"groups": [7]}),
        json!({"groups": {"a": "b"}}),
        json!({"groups": groups}),
        json!({"exp": null}),
        json!({"exp": "soon"}),
        json!({"nbf": "soon"}),
    ] {
        assert!(world.verify(&signer.token("a", &claims(&wrong))).is_err(), "{wrong}");
    }
    assert!(world.verify(&Signer::new().token("a", &claims(&json!({})))).unwrap_err().contains("InvalidSignature"));
    assert!(world.verify(&signer.token("b", &claims(&json!({})))).unwrap_err().contains("names no key"));
}

#[test]
fn t24_a_token_holds_in_its_time_give_or_take_a_minute() {
    let signer = Signer::new();
    let world = World::new(&[signer.jwk("a")], &json!({}));
    for (change, good) in [
        (json!({"exp": NOW - 59}), true),
        (json!({"exp": NOW - 60}), false),
        (json!({"exp": NOW as f64 - 58.5}), true),
        (json!({"exp": 1e300}), false),
        (json!({"exp": 0}), false),
        (json!({"exp": -1}), false),
        (json!({"nbf": NOW + 60}), true),
        (json!({"nbf": NOW + 61}), false),
    ] {
        let outcome = world.verify(&signer.token("a", &claims(&change)));
        assert_eq!(outcome.is_ok(), good, "{change} {outcome:?}");
    }
}

#[test]
fn t1_the_algorithm_is_that_of_the_key_whatever_the_token_says() {
    let signer = Signer::new();
    let world = World::new(&[signer.jwk("a")], &json!({}));
    let good = signer.token("a", &claims(&json!({})));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let with_header =
        |header: Json, signature: &str| format!("{}.{payload}.{signature}", encode(header.to_string().as_bytes()));
    for algorithm in ["none", "None", "NONE", "HS256", "RS256", "ES384", "PS256", ""] {
        let header = json!({"alg": algorithm, "kid": "a"});
        assert!(world.verify(&with_header(header.clone(), signature)).is_err(), "{algorithm}");
        assert!(world.verify(&with_header(header.clone(), "")).is_err(), "{algorithm}");
        assert!(world.verify(&signer.sign(&header, &claims(&json!({})))).is_err(), "{algorithm}");
    }
    // The public key, taken for a secret.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.0.public_key().as_ref());
    let forged = format!("{}.{payload}", encode(json!({"alg": "HS256", "kid": "a"}).to_string().as_bytes()));
    let tag = encode(ring::hmac::sign(&key, forged.as_bytes()).as_ref());
    assert!(world.verify(&format!("{forged}.{tag}")).is_err());
    let other = encode(claims(&json!({"sub": "root"})).to_string().as_bytes());
    let header = message.split_once('.').unwrap().0;
    assert!(world.verify(&format!("{header}.{other}.{signature}")).unwrap_err().contains("InvalidSignature"));
}

#[test]
fn a_token_that_was_signed_with_rsa_is_taken() {
    let rsa = json!({"kty": "RSA", "kid": "rsa", "n": RSA_MODULUS, "e": "AQAB"});
    let world = World::new(&[rsa.clone(), Signer::new().jwk("a")], &json!({}));
    assert_eq!(world.verify(RSA_TOKEN).unwrap().name, "oidc:alice");
    let (message, _) = RSA_TOKEN.rsplit_once('.').unwrap();
    assert!(world.verify(&format!("{message}.{}", encode(&[1; 256]))).is_err());
    let other = World::new(&[Signer::new().jwk("rsa")], &json!({}));
    assert!(other.verify(RSA_TOKEN).is_err(), "a key of another family");
}

#[test]
fn t2_an_issuer_names_none_of_the_servers_own() {
    let signer = Signer::new();
    let bare = World::new(&[signer.jwk("a")], &json!({"username_prefix": "", "groups_prefix": ""}));
    assert_eq!(bare.verify(&signer.token("a", &claims(&json!({})))).unwrap().name, "alice");
    for wrong in [json!({"sub": "system:admin"}), json!({"groups": ["ops", "system:masters"]})] {
        assert!(bare.verify(&signer.token("a", &claims(&wrong))).unwrap_err().contains("system:"));
    }
    let email = World::new(&[signer.jwk("a")], &json!({"username_claim": "email"}));
    for (verified, good) in [(json!(true), true), (json!(false), false), (json!("true"), false)] {
        let claims = claims(&json!({"email": "a@example.com", "email_verified": verified}));
        assert_eq!(email.verify(&signer.token("a", &claims)).is_ok(), good);
    }
}

#[test]
fn keys_that_are_of_no_use_are_left_out() {
    let good = Signer::new().jwk("good");
    let change = |name: &str, value: Json| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    let secret = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256"});
    let useless =
        [secret, change("use", json!("enc")), change("alg", json!("ES384")), change("x", json!("!")), json!(7)];
    let set = |keys: &[Json]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    assert!(set(&useless).unwrap_err().contains("RS256 or ES256"));
    assert!(set(&[&useless[..], std::slice::from_ref(&good)].concat()).unwrap().find(Some("good")).is_some());
    assert!(set(&vec![good; 65]).unwrap_err().contains("at most 64"));
    assert!(KeySet::parse(b"<html>").unwrap_err().contains("JSON Web Key Set"));
}

/// Serves so many requests, each with what is in `body` by then, and says under which address.
fn serve(requests: usize, body: &Arc<Mutex<String>>, tls: Option<ServerTls>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, body) = (listener.local_addr().unwrap(), Arc::clone(body));
    let serving = thread::spawn(move || {
        for stream in listener.incoming().take(requests) {
            let (mut stream, answer) = (stream.unwrap(), body.lock().unwrap().clone());
            match &tls {
                None => respond(&mut stream, &answer),
                Some(tls) => {
                    let connection = rustls::ServerConnection::new(tls.config()).unwrap();
                    respond(&mut rustls::StreamOwned::new(connection, stream), &answer);
                }
            }
        }
    });
    (address, serving)
}

fn respond(stream: &mut (impl Read + Write), answer: &str) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    // A client that did not like the certificate is gone by now.
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
}

fn ok(keys: &[Json]) -> String {
    let body = json!({ "keys": keys }).to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_fetched_when_a_token_names_it_and_not_more_often_than_allowed() {
    let [old, new] = [Signer::new(), Signer::new()];
    let body = Arc::new(Mutex::new(ok(&[old.jwk("old")])));
    let (address, serving) = serve(2, &body, None);
    let clock = clock();
    let oidc = Oidc::open(config(&json!({"jwks_url": format!("http://{address}/keys")})), clock.clone()).unwrap();
    let story = async {
        let good = claims(&json!({}));
        assert!(oidc.verify(&old.token("old", &good)).await.is_ok(), "waits for the first fetch");
        *body.lock().unwrap() = ok(&[new.jwk("new")]);
        assert!(oidc.verify(&new.token("new", &good)).await.is_err(), "too soon after the last fetch");
        clock.timers_pending(1).await;
        clock.advance(Duration::from_secs(10));
        assert!(oidc.verify(&new.token("new", &good)).await.is_ok(), "fetched");
        assert!(oidc.verify(&old.token("old", &good)).await.is_err(), "the old key is gone");
    };
    tokio::select! {
        () = oidc.run() => unreachable!("it runs until dropped"),
        done = tokio::time::timeout(Duration::from_secs(30), story) => done.unwrap(),
    }
    serving.join().unwrap();
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are_and_only_of_itself() {
    let signer = Signer::new();
    let good = claims(&json!({}));
    for (named, accepted) in [(true, true), (false, false)] {
        let keys = Arc::new(Mutex::new(ok(&[signer.jwk("a")])));
        let (keys_at, serving_keys) = serve(usize::from(accepted), &keys, None);
        let answer = Arc::new(Mutex::new(String::new()));
        let (issuer_at, serving_issuer) = serve(1, &answer, None);
        let issuer = format!("http://{issuer_at}");
        let told = if named { issuer.clone() } else { "http://127.0.0.1:1".to_owned() };
        let body = json!({ "issuer": told, "jwks_uri": format!("http://{keys_at}/keys") }).to_string();
        *answer.lock().unwrap() = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let oidc = Oidc::open(config(&json!({ "issuer": issuer })), clock()).unwrap();
        let mut claims = good.clone();
        claims["iss"] = json!(issuer);
        let story = async { oidc.verify(&signer.token("a", &claims)).await.is_ok() };
        tokio::select! {
            () = oidc.run() => unreachable!("it runs until dropped"),
            done = tokio::time::timeout(Duration::from_secs(30), story) => assert_eq!(done.unwrap(), accepted),
        }
        serving_issuer.join().unwrap();
        serving_keys.join().unwrap();
    }
}

#[tokio::test]
async fn t16_keys_come_over_verified_tls_and_from_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let settings: TlsConfig = serde_json::from_value(json!({"self_signed": true})).unwrap();
    let tls = ServerTls::open(&settings, dir.path(), &[]).unwrap();
    let authority = dir.path().join("tls/ca.crt");
    let get = async |answer: String, https: bool, trusting: bool| {
        let (address, serving) = serve(1, &Arc::new(Mutex::new(answer)), https.then(|| tls.clone()));
        let url = format!("{}://{address}/keys", if https { "https" } else { "http" });
        let fetcher = Fetcher::new(&url, https.then_some(&*authority).filter(|_| trusting)).unwrap();
        let got = fetcher.get(&roa_runtime::SystemClock::new()).await;
        serving.join().unwrap();
        got
    };
    assert!(get(ok(&[Signer::new().jwk("a")]), true, true).await.unwrap().starts_with(b"{\"keys\""));
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    assert!(get(elsewhere, false, false).await.unwrap_err().contains("302"));
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 2097152\r\n\r\n{}", "x".repeat(2 << 20));
    assert!(get(long, false, false).await.is_err(), "too long");
    let other = tempfile::tempdir().unwrap();
    ServerTls::open(&settings, other.path(), &[]).unwrap();
    let (address, serving) = serve(1, &Arc::new(Mutex::new(ok(&[]))), Some(tls.clone()));
    let untrusting = Fetcher::new(&format!("https://{address}/"), Some(&other.path().join("tls/ca.crt"))).unwrap();
    assert!(untrusting.get(&roa_runtime::SystemClock::new()).await.unwrap_err().contains("certificate"));
    serving.join().unwrap();
}

proptest! {
    #[test]
    fn what_looks_like_a_token_never_panics(token in "[ -~]{0,80}", parts in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        let world = World::new(&[Signer::new().jwk("a")], &json!({}));
        prop_assert!(world.verify(&token).is_err() && world.verify(&parts).is_err());
    }

    #[test]
    fn claims_of_any_shape_never_panic(header in "\\PC{0,40}", text in "\\PC{0,80}", number in any::<f64>(), claim in "(exp|nbf|aud|iss|sub|groups)") {
        let signer = Signer::new();
        let world = World::new(&[signer.jwk("a")], &json!({}));
        let _ = world.verify(&signer.token("a", &claims(&json!({claim.clone(): number}))));
        let _ = world.verify(&signer.token("a", &claims(&json!({claim: text}))));
        let message = format!("{}.{}.{}", encode(header.as_bytes()), encode(text.as_bytes()), encode(&[0; 64]));
        prop_assert!(world.verify(&message).is_err());
    }
}
