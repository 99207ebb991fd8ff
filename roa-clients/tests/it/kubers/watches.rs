//! Watches: `watcher` in both modes, metadata alone, and histories that are gone.

use std::fmt::Debug;
use std::pin::pin;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, PostParams, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Error, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::time::timeout;

use super::kinds::{LabInstance, NAMESPACE, lab, labs, robot, robots, version};
use crate::support::{BOUND, Backend, Roa};

/// What an event is, and of which object.
fn brief<K: Resource>(event: &Event<K>) -> String {
    match event {
        Event::Init => "init".to_owned(),
        Event::InitApply(object) => format!("has {}", object.name_any()),
        Event::InitDone => "done".to_owned(),
        Event::Apply(object) => format!("apply {}", object.name_any()),
        Event::Delete(object) => format!("delete {}", object.name_any()),
    }
}

/// The next event, whatever failed before it.
pub async fn next<K: Debug>(events: &mut (impl Stream<Item = Result<Event<K>, Error>> + Unpin)) -> Event<K> {
    let next = async {
        loop {
            if let Ok(event) = events.next().await.expect("a watcher never ends") {
                return event;
            }
        }
    };
    timeout(BOUND, next).await.expect("an event in time")
}

async fn briefs<K: Debug + Resource>(
    events: &mut (impl Stream<Item = Result<Event<K>, Error>> + Unpin),
    count: usize,
) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..count {
        seen.push(brief(&next(events).await));
    }
    seen
}

async fn watched(config: Config) {
    let roa = Roa::serve(Backend::Sqlite);
    let labs = labs(&roa.client());
    for name in ["a", "b", "c"] {
        labs.create(&PostParams::default(), &lab(name)).await.unwrap();
    }
    let mut events = pin!(watcher(labs.clone(), config));
    assert_eq!(briefs(&mut events, 5).await, ["init", "has a", "has b", "has c", "done"]);
    labs.create(&PostParams::default(), &lab("d")).await.unwrap();
    labs.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(briefs(&mut events, 2).await, ["apply d", "delete a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_watches_by_a_list_in_pages_and_a_watch() {
    watched(Config::default().page_size(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_watches_by_a_list_of_any_version_and_a_watch() {
    watched(Config::default().any_semantic()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_watches_by_a_streaming_list() {
    watched(Config::default().streaming_lists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kube_rs_watches_metadata_alone() {
    let roa = Roa::serve(Backend::Memory);
    labs(&roa.client()).create(&PostParams::default(), &lab("a")).await.unwrap();
    let metadata: Api<PartialObjectMeta<LabInstance>> = Api::namespaced(roa.client(), NAMESPACE);
    for config in [Config::default(), Config::default().streaming_lists()] {
        let mut events = pin!(watcher(metadata.clone(), config));
        assert_eq!(briefs(&mut events, 3).await, ["init", "has a", "done"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_kube_rs_lists_again_where_the_history_is_gone() {
    let short = [
        ("ROA_STORE__MEMORY__LOG_MAX_BATCHES", "16"),
        ("ROA_STORE__MEMORY__LOG_MIN_AGE", "0s"),
        ("ROA_WATCH__RING_MAX_BATCHES", "16"),
    ];
    let roa = Roa::start("serve", Backend::Memory, &short);
    let client = roa.client();
    let (labs, robots) = (labs(&client), robots(&client).await);
    let first = labs.create(&PostParams::default(), &lab("a")).await.unwrap();
    // It comes back each second with a version that grows old, because nothing tells it of a newer one.
    let mut events = pin!(watcher(labs.clone(), Config::default().disable_bookmarks().timeout(1)));
    assert_eq!(briefs(&mut events, 3).await, ["init", "has a", "done"]);
    for number in 0..60 {
        robots.create(&PostParams::default(), &robot(&format!("r{number}"), 2)).await.unwrap();
    }
    let raw = labs.watch(&WatchParams::default(), &version(first.meta()).to_string()).await;
    let gone = match raw {
        Ok(stream) => match pin!(stream).try_next().await.unwrap().unwrap() {
            WatchEvent::Error(status) => status.code,
            other => panic!("{other:?}"),
        },
        Err(kube::Error::Api(status)) => status.code,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(gone, 410);
    assert_eq!(briefs(&mut events, 3).await, ["init", "has a", "done"]);
    labs.create(&PostParams::default(), &lab("b")).await.unwrap();
    assert_eq!(briefs(&mut events, 1).await, ["apply b"]);
    let everywhere: Api<LabInstance> = Api::all(client);
    assert_eq!(everywhere.list(&Default::default()).await.unwrap().items[0].namespace().unwrap(), NAMESPACE);
}
