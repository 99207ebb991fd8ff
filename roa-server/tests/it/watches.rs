//! Watching: order, selections, bookmarks, resuming, many at once.

use roa_server::ApiConfig;
use serde_json::json;
use std::time::Duration;

use crate::support::{BOUND, LABS, Server, lab};

const MERGE: &str = "application/merge-patch+json";

#[tokio::test(flavor = "multi_thread")]
async fn w17_a_watch_without_a_version_begins_with_what_is_there() {
    let server = Server::start().await;
    server.lab("a").await;
    let mut watch = server.watch(&format!("{LABS}?watch=true")).await;
    assert_eq!(watch.brief().await.1, "a");
    server.lab("b").await;
    let (kind, name, version) = watch.brief().await;
    assert_eq!((kind.as_str(), name.as_str()), ("ADDED", "b"));
    server.send("DELETE", &format!("{LABS}/b"), &[], "").await;
    let (kind, _, deleted) = watch.brief().await;
    assert!(kind == "DELETED" && deleted > version, "a deletion has a version of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn w6_a_watch_resumes_after_a_version_and_misses_nothing() {
    let server = Server::start().await;
    let first = server.lab("a").await;
    server.lab("b").await;
    server.send("DELETE", &format!("{LABS}/b"), &[], "").await;
    let at = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = server.watch(&format!("{LABS}?watch=true&resourceVersion={at}")).await;
    assert_eq!(watch.brief().await.0, "ADDED");
    assert_eq!(watch.brief().await.0, "DELETED");
    let mut old = server.watch(&format!("{LABS}?watch=1&resourceVersion=1")).await;
    let error = old.next().await.unwrap();
    assert_eq!(
        (&error["type"], &error["object"]["code"], &error["object"]["reason"]),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
    assert!(old.next().await.is_none(), "w7: first and only");
}

#[tokio::test(flavor = "multi_thread")]
async fn w12_what_leaves_the_selection_is_deleted_for_it() {
    let server = Server::start().await;
    server.lab("a").await;
    let mut watch = server.watch(&format!("{LABS}?watch=true&labelSelector=team%3Dblue")).await;
    let one = format!("{LABS}/a");
    server.patch(&one, MERGE, &json!({ "metadata": { "labels": { "team": "blue" } } })).await;
    assert_eq!(watch.brief().await.0, "ADDED");
    let red = server.patch(&one, MERGE, &json!({ "metadata": { "labels": { "team": "red" } } })).await.json();
    let left = watch.next().await.unwrap();
    assert_eq!((&left["type"], &left["object"]["metadata"]["labels"]["team"]), (&json!("DELETED"), &json!("blue")));
    assert_eq!(left["object"]["metadata"]["resourceVersion"], red["metadata"]["resourceVersion"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streaming_list_says_when_it_is_whole() {
    let server = Server::start().await;
    server.lab("a").await;
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = server.watch(&format!("{LABS}?{query}&resourceVersion=0")).await;
    assert_eq!(watch.brief().await.0, "ADDED");
    let end = watch.next().await.unwrap();
    assert_eq!(
        (&end["type"], &end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"]),
        (&json!("BOOKMARK"), &json!("true"))
    );
    let half = format!("{LABS}?watch=true&sendInitialEvents=true");
    assert_eq!(server.get(&half).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn w10_bookmarks_are_for_who_asks_and_say_how_far_it_is() {
    let mut config = ApiConfig::default();
    config.bookmark_interval = Duration::from_millis(100);
    let server = Server::with(config).await;
    let created = server.lab("a").await;
    let at = created["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch = server.watch(&format!("{LABS}?watch=true&allowWatchBookmarks=true&resourceVersion={at}")).await;
    let mut unasked = server.watch(&format!("{LABS}?watch=true&resourceVersion={at}&timeoutSeconds=1")).await;
    // Of another kind: the watch sees nothing of it, and yet is further.
    server.post("/api/v1/namespaces", &json!({ "metadata": { "name": "elsewhere" } })).await;
    let bookmark = watch.next().await.unwrap();
    assert_eq!((&bookmark["type"], &bookmark["object"]["kind"]), (&json!("BOOKMARK"), &json!("Lab")));
    assert!(unasked.next().await.is_none(), "it ends at its time, without a bookmark");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_watched_as_tables() {
    let server = Server::start().await;
    server.lab("a").await;
    let request = format!(
        "GET {LABS}?watch=true&timeoutSeconds=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n\r\n"
    );
    let reply = server.raw(request.as_bytes()).await;
    let event: serde_json::Value = serde_json::from_str(reply.body.lines().next().unwrap()).unwrap();
    assert_eq!((&event["object"]["kind"], &event["object"]["rows"][0]["cells"][0]), (&json!("Table"), &json!("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_watches() {
    let server = Server::start().await;
    let mut watch = server.watch(&format!("{LABS}?watch=true")).await;
    server.stop.cancel();
    assert!(watch.next().await.is_none());
}

/// All of them see all of it, from bytes that were made once.
#[tokio::test(flavor = "multi_thread")]
async fn w14_a_thousand_watch_at_once() {
    let server = Server::start().await;
    let mut watches = Vec::new();
    for _ in 0..1_000 {
        watches.push(server.watch(&format!("{LABS}?watch=true")).await);
    }
    assert!(server.hub.watchers() >= 1_000);
    for name in ["a", "b", "c"] {
        server.lab(name).await;
    }
    let all = async {
        for watch in &mut watches {
            for name in ["a", "b", "c"] {
                assert_eq!(watch.brief().await.1, name);
            }
        }
    };
    tokio::time::timeout(BOUND, all).await.expect("all in time");
    drop(watches);
    let gone = async {
        while server.hub.watchers() > 10 {
            // Each write wakes all: who is gone is noticed then.
            server.post(&format!("{LABS}?dryRun=All"), &lab("z")).await;
            server
                .patch(
                    &format!("{LABS}/a"),
                    MERGE,
                    &json!({ "metadata": { "annotations": { "at": format!("{:?}", std::time::Instant::now()) } } }),
                )
                .await;
        }
    };
    tokio::time::timeout(BOUND, gone).await.expect("w15: what is dropped leaves nothing");
}
