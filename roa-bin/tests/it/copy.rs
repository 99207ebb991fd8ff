//! `roa store copy`: from one backend to another and back, cut off and run again.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use roa_core::{Entry, Key, KeyPrefix, ListRequest, Store, SystemRandom, Txn, TxnId, Value};
use roa_runtime::SystemClock;
use roa_store_redis::test_util::RedisServer;
use roa_store_sqlite::{SqliteConfig, SqliteStore};

use crate::control_plane::command;
use crate::run::Place;

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(SqliteConfig::new(path), Arc::new(SystemClock::new()), Arc::new(SystemRandom)).await.unwrap()
}

/// An object as it is stored: being deleted, kept by a finalizer, with a status.
fn object(number: usize) -> Value {
    Value::json(format!(
        "{{\"metadata\":{{\"name\":\"lab-{number}\",\"namespace\":\"school\",\
         \"uid\":\"9e8e2b70-0000-4000-8000-{number:012}\",\"generation\":{},\
         \"creationTimestamp\":\"2027-01-02T03:04:05Z\",\"deletionTimestamp\":\"2027-01-02T04:04:05Z\",\
         \"finalizers\":[\"lab.example.com/cleanup\"]}},\"spec\":{{\"text\":\"{}\"}},\"status\":{{\"n\":{number}}}}}",
        number % 7 + 1,
        "é".repeat(number % 50),
    ))
}

/// A database with so many objects by three writers, a lease and an effect that has yet to happen.
pub fn database(path: &Path, objects: usize) {
    block_on(async {
        let store = open(path).await;
        for chunk in (0..objects).collect::<Vec<_>>().chunks(50) {
            let txn = Txn::new(TxnId::random(&SystemRandom), ["watcher", "controller", "roa"][chunk[0] / 50 % 3]);
            let create = |txn: Txn, &number: &usize| {
                let key = Key::new("lab.example.com", "labs", "school", &format!("lab-{number}")).unwrap();
                txn.create(key, object(number))
            };
            store.commit(chunk.iter().fold(txn, create)).await.unwrap();
        }
        for (resource, name) in [("leases", "controllers"), ("outbox", "mail/1")] {
            let txn = Txn::new(TxnId::random(&SystemRandom), "roa");
            store.commit(txn.create(Key::system(resource, name).unwrap(), Value::opaque("x"))).await.unwrap();
        }
        store.close().await;
    });
}

/// What the database holds, as far as a copy keeps it.
fn kept(path: &Path) -> Vec<(Key, Value, Arc<str>)> {
    block_on(async {
        let store = open(path).await;
        let entries = store.list(ListRequest::new(KeyPrefix::everything())).await.unwrap().entries;
        store.close().await;
        let kept = |entry: Arc<Entry>| (entry.key.clone(), entry.value.clone(), Arc::clone(&entry.writer));
        entries.into_iter().filter(|entry| entry.key.resource() != "leases").map(kept).collect()
    })
}

#[track_caller]
fn copied(place: &Place, arguments: &[&str]) -> String {
    let ran = place.roa(&[&["store", "copy"], arguments].concat());
    assert_eq!(ran.status, Some(0), "{arguments:?}: {}", ran.stderr);
    assert!(!ran.stderr.contains(['\u{1b}', '\r']), "no bar where there is no terminal: {:?}", ran.stderr);
    ran.stdout
}

