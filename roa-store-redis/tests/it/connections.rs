//! How a server is reached, and which servers are refused.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use roa_core::{Durability, Store};
use roa_store_redis::RedisConfig;
use roa_store_redis::test_util::{Direction, Fault, Proxy, RedisServer};
use tempfile::TempDir;

use crate::support::{config, create_again, names, open, try_open};

pub(crate) async fn refusal(config: RedisConfig) -> String {
    let error = try_open(config).await.unwrap_err();
    let causes = std::iter::successors(Error::source(&error), |&cause| cause.source());
    let causes: Vec<_> = causes.map(|cause| format!("{cause}\n{cause:?}")).collect();
    format!("{error}\n{error:?}\n{}", causes.join("\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_r10_unsuitable_servers_are_refused_and_left_as_they_are() {
    let server = RedisServer::start();
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert!(refusal(config(server.url())).await.contains("hint: set `maxmemory-policy noeviction`"));
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command::<()>(&["CONFIG", "SET", "appendonly", "no"]);
    let strict = config(server.url()).require_persistence(true);
    assert!(refusal(strict).await.contains("set `appendonly yes`"));
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &server.port().to_string()]);
    assert!(refusal(config(replica.url())).await.contains("a replica of 127.0.0.1"));
    assert_eq!(server.command::<i64>(&["DBSIZE"]), 0);
    let volatile = open(config(server.url())).await;
    assert_eq!(volatile.capabilities().durability, Durability::Volatile);
    let warnings = volatile.info().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("appendonly yes")), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_just_the_rights_that_are_needed_will_do_and_a_missing_one_is_named() {
    let server = RedisServer::start();
    let rights =
        "on >secret ~{roa:default}:* +@connection +@scripting +@hash +@sortedset +@stream +@keyspace +info +wait";
    let mut user: Vec<&str> = vec!["ACL", "SETUSER", "roa"];
    user.extend(rights.split(' '));
    server.command::<()>(&user);
    let as_user = |name: &str| config(format!("redis://{name}:secret@127.0.0.1:{}", server.port()));
    let store = open(as_user("roa")).await;
    create_again(&store, "a").await;
    assert!(store.check().await.unwrap().problems.is_empty());
    server.command::<()>(&["ACL", "SETUSER", "less", "on", ">secret", "~{roa:default}:*", "+@all", "-xtrim"]);
    let refused = refusal(as_user("less")).await;
    assert!(refused.contains("hint: the user needs"), "{refused}");
    let elsewhere = as_user("roa").name("other");
    assert!(refusal(elsewhere).await.contains("{roa:other}"));
}

/// Certificates made by `openssl`: an authority, a server's and a client's.
struct Certificates(TempDir);

impl Certificates {
    fn make() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let (ca, key) = (made.path("ca.crt"), made.path("ca.key"));
        let subject =
            ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=roa test authority"];
        openssl(&[&subject[..], &["-keyout", key.to_str().unwrap(), "-out", ca.to_str().unwrap()]].concat());
        for name in ["server", "client"] {
            made.sign(name);
        }
        made
    }

    fn sign(&self, name: &str) {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let file = |suffix: &str| text(self.path(&format!("{name}.{suffix}")));
        std::fs::write(self.path("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        let subject = format!("/CN={name}");
        let request = ["req", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
        openssl(&[&request[..], &["-keyout", &file("key"), "-out", &file("csr")]].concat());
        let (ca, key, names) = (text(self.path("ca.crt")), text(self.path("ca.key")), text(self.path("names")));
        let sign = ["x509", "-req", "-days", "2", "-CAcreateserial", "-extfile", &names, "-CA", &ca, "-CAkey", &key];
        openssl(&[&sign[..], &["-in", &file("csr"), "-out", &file("crt")]].concat());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_of_ones_own_and_client_certificates() {
    let certificates = Certificates::make();
    let text = |name: &str| certificates.path(name).to_str().unwrap().to_owned();
    let tls_port = RedisServer::free_port();
    let server = RedisServer::start_with(&[
        "--tls-port",
        &tls_port.to_string(),
        "--tls-cert-file",
        &text("server.crt"),
        "--tls-key-file",
        &text("server.key"),
        "--tls-ca-cert-file",
        &text("ca.crt"),
        "--tls-auth-clients",
        "yes",
    ]);
    let url = format!("rediss://localhost:{tls_port}");
    let trusting = config(url.clone()).ca_file(certificates.path("ca.crt"));
    let known = trusting.clone().client_certificate(certificates.path("client.crt"), certificates.path("client.key"));
    let store = open(known).await;
    create_again(&store, "a").await;
    assert!(store.to_string().ends_with(&url));
    // A client that the server does not know, and a server that the client does not trust.
    refusal(trusting).await;
    refusal(config(url)).await;
    let missing = config(format!("rediss://localhost:{tls_port}")).ca_file(Path::new("/no/such/file"));
    assert!(refusal(missing).await.contains("tls.ca_file: read /no/such/file"));
    drop(server);
}

/// The server's side of the handshake never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_handshake_that_stalls_ends_an_opening_in_time() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    proxy.fail(Direction::Down, Fault::Swallow);
    let timeout = Duration::from_millis(300);
    let stalled = config(format!("rediss://localhost:{}", proxy.port())).timeouts(timeout, timeout);
    let refused = tokio::time::timeout(Duration::from_secs(5), refusal(stalled)).await.unwrap();
    assert!(refused.contains("localhost"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_other_names_and_in_other_databases_are_left_alone() {
    let server = RedisServer::start();
    let database = |number: u8| config(format!("{}/{number}", server.url()));
    let stores = [open(database(0)).await, open(database(0).name("b")).await, open(database(3)).await];
    for (store, name) in stores.iter().zip(["one", "two", "three"]) {
        create_again(store, name).await;
    }
    server.command::<()>(&["SET", "another program's", "value"]);
    let before = [stores[0].state().await.unwrap(), stores[1].state().await.unwrap()];
    let mut flush = Command::new("redis-cli");
    let port = server.port().to_string();
    assert!(flush.args(["-p", &port, "-n", "3", "FLUSHDB"]).output().unwrap().status.success());
    create_again(&stores[2], "four").await;
    assert_eq!([stores[0].state().await.unwrap(), stores[1].state().await.unwrap()], before);
    for (store, name) in stores.iter().zip(["one", "two", "four"]) {
        assert_eq!(names(store).await, [name]);
    }
    assert_eq!(server.command::<String>(&["GET", "another program's"]), "value");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s13_of_processes_that_open_a_new_store_at_once_one_makes_it() {
    let server = RedisServer::start();
    let opened = join_all((0..12).map(|_| open(config(server.unix_url())))).await;
    let states = join_all(opened.iter().map(Store::state)).await;
    for (store, state) in opened.iter().zip(states) {
        let state = state.unwrap();
        assert_eq!((store.id(), state.epoch.counter), (opened[0].id(), 1));
        assert_eq!(state.head, state.floor);
    }
}
