//! `Api`: objects read and written.

use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

use super::kinds::{LabInstance, NAMESPACE, dynamic_lab, lab, labs};
use crate::support::{BOUND, Backend, Roa};

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_writes_and_reads_typed_objects() {
    let roa = Roa::serve(Backend::Sqlite);
    let labs = labs(&roa.client());
    let created = labs.create(&PostParams::default(), &lab("a")).await.unwrap();
    assert_eq!(created.meta().generation, Some(1));
    assert_eq!(code(&labs.create(&PostParams::default(), &lab("a")).await.unwrap_err()), 409);
    let mut changed = labs.get("a").await.unwrap();
    changed.spec.duration = "45m".to_owned();
    let replaced = labs.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert_eq!((replaced.spec.duration.as_str(), replaced.meta().generation), ("45m", Some(2)));
    // What was read before that is stale now.
    assert_eq!(code(&labs.replace("a", &PostParams::default(), &changed).await.unwrap_err()), 409);
    let merge = Patch::Merge(json!({ "metadata": { "labels": { "room": "1" } } }));
    labs.patch("a", &PatchParams::default(), &merge).await.unwrap();
    let by_label = labs.list(&ListParams::default().labels("room=1")).await.unwrap();
    assert_eq!(by_label.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["a"]);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    labs.create(&dry, &lab("b")).await.unwrap();
    assert!(labs.get_opt("b").await.unwrap().is_none());
    let uid = created.uid().unwrap();
    let deleted = labs.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(deleted.right().unwrap().details.unwrap().uid, uid);
    let gone = await_condition(labs.clone(), "a", conditions::is_deleted(&uid));
    timeout(BOUND, gone).await.expect("it is gone in time").unwrap();
    assert_eq!(code(&labs.get("a").await.unwrap_err()), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_writes_and_reads_objects_of_a_kind_that_it_does_not_know() {
    let roa = Roa::serve(Backend::Sqlite);
    let resource = ApiResource::erase::<LabInstance>(&());
    let labs: Api<DynamicObject> = Api::namespaced_with(roa.client(), NAMESPACE, &resource);
    for name in ["a", "b", "c"] {
        labs.create(&PostParams::default(), &dynamic_lab(name)).await.unwrap();
    }
    let page = labs.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let more = ListParams::default().limit(2).continue_token(page.metadata.continue_.as_deref().unwrap());
    assert_eq!(labs.list(&more).await.unwrap().items[0].name_any(), "c");
    let patch = json!({
        "apiVersion": "lab.neuroglia.com/v1", "kind": "LabInstance", "spec": { "duration": "50m" },
    });
    let taken = labs.patch("a", &PatchParams::apply("one"), &Patch::Apply(&patch)).await.unwrap_err();
    assert_eq!(code(&taken), 409, "another manager owns the field");
    let forced = labs.patch("a", &PatchParams::apply("one").force(), &Patch::Apply(&patch)).await.unwrap();
    assert_eq!(forced.data["spec"]["duration"], "50m");
    assert_eq!(labs.get_metadata("a").await.unwrap().name_any(), "a");
    let all = labs.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    assert!(all.is_left() || all.is_right());
    assert!(labs.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_records_events_and_counts_those_that_come_again() {
    let roa = Roa::serve(Backend::Sqlite);
    let client = roa.client();
    let lab = labs(&client).create(&PostParams::default(), &lab("a")).await.unwrap();
    let recorder =
        Recorder::new(client.clone(), Reporter { controller: "teacher".to_owned(), instance: Some("one".to_owned()) });
    for _ in 0..3 {
        let event = Event {
            type_: EventType::Warning,
            reason: "Late".to_owned(),
            note: Some("nobody came".to_owned()),
            action: "Waiting".to_owned(),
            secondary: None,
        };
        recorder.publish(&event, &lab.object_ref(&())).await.unwrap();
    }
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client.clone(), NAMESPACE);
    let event = events.list(&ListParams::default()).await.unwrap().items.remove(0);
    assert_eq!((event.reason.as_deref(), event.series.map(|series| series.count)), (Some("Late"), Some(3)));
    // Both groups are one store.
    let core: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(client, NAMESPACE);
    let found = core.list(&ListParams::default().fields("involvedObject.name=a")).await.unwrap();
    assert_eq!(found.items[0].message.as_deref(), Some("nobody came"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_deletes_what_depends_on_the_deleted() {
    let roa = Roa::run(Backend::Sqlite);
    let client = roa.client();
    let robots = super::kinds::robots(&client).await;
    let owner = robots.create(&PostParams::default(), &super::kinds::robot("owner", 2)).await.unwrap();
    let mut owned = super::kinds::robot("owned", 2);
    owned.meta_mut().owner_references = owner.owner_ref(&()).map(|reference| vec![reference]);
    let uid = robots.create(&PostParams::default(), &owned).await.unwrap().uid().unwrap();
    let background =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    robots.delete("owner", &background).await.unwrap();
    let gone = await_condition(robots, "owned", conditions::is_deleted(&uid));
    timeout(BOUND, gone).await.expect("it is collected in time").unwrap();
}
