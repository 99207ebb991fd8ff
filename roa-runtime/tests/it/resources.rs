//! The resource layer over a real store: what users of objects count on.

use std::sync::Arc;

use roa_core::lifecycle::{DeleteOptions, FieldValidation};
use roa_core::{
    DynamicObject, Error, Expect, Fence, FieldSelector, Key, ListOptions, Ownership, StoredObject, Txn, TxnId, Value,
    WriteMark,
};
use serde_json::json;

use crate::support::{World, thing};

#[tokio::test]
async fn lessons_3_8_and_9_what_was_read_can_be_changed_and_written() {
    let world = World::new().await;
    let created = world.create("a", 1).await;
    let mut read = world.api().get("test", "a").await.unwrap();
    assert_eq!(read, created);
    read.spec.size = 2;
    let updated = world.api().update(&read).await.unwrap();
    assert_eq!((updated.spec.size, updated.metadata.generation), (2, 2));
    assert!(updated.metadata.resource_version > created.metadata.resource_version);
}

#[tokio::test]
async fn lesson_4_of_two_writers_with_one_version_one_wins() {
    let world = World::new().await;
    let read = world.create("a", 1).await;
    let (mut one, mut two) = (read.clone(), read);
    (one.spec.size, two.spec.size) = (2, 3);
    world.api().update(&one).await.unwrap();
    let error = world.api().update(&two).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { current: Some(_), .. }), "{error}");
    assert_eq!(world.api().get("test", "a").await.unwrap().spec.size, 2);
}

#[tokio::test]
async fn lesson_5_a_patch_keeps_what_another_writer_wrote_in_between() {
    let world = World::new().await;
    world.create("a", 0).await;
    let add = async |number: u32| {
        let api = world.api();
        for _ in 0..20 {
            loop {
                let label = format!("l{number}");
                let patched = api.patch("test", "a", |thing| {
                    thing.spec.size += 1;
                    thing.metadata.labels.insert(label.clone(), "x".into());
                });
                match patched.await {
                    Err(Error::Conflict { .. }) => {}
                    outcome => break outcome.map(|_| ()).unwrap(),
                }
            }
        }
    };
    tokio::join!(add(1), add(2), add(3));
    let thing = world.api().get("test", "a").await.unwrap();
    assert_eq!((thing.spec.size, thing.metadata.labels.len()), (60, 3));
}

#[tokio::test]
async fn lessons_10_and_15_a_name_is_taken_once_however_many_try() {
    let world = World::new().await;
    let api = world.api();
    let tries = (0..16).map(|size| {
        let api = api.clone();
        async move { api.create(&thing("a", size)).await }
    });
    let outcomes = futures_util::future::join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().filter_map(|o| o.as_ref().err()).all(|error| matches!(error, Error::AlreadyExists { .. })));
}

#[tokio::test]
async fn lesson_14_deleting_respects_finalizers_and_preconditions() {
    let world = World::new().await;
    let mut guarded = thing("a", 1);
    guarded.metadata.finalizers = vec!["example.com/keep".into()];
    let created = world.api().create(&guarded).await.unwrap();
    let other = DeleteOptions::uid("another");
    assert!(matches!(world.api().delete("test", "a", &other).await, Err(Error::Conflict { .. })));
    world.api().delete("test", "a", &DeleteOptions::uid(&created.metadata.uid)).await.unwrap();
    let marked = world.api().get("test", "a").await.unwrap();
    assert!(marked.metadata.is_deleting());
    world.api().patch("test", "a", |thing| thing.metadata.finalizers.clear()).await.unwrap();
    assert!(matches!(world.api().get("test", "a").await, Err(Error::NotFound { .. })));
    let again = world.create("a", 1).await;
    assert_ne!(again.metadata.uid, created.metadata.uid, "a uid never comes back");
}

#[tokio::test]
async fn s11_a_write_that_changes_nothing_moves_no_revision() {
    let world = World::new().await;
    let created = world.create("a", 1).await;
    let head = world.head().await;
    let same = world.api().update(&created).await.unwrap();
    assert_eq!(same.metadata.resource_version, created.metadata.resource_version);
    world.api().patch_status("test", "a", |_| {}).await.unwrap();
    assert_eq!(world.head().await, head);
}

