//! How a server is reached, which servers are refused, and that no message holds a password.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_core::{Durability, Key, Revision, Store, SystemRandom, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_redis::{OpenError, RedisConfig, RedisStore};
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(20);
const CANARY: &str = "canary-7f3a";

fn config(url: String) -> RedisConfig {
    RedisConfig::new(url).timeouts(Duration::from_secs(2), Duration::from_secs(2)).block(Duration::from_millis(200))
}

async fn open(config: RedisConfig) -> Result<RedisStore, OpenError> {
    RedisStore::open(config, Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await
}

async fn create(store: &RedisStore, name: &str) -> Revision {
    let key = Key::new("g", "things", "n", name).unwrap();
    let creating = async {
        loop {
            let txn = Txn::new(TxnId::random(&SystemRandom), "test").create(key.clone(), Value::opaque("v"));
            match store.commit(txn).await {
                Ok(revision) => return revision,
                Err(roa_core::CommitError::Conflict { current: Some(at), .. }) => return at,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(BOUND, creating).await.unwrap()
}

async fn refusal(config: RedisConfig) -> String {
    let error = open(config).await.unwrap_err();
    format!("{error}\n{error:?}")
}

/// Waits until something holds, a bounded time.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
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
    let volatile = open(config(server.url())).await.unwrap();
    assert_eq!(volatile.capabilities().durability, Durability::Volatile);
    let warnings = volatile.info().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains("appendonly yes")), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_no_message_holds_a_password() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let with = |userinfo: &str| config(format!("redis://{userinfo}@127.0.0.1:{}", server.port()));
    let wrong = [
        with(&format!(":{CANARY}")),
        with(&format!("{CANARY}:{CANARY}")),
        config(server.url()).credentials(None, Some(CANARY.into())),
        config(format!("redis://:{CANARY}@127.0.0.1:1")),
        config(format!("rediss://:{CANARY}@127.0.0.1:{}", server.port())),
        config(format!("redis://:{CANARY}@no-such-host.invalid")),
        config(format!("redis://:{CANARY}@127.0.0.1:99999")),
    ];
    for config in wrong {
        let shown = format!("{config:?}");
        let refused = refusal(config).await;
        assert!(!refused.contains(CANARY) && !shown.contains(CANARY), "{refused}");
    }
    let store = open(with(":right")).await.unwrap();
    assert!(!format!("{store} {store:?}").contains("right"));
    create(&store, "a").await;
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
    let store = open(as_user("roa")).await.unwrap();
    create(&store, "a").await;
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
    let store = open(known).await.unwrap();
    create(&store, "a").await;
    assert!(store.to_string().ends_with(&url));
    // A client that the server does not know, and a server that the client does not trust.
    refusal(trusting).await;
    refusal(config(url)).await;
    let missing = config(format!("rediss://localhost:{tls_port}")).ca_file(Path::new("/no/such/file"));
    assert!(refusal(missing).await.contains("tls.ca_file: read /no/such/file"));
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_in_a_cluster_the_node_that_holds_the_keys_is_found() {
    let nodes: Vec<_> = (0..3).map(|_| RedisServer::start_with(&["--cluster-enabled", "yes"])).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
    let mut create_cluster = Command::new("redis-cli");
    create_cluster.args(["--cluster", "create"]).args(&addresses).arg("--cluster-yes");
    let made = create_cluster.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let is_ready = |node: &RedisServer| node.command::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    until("the cluster is ready", || nodes.iter().all(is_ready));
    let mut stores = Vec::new();
    for (node, name) in nodes.iter().zip(["one", "two", "three"]) {
        // Any node will do to ask, whichever holds the keys.
        let store = open(config(node.url()).name(name)).await.unwrap();
        create(&store, "a").await;
        stores.push(store);
    }
    let moved_from = nodes.iter().map(|node| node.command::<i64>(&["DBSIZE"])).collect::<Vec<_>>();
    assert_eq!(moved_from.iter().sum::<i64>(), 12, "four keys of each store: {moved_from:?}");
    for (store, node) in stores.iter().zip(nodes.iter().rev()) {
        assert!(store.check().await.unwrap().problems.is_empty(), "{store} {}", node.port());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_names_the_primary_and_the_next_one_after_a_fail_over() {
    let primary = RedisServer::start();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port().to_string()]);
    let sentinel_directory = tempfile::tempdir().unwrap();
    let (file, port) = (sentinel_directory.path().join("sentinel.conf"), RedisServer::free_port());
    let monitor = format!("sentinel monitor school 127.0.0.1 {} 1\n", primary.port());
    let quick = "sentinel down-after-milliseconds school 500\nsentinel failover-timeout school 3000\n";
    std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{monitor}{quick}")).unwrap();
    let mut sentinel = Command::new("redis-server");
    let mut sentinel = sentinel.arg(&file).arg("--sentinel").stdout(std::process::Stdio::null()).spawn().unwrap();
    let address = vec!["127.0.0.1:1".to_owned(), format!("127.0.0.1:{port}")];
    let through = config("redis://localhost".to_owned()).sentinels(address, "school");
    let opening = async {
        loop {
            // The sentinel begins to listen a moment after it was started.
            if let Ok(store) = open(through.clone()).await {
                return store;
            }
        }
    };
    let store = tokio::time::timeout(BOUND, opening).await.unwrap();
    create(&store, "a").await;
    until("the replica has it", || replica.command::<i64>(&["HLEN", "{roa:default}:objects"]) == 1);
    let listed = |port: u16| {
        let mut ask = Command::new("redis-cli");
        let asked = ask.args(["-p", &port.to_string(), "SENTINEL", "replicas", "school"]).output().unwrap();
        String::from_utf8_lossy(&asked.stdout).contains(&replica.port().to_string())
    };
    until("the sentinel knows the replica", || listed(port));
    let before = store.state().await.unwrap();
    primary.kill();
    create(&store, "b").await;
    let after = store.state().await.unwrap();
    assert!(after.epoch != before.epoch, "a promoted replica may lack what was acknowledged");
    assert_eq!(replica.command::<i64>(&["HLEN", "{roa:default}:objects"]), 2);
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
}
