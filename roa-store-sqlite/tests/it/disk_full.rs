//! Bounds of the files, and disks that are full: nothing that was acknowledged is lost, refusals are typed, and the store
//! goes on by itself when there is room again.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use roa_core::lifecycle::DeleteOptions;
use roa_core::{
    Api, CommitError, DynamicObject, Error, Health, Key, KindDescriptor, KindRegistry, ResourceStore, Revision, Scope,
    Store, SystemRandom,
};
use roa_runtime::SystemClock;
use roa_store_sqlite::{OpenError, SqliteConfig, SqliteStore};

use crate::support::*;

const QUOTA: u64 = 2 << 20;

/// Creates until it is refused. Gives how many were acknowledged, and the refusal.
async fn fill(store: &SqliteStore, bytes: usize) -> (usize, CommitError) {
    for number in 0..10_000 {
        if let Err(refusal) = create(store, &name_of(number), bytes).await {
            return (number, refusal);
        }
    }
    panic!("nothing bounds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_beyond_its_quota_puts_are_refused_and_the_refusal_names_the_bound() {
    // The log can't make room.
    let place = Place::fast().with(|config| config.max_bytes(QUOTA).min_retain(1 << 30));
    let store = place.open().await;
    let (acked, refusal) = fill(&store, 16 << 10).await;
    assert!(matches!(refusal, CommitError::Unavailable { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("expected less than 2097152"), "{refusal}");
    assert!(refusal.to_string().contains("hint"), "{refusal}");
    until("it says so", async || {
        matches!(store.health().await, Health::Degraded(reason) | Health::Failing(reason) if reason.contains("2097152"))
    })
    .await;
    let head = state(&store).await.head;
    let at = store.get(&key(&name_of(0))).await.unwrap().entry.unwrap().revision;
    let mixed = txn().delete(key(&name_of(0)), at).create(key("new"), filler(1));
    assert!(matches!(store.commit(mixed).await, Err(CommitError::Unavailable { .. })), "S4: no half of it");
    let update = txn().update(key(&name_of(0)), filler(32 << 10), at);
    assert!(matches!(store.commit(update).await, Err(CommitError::Unavailable { .. })));
    assert_eq!((state(&store).await.head, names(&store).await.len()), (head, acked));
    let bytes = bytes_of(&place.config.path) + place.wal_bytes();
    assert!(bytes < 3 * QUOTA, "the files have {bytes} bytes");
    store.close().await;
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_beyond_its_quota_deletions_go_through_and_make_room_for_puts() {
    let place = Place::fast().with(|config| config.max_bytes(QUOTA));
    let store = place.open().await;
    let (acked, _) = fill(&store, 16 << 10).await;
    for number in 0..acked {
        delete(&store, &name_of(number)).await.unwrap();
    }
    store.compact(state(&store).await.head).await.unwrap();
    until("there is room again", async || create(&store, "new", 16 << 10).await.is_ok()).await;
    until_healthy(&store).await;
    assert_eq!(names(&store).await, ["new"]);
}

/// Objects with a finalizer, through the door that controllers use.
fn guarded(store: &Arc<SqliteStore>) -> Api<DynamicObject> {
    let kind = KindDescriptor::dynamic("g", "v1", "Thing", "things", Scope::Namespaced);
    let (kinds, clock) = (KindRegistry::new().with_kind(kind.clone()), Arc::new(SystemClock::new()));
    let store = Arc::clone(store) as Arc<dyn Store>;
    ResourceStore::new(store, Arc::new(kinds), clock, Arc::new(SystemRandom), "test").dynamic_api(Arc::new(kind))
}

fn guarded_object(name: &str, bytes: usize) -> DynamicObject {
    let mut object = DynamicObject { api_version: "g/v1".into(), kind: "Thing".into(), ..DynamicObject::default() };
    (object.metadata.name, object.metadata.namespace) = (name.into(), "n".into());
    object.metadata.finalizers = vec!["example.com/x".into()];
    object.metadata.annotations.insert("filler".into(), "x".repeat(bytes));
    object
}

/// Creates until it is refused. Gives how many there are.
async fn fill_guarded(api: &Api<DynamicObject>) -> usize {
    for number in 0..10_000 {
        match api.create(&guarded_object(&name_of(number), 64 << 10)).await {
            Ok(_) => {}
            Err(Error::Unavailable { reason }) if reason.contains("16777216") => return number,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("nothing bounds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_beyond_its_quota_what_keeps_it_going_is_done() {
    let place = Place::fast().with(|config| config.max_bytes(16 << 20).min_retain(1 << 30));
    let store = Arc::new(place.open().await);
    let (api, heartbeat) = (guarded(&store), Key::system("heartbeats", "one").unwrap());
    let mut beat = store.commit(txn().create(heartbeat.clone(), filler(100))).await.unwrap();
    fill_guarded(&api).await;
    for _ in 0..10 {
        beat = store.commit(txn().update(heartbeat.clone(), filler(100), beat)).await.unwrap();
    }
    store.commit(txn().create(Key::system("heartbeats", "two").unwrap(), filler(100))).await.unwrap();
    let grown = txn().update(heartbeat.clone(), filler(4 << 10), beat);
    assert!(matches!(store.commit(grown).await, Err(CommitError::Unavailable { .. })), "it may not grow by so much");
    assert!(matches!(create(&store, "new", 1).await, Err(CommitError::Unavailable { .. })));
    api.delete("n", &name_of(0), &DeleteOptions::default()).await.unwrap();
    api.patch("n", &name_of(0), |object| object.metadata.finalizers.clear()).await.unwrap();
    assert!(store.get(&key(&name_of(0))).await.unwrap().entry.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_beyond_its_quota_objects_with_finalizers_go_and_make_room_without_a_compaction() {
    let place = Place::fast().with(|config| config.max_bytes(16 << 20));
    let store = Arc::new(place.open().await);
    let api = guarded(&store);
    for name in (0..fill_guarded(&api).await).map(name_of) {
        // All at once is more than the reserve has; the log gives it back soon.
        let marked = async || api.delete("n", &name, &DeleteOptions::default()).await.is_ok();
        until("it is marked", marked).await;
        api.patch("n", &name, |object| object.metadata.finalizers.clear()).await.unwrap();
    }
    until("there is room again", async || api.create(&guarded_object("new", 64 << 10)).await.is_ok()).await;
    until_healthy(&store).await;
    assert_eq!(names(&store).await, ["new"]);
    store.close().await;
    place.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_the_quota_holds_for_a_store_that_is_opened_beyond_it() {
    let place = Place::fast();
    let store = place.open().await;
    create_many(&store, 0..200, 16 << 10).await;
    store.close().await;
    let place = place.with(|config| config.max_bytes(QUOTA));
    let store = place.open().await;
    let refusal = create(&store, "new", 1).await.unwrap_err();
    assert!(refusal.to_string().contains("2097152"), "{refusal}");
    delete(&store, &name_of(0)).await.unwrap();
}

/// A small disk with a store, and a file that takes room which can be had again.
struct Disk {
    config: SqliteConfig,
    ballast: PathBuf,
    _mounted: Mounted,
}

impl Disk {
    /// `None` if the test has run elsewhere.
    fn new(test: &str) -> Option<Self> {
        let mounted = Mounted::new("size=3m", &format!("disk_full::{test}"))?;
        let ballast = mounted.path().join("ballast");
        fs::write(&ballast, vec![0; 1 << 20]).unwrap();
        Some(Self { config: config(mounted.path()), ballast, _mounted: mounted })
    }

    /// Takes all room but so many bytes.
    fn leave(&self, bytes: u64) {
        let rest = self.ballast.with_extension("rest");
        let full = fs::write(&rest, vec![0; 3 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        let taken = bytes_of(&rest) - bytes;
        fs::File::options().write(true).open(&rest).unwrap().set_len(taken).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(&self.ballast).unwrap();
    }
}

fn assert_typed(refusal: &CommitError) {
    assert!(matches!(refusal, CommitError::Unavailable { .. } | CommitError::Ambiguous { .. }), "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_s6_on_a_full_disk_what_was_acknowledged_is_read_and_commits_work_again_by_themselves() {
    let test = "q5_s6_on_a_full_disk_what_was_acknowledged_is_read_and_commits_work_again_by_themselves";
    let Some(disk) = Disk::new(test) else { return };
    let store = open(&disk.config).await.unwrap();
    let start = state(&store).await.head;
    let mut tail = store.tail(start).await.unwrap();
    let (acked, refusal) = fill(&store, 8 << 10).await;
    assert_typed(&refusal);
    assert!(matches!(store.health().await, Health::Failing(_)), "{:?}", store.health().await);
    let expected: Vec<_> = (0..acked).map(name_of).collect();
    assert_eq!(names(&store).await, expected);
    assert_eq!(pull_until(&mut tail, later(start, acked as u64)).await.len(), acked);

    disk.make_room();
    until_healthy(&store).await;
    let next = create(&store, "after", 10).await.unwrap();
    assert_eq!(next, later(start, acked as u64 + 1), "S1: the refused took no revision");
    assert_eq!(pull_until(&mut tail, next).await.len(), 1);
    store.close().await;
    assert_whole(&disk.config).await;
    assert_eq!(names(&open(&disk.config).await.unwrap()).await.len(), acked + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_on_a_full_disk_each_of_a_group_gets_its_own_outcome() {
    let Some(disk) = Disk::new("q5_on_a_full_disk_each_of_a_group_gets_its_own_outcome") else { return };
    let store = open(&disk.config).await.unwrap();
    let named: Vec<_> = (0..400).map(name_of).collect();
    // One that does not fit is among those that do.
    let bytes = |number: usize| if number.is_multiple_of(40) { 1 << 20 } else { 4 << 10 };
    let outcomes = join_all(named.iter().enumerate().map(|(number, name)| create(&store, name, bytes(number)))).await;
    outcomes.iter().flat_map(|outcome| outcome.as_ref().err()).for_each(assert_typed);
    let acked: Vec<(String, Revision)> = named
        .iter()
        .zip(&outcomes)
        .filter_map(|(name, outcome)| Some((name.clone(), *outcome.as_ref().ok()?)))
        .collect();
    assert!(acked.len() < named.len() && !acked.is_empty(), "{}", acked.len());
    for (name, revision) in &acked {
        assert_eq!(store.get(&key(name)).await.unwrap().entry.unwrap().revision, *revision);
    }
    let unclear = outcomes.iter().filter(|outcome| matches!(outcome, Err(CommitError::Ambiguous { .. }))).count();
    let found = names(&store).await.len();
    assert!((acked.len()..=acked.len() + unclear).contains(&found), "{found}");
    disk.make_room();
    until_healthy(&store).await;
    create(&store, "after", 10).await.unwrap();
    store.close().await;
    assert_whole(&disk.config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_s6_a_store_that_ends_on_a_full_disk_has_all_that_was_acknowledged_when_there_is_room() {
    let test = "q5_s6_a_store_that_ends_on_a_full_disk_has_all_that_was_acknowledged_when_there_is_room";
    let Some(disk) = Disk::new(test) else { return };
    let store = open(&disk.config).await.unwrap();
    let (acked, _) = fill(&store, 8 << 10).await;
    let before = state(&store).await;
    store.close().await;
    match open(&disk.config).await {
        Ok(store) => store.close().await,
        Err(error) => assert!(matches!(error, OpenError::Io { .. } | OpenError::Sqlite { .. }), "{error:?}"),
    }
    disk.make_room();
    let store = open(&disk.config).await.unwrap();
    assert_eq!(state(&store).await, before);
    assert_eq!(names(&store).await, (0..acked).map(name_of).collect::<Vec<_>>());
    create(&store, "after", 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_s13_on_a_full_disk_no_store_is_made_and_one_is_when_there_is_room() {
    let test = "q5_s13_on_a_full_disk_no_store_is_made_and_one_is_when_there_is_room";
    let Some(disk) = Disk::new(test) else { return };
    disk.leave(0);
    let error = open(&disk.config).await.unwrap_err();
    assert!(matches!(error, OpenError::Io { .. } | OpenError::Sqlite { .. }), "{error:?}");
    assert!(error.to_string().contains("roa.db") && error.to_string().contains("space"), "{error}");
    disk.make_room();
    let store = open(&disk.config).await.unwrap();
    create(&store, "a", 10).await.unwrap();
    store.close().await;
    assert_whole(&disk.config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q5_q8_a_backup_that_does_not_fit_leaves_nothing_and_the_store_goes_on() {
    let test = "q5_q8_a_backup_that_does_not_fit_leaves_nothing_and_the_store_goes_on";
    let Some(disk) = Disk::new(test) else { return };
    let store = open(&disk.config).await.unwrap();
    create_many(&store, 0..40, 8 << 10).await;
    disk.leave(256 << 10);
    let directory = disk.config.path.parent().unwrap();
    let files = files_in(directory);
    let error = store.backup(&directory.join("copy.db")).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { reason } if reason.contains("space")), "{error:?}");
    assert_eq!(files_in(directory), files);
    create(&store, "after", 10).await.unwrap();
}