#[tokio::test]
async fn a_typed_write_keeps_fields_that_the_type_does_not_know() {
    let world = World::new().await;
    let json = json!({
        "apiVersion": "test.example.com/v1", "kind": "Thing", "metadata": {"name": "a", "namespace": "test"},
        "spec": {"size": 1, "future": [1, 2]}, "extra": true
    });
    let manifest = DynamicObject::from_json(json).unwrap();
    assert!(matches!(
        world.resources.create(manifest.clone(), FieldValidation::Strict).await,
        Err(Error::Invalid { .. })
    ));
    world.resources.create(manifest, FieldValidation::Ignore).await.unwrap();
    world.resize("a", 7).await;
    let key = world.api().key("test", "a").unwrap();
    let stored = world.resources.get(&key).await.unwrap();
    assert_eq!((&stored.body["spec"], &stored.body["extra"]), (&json!({"size": 7, "future": [1, 2]}), &json!(true)));
}

#[tokio::test]
async fn apply_creates_then_changes_and_twice_the_same_writes_nothing() {
    let world = World::new().await;
    let manifest = |size: u32| {
        let mut tree = thing("a", size).to_dynamic().unwrap();
        tree.body.remove("status");
        tree
    };
    world.resources.apply(manifest(1), FieldValidation::Strict).await.unwrap();
    let head = world.head().await;
    world.resources.apply(manifest(1), FieldValidation::Strict).await.unwrap();
    assert_eq!(world.head().await, head);
    let changed = world.resources.apply(manifest(2), FieldValidation::Strict).await.unwrap();
    assert_eq!(changed.metadata.generation, 2);
}

#[tokio::test]
async fn an_unknown_kind_and_a_second_object_of_a_kind_are_refused() {
    let world = World::new().await;
    let mut unknown = thing("a", 1).to_dynamic().unwrap();
    unknown.kind = "Thong".into();
    let error = world.resources.create(unknown, FieldValidation::Strict).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected one of test.example.com/v1 Part, test.example.com/v1 Plan, test.example.com/v1 Thing"),
        "{error}"
    );
    let mut txn = world.resources.transaction();
    txn.create(thing("a", 1).to_dynamic().unwrap(), FieldValidation::Strict).unwrap();
    let second = txn.create(thing("b", 1).to_dynamic().unwrap(), FieldValidation::Strict);
    assert!(matches!(second, Err(Error::Invalid { .. })));
}

#[tokio::test]
async fn l5_a_write_under_a_lost_ownership_is_fenced_and_nothing_changes() {
    let world = World::new().await;
    let key = Key::system("leases", "test").unwrap();
    let put = |expect| {
        let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "test");
        match expect {
            Expect::Absent => txn.create(key.clone(), Value::opaque("me")),
            Expect::At(at) => txn.update(key.clone(), Value::opaque("you"), at),
        }
    };
    let acquired = world.store.commit(put(Expect::Absent)).await.unwrap();
    let epoch = world.store.state().await.unwrap().epoch;
    let mine = world.resources.clone().fenced_by(Ownership { key: key.clone(), revision: acquired, epoch });
    mine.api::<crate::support::Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    world.store.commit(put(Expect::At(acquired))).await.unwrap();
    let head = world.head().await;
    let refused = mine.api::<crate::support::Thing>().unwrap().create(&thing("b", 1)).await;
    assert!(matches!(refused, Err(Error::Fenced(Fence::Ownership { .. }))));
    assert_eq!(world.head().await, head);
}

#[tokio::test]
async fn s14_a_write_under_an_old_epoch_is_fenced() {
    let world = World::new().await;
    let key = Key::system("leases", "test").unwrap();
    let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "test").create(key.clone(), Value::opaque("me"));
    let revision = world.store.commit(txn).await.unwrap();
    let state = world.store.state().await.unwrap();
    let mine = world.resources.clone().fenced_by(Ownership { key, revision, epoch: state.epoch });
    world.store.fence(state.epoch, state.head).await.unwrap();
    let refused = mine.api::<crate::support::Thing>().unwrap().create(&thing("b", 1)).await;
    assert!(matches!(refused, Err(Error::Fenced(Fence::Epoch { .. }))));
}