#[track_caller]
fn refused(place: &Place, arguments: &[&str]) -> String {
    let ran = place.roa(&[&["store", "copy"], arguments].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", ran.stderr);
    ran.stderr
}

/// The digests that were printed: of the source and of the target.
fn digests(told: &str) -> Vec<&str> {
    told.lines().filter_map(|line| line.split_once("sha256 ")).map(|(_, digest)| digest).collect()
}

#[test]
fn from_sqlite_to_redis_and_back_every_object_keeps_its_bytes_and_its_writer() {
    let (server, place) = (RedisServer::start(), Place::empty());
    database(&place.path().join("a.db"), 300);
    let redis = format!("{}?name=school", server.unix_url());
    let there = copied(&place, &["--from", "a.db", "--to", &redis]);
    assert!(there.contains("301 entries as of revision") && there.contains("301 created, 0 replaced"), "{there}");
    let place = place.variable("ROA_STORE__BACKEND", "redis").variable("ROA_STORE__REDIS__URL", server.unix_url());
    let place = place.variable("ROA_STORE__REDIS__NAME", "school");
    let back = copied(&place, &["--to", "sqlite:b.db"]);
    assert_eq!(digests(&there).len(), 2, "{there}");
    assert!(digests(&there).iter().chain(&digests(&back)).all(|digest| *digest == digests(&there)[0]), "{there}{back}");
    assert_eq!(kept(&place.path().join("b.db")), kept(&place.path().join("a.db")));
    assert!(place.roa(&["store", "check"]).stdout.starts_with("ok: 301 entries"), "the copy is whole");
}

#[test]
fn what_would_be_lost_is_told_and_only_overwritten_on_demand() {
    let (server, place) = (RedisServer::start(), Place::empty());
    database(&place.path().join("a.db"), 10);
    database(&place.path().join("b.db"), 3);
    let redis = server.url();
    copied(&place, &["--from", "sqlite:a.db", "--to", &redis]);
    let told = refused(&place, &["--from", "sqlite:b.db", "--to", &redis]);
    assert!(told.contains("hint: --overwrite deletes 7 of its entries") && told.contains("replaces 0"), "{told}");
    let told = copied(&place, &["--from", "sqlite:b.db", "--to", &redis, "--overwrite"]);
    assert!(told.contains("0 created, 0 replaced, 7 deleted"), "{told}");
    let other = format!("{redis}?name=default");
    assert!(refused(&place, &["--from", &redis, "--to", &other]).contains("expected two stores"));
    assert!(refused(&place, &["--from", "no.db", "--to", &redis]).contains("there is no store at no.db"));
    assert!(!place.path().join("no.db").exists(), "looking makes nothing");
}

fn entries(server: &RedisServer) -> usize {
    server.command(&["HLEN", "{roa:default}:objects"])
}

fn until_it_copies(server: &RedisServer) {
    let begun = Instant::now();
    while entries(server) < 100 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not copy");
        std::thread::yield_now();
    }
}

#[test]
fn s14_a_copy_goes_on_by_itself_when_the_server_is_killed_and_started_again() {
    let (server, place) = (RedisServer::start(), Place::empty());
    database(&place.path().join("a.db"), 5_000);
    let mut copy = command(place.path());
    copy.args(["store", "copy", "--from", "a.db", "--to", &server.unix_url()]);
    let copy = copy.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until_it_copies(&server);
    server.restart();
    let ended = copy.wait_with_output().unwrap();
    let (told, log) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
    assert!(ended.status.success() && log.contains("the copy begins again"), "{log}");
    assert_eq!((digests(&told)[0], entries(&server)), (digests(&told)[1], 5_001), "{told}");
}

#[test]
fn s5_a_copy_that_is_killed_is_run_again_and_completes() {
    const OBJECTS: usize = 5_000;
    let (server, place) = (RedisServer::start(), Place::empty());
    database(&place.path().join("a.db"), OBJECTS);
    let url = server.unix_url();
    let arguments = ["store", "copy", "--from", "a.db", "--to", &url];
    let mut copy = command(place.path()).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until_it_copies(&server);
    copy.kill().unwrap();
    copy.wait().unwrap();
    let done = entries(&server);
    assert!(done < OBJECTS, "it was killed in the midst: {done}");
    assert!(refused(&place, &["--from", &url, "--to", "c.db"]).contains("that is not complete"), "it is no source");
    let told = copied(&place, &arguments[2..]);
    // What was there by then: some entries and the marker.
    assert!(told.contains(&format!("{} created, 0 replaced, 0 deleted", OBJECTS + 1 - (done - 1))), "{done}: {told}");
    assert_eq!(digests(&told)[0], digests(&told)[1]);
}