#[tokio::test]
async fn c10_a_mark_shows_what_was_written() {
    let world = World::new().await;
    let mark = Arc::new(WriteMark::default());
    let marking = world.resources.clone().marking(mark.clone());
    assert_eq!(mark.get(), None);
    let created = marking.api::<crate::support::Thing>().unwrap().create(&thing("a", 1)).await.unwrap();
    assert_eq!(mark.get(), created.metadata.resource_version);
}

#[tokio::test]
async fn lists_select_by_labels_and_declared_fields_page_by_page() {
    let world = World::new().await;
    for number in 0..25 {
        let mut made = thing(&format!("t{number:02}"), number);
        made.metadata.labels.insert("odd".into(), (number % 2 == 1).to_string());
        world.api().create(&made).await.unwrap();
    }
    world.api().patch_status("test", "t03", |thing| thing.status.state = Some("done".into())).await.unwrap();
    let odd = ListOptions::namespace("test").labels("odd=true".parse().unwrap());
    assert_eq!(world.api().list(&odd).await.unwrap().0.len(), 12);
    let done = ListOptions::everywhere().fields(FieldSelector::everything().eq("status.state", "done"));
    assert_eq!(world.api().list(&done).await.unwrap().0[0].metadata.name, "t03");
    let secret = ListOptions::everywhere().fields("spec.size=1".parse().unwrap());
    assert!(matches!(world.api().list(&secret).await, Err(Error::Invalid { .. })));

    let kind = world.resources.kinds().by_name("things").unwrap().clone();
    let mut page = odd.limit(5.try_into().unwrap());
    let mut names = Vec::new();
    loop {
        let list = world.resources.list(&kind, &page).await.unwrap();
        names.extend(list.entries.iter().map(|entry| entry.key.name().to_owned()));
        world.create(&format!("u{}", names.len()), 1).await;
        match list.next {
            Some(next) => page = page.resume(next),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).filter(|n| n % 2 == 1).map(|n| format!("t{n:02}")).collect();
    assert_eq!(names, expected, "no page repeats or leaves out, whatever is written in between");
}

#[tokio::test]
async fn a_generated_name_is_new_each_time() {
    let world = World::new().await;
    let mut tree = thing("", 1).to_dynamic().unwrap();
    tree.metadata.generate_name = "lab-".into();
    let one = world.resources.create(tree.clone(), FieldValidation::Ignore).await.unwrap();
    let two = world.resources.create(tree, FieldValidation::Ignore).await.unwrap();
    assert!(
        one.metadata.name.starts_with("lab-") && one.metadata.name.len() == 9 && one.metadata.name != two.metadata.name
    );
}

#[tokio::test]
async fn d1_an_object_that_was_written_under_other_rules_can_go() {
    let world = World::new().await;
    let mut old = thing("a", 2_000_000);
    old.metadata.finalizers = vec!["example.com/one".into(), "example.com/two".into()];
    old.metadata.uid = "5d1c".into();
    let (key, value) =
        (world.api().key("test", "a").unwrap(), StoredObject::encode(&old.to_dynamic().unwrap()).unwrap());
    let txn = Txn::new(TxnId::random(&roa_core::SystemRandom), "older").create(key.clone(), value);
    world.store.commit(txn).await.unwrap();
    let api = world.api();
    api.delete("test", "a", &DeleteOptions::default()).await.unwrap();
    api.patch_status("test", "a", |thing| thing.status.note = "going".into()).await.unwrap();
    api.patch("test", "a", |thing| drop(thing.metadata.finalizers.remove(0))).await.unwrap();
    let refused = api.patch("test", "a", |thing| thing.spec.size += 1).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "what is changed must be right: {refused:?}");
    api.patch("test", "a", |thing| thing.metadata.finalizers.clear()).await.unwrap();
    assert!(matches!(world.resources.get(&key).await, Err(Error::NotFound { .. })));
}
