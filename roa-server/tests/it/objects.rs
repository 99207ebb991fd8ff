//! What the verbs do, as raw requests see it.

use serde_json::{Value as Json, json};

use crate::support::{LABS, Server, lab};

const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

fn version(object: &Json) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_lives_by_the_rules_of_kubernetes() {
    let server = Server::start().await;
    let created = server.lab("a").await;
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["metadata"]["namespace"], "school");
    assert_eq!(server.post(LABS, &lab("a")).await.json()["reason"], "AlreadyExists");

    let one = format!("{LABS}/a");
    let patched = server.patch(&one, MERGE, &json!({ "spec": { "size": 5 } })).await.json();
    assert_eq!((&patched["spec"]["size"], &patched["metadata"]["generation"]), (&json!(5), &json!(2)));
    let again = server.patch(&one, MERGE, &json!({ "spec": { "size": 5 } })).await.json();
    assert_eq!(again, patched, "a write that changes nothing changes nothing, times included");

    let mut stale = created.clone();
    stale["spec"]["size"] = json!(9);
    let refused = server.send("PUT", &one, &[], &stale.to_string()).await;
    assert_eq!((refused.status, &refused.json()["reason"]), (409, &json!("Conflict")));
    let mut unversioned = stale.clone();
    unversioned["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(server.send("PUT", &one, &[], &unversioned.to_string()).await.status, 422);

    let both = json!({ "spec": { "size": 1 }, "status": { "state": "up" } });
    let status = server.patch(&format!("{one}/status"), MERGE, &both).await.json();
    assert_eq!((&status["spec"]["size"], &status["status"]["state"]), (&json!(5), &json!("up")));
    assert_eq!(status["metadata"]["generation"], 2);
    let main = server.patch(&one, MERGE, &json!({ "status": { "state": "down" } })).await.json();
    assert_eq!(main["status"]["state"], "up");

    let gone = server.send("DELETE", &one, &[], "").await.json();
    assert_eq!((&gone["status"], &gone["details"]["uid"]), (&json!("Success"), &created["metadata"]["uid"]));
    assert_eq!(server.get(&one).await.json()["message"], "labs.lab.example.com \"a\" not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_answers_as_a_write_would_and_writes_nothing() {
    let server = Server::start().await;
    let pretended = server.post(&format!("{LABS}?dryRun=All"), &lab("a")).await;
    assert_eq!((pretended.status, &pretended.json()["metadata"]["generation"]), (201, &json!(1)));
    assert_eq!(server.get(&format!("{LABS}/a")).await.status, 404);
    assert_eq!(server.get("/api/v1/namespaces/school").await.status, 404, "nor its namespace");
    let created = server.lab("a").await;
    let one = format!("{LABS}/a?dryRun=All");
    let patched = server.patch(&one, MERGE, &json!({ "spec": { "size": 7 } })).await.json();
    assert_eq!((&patched["spec"]["size"], version(&patched)), (&json!(7), version(&created)));
    assert_eq!(server.send("DELETE", &one, &[], "").await.status, 200);
    assert_eq!(server.get(&format!("{LABS}/a")).await.json(), created);
    assert_eq!(server.post(&format!("{LABS}?dryRun=Some"), &lab("b")).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_moment() {
    let server = Server::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.lab(name).await;
    }
    let first = server.get(&format!("{LABS}?limit=2")).await.json();
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    server.send("DELETE", &format!("{LABS}/d"), &[], "").await;
    let next = |page: &Json| format!("{LABS}?limit=2&continue={}", page["metadata"]["continue"].as_str().unwrap());
    let second = server.get(&next(&first)).await.json();
    assert_eq!(version(&second), version(&first));
    let names: Vec<_> = second["items"].as_array().unwrap().iter().map(|lab| &lab["metadata"]["name"]).collect();
    assert_eq!(names, ["c", "d"], "as of the first page");
    let last = server.get(&next(&second)).await.json();
    assert_eq!(last["metadata"].get("continue"), None);
    assert_eq!(server.get(&format!("{LABS}?limit=2&continue=AAAA")).await.status, 400);
    let elsewhere = next(&first).replace("school", "other");
    assert_eq!(server.get(&elsewhere).await.status, 400, "t11: a token leads nowhere else");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_follow_versions_and_selectors() {
    let server = Server::start().await;
    let created = server.lab("a").await;
    let mut labelled = lab("b");
    labelled["metadata"]["labels"] = json!({ "team": "blue" });
    labelled["spec"]["owner"] = json!("ann");
    server.post(LABS, &labelled).await;
    let names = |reply: Json| {
        let items = reply["items"].as_array().unwrap().clone();
        items.iter().map(|lab| lab["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(server.get(&format!("{LABS}?labelSelector=team%3Dblue")).await.json()), ["b"]);
    assert_eq!(names(server.get(&format!("{LABS}?labelSelector=!team")).await.json()), ["a"]);
    assert_eq!(names(server.get(&format!("{LABS}?fieldSelector=spec.owner%3Dann")).await.json()), ["b"]);
    let at = version(&created);
    let exact = format!("{LABS}?resourceVersion={at}&resourceVersionMatch=Exact");
    assert_eq!(names(server.get(&exact).await.json()), ["a"]);
    assert_eq!(server.get(&format!("{LABS}?fieldSelector=spec.size%3D1")).await.status, 400);
    let far = server.get(&format!("{LABS}?resourceVersion=9007199254740990")).await;
    assert_eq!((far.status, &far.json()["details"]["causes"][0]["reason"]), (504, &json!("ResourceVersionTooLarge")));
    assert_eq!(server.get(&format!("{LABS}?resourceVersionMatch=Exact")).await.status, 400);
    assert_eq!(server.get(&format!("{LABS}?resourceVersion=1")).await.status, 200, "not older than");
    assert_eq!(
        server.get(&format!("{LABS}?resourceVersion=1&resourceVersionMatch=Exact")).await.json()["reason"],
        "Expired"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_nobody_knows_are_refused_told_or_dropped() {
    let server = Server::start().await;
    let mut odd = lab("a");
    odd["spec"]["colour"] = json!("red");
    let strict = server.post(&format!("{LABS}?fieldValidation=Strict"), &odd).await;
    assert_eq!(strict.status, 400);
    assert!(strict.body.contains("strict decoding error: unknown field \\\"spec.colour\\\""), "{}", strict.body);
    let warned = server.post(LABS, &odd).await;
    assert!(warned.head.contains("warning: 299 - \"unknown field \\\"spec.colour\\\"\""), "{}", warned.head);
    assert_eq!(warned.json()["spec"], json!({ "size": 3 }));
    let twice =
        r#"{"apiVersion":"lab.example.com/v1","kind":"Lab","metadata":{"name":"b"},"spec":{"size":1,"size":2}}"#;
    let twice = server.send("POST", &format!("{LABS}?fieldValidation=Strict"), &[], twice).await;
    assert!(twice.body.contains("duplicate field"), "{}", twice.body);
    let invalid = server.post(LABS, &json!({ "apiVersion": "lab.example.com/v1", "kind": "Lab", "metadata": { "name": "c" }, "spec": { "size": -1 } })).await;
    assert_eq!((invalid.status, &invalid.json()["details"]["causes"][0]["field"]), (422, &json!("spec.size")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_owned() {
    let server = Server::start().await;
    let one = format!("{LABS}/a");
    let apply = |manager: &str, size: u32, force: bool| {
        let path = format!("{one}?fieldManager={manager}&force={force}");
        let mut body = lab("a");
        body["spec"]["size"] = json!(size);
        let server = &server;
        async move { server.patch(&path, APPLY, &body).await }
    };
    assert_eq!(apply("m1", 1, false).await.status, 201);
    let same = apply("m1", 1, false).await;
    assert_eq!(same.status, 200);
    let conflict = apply("m2", 2, false).await;
    let status = conflict.json();
    assert_eq!((conflict.status, &status["details"]["causes"][0]["reason"]), (409, &json!("FieldManagerConflict")));
    assert_eq!(status["details"]["causes"][0]["field"], ".spec.size");
    let forced = apply("m2", 2, true).await.json();
    assert_eq!(forced["spec"]["size"], 2);
    let unnamed = server.patch(&one, APPLY, &lab("a")).await;
    assert_eq!(unnamed.status, 422, "{unnamed:?}");
    let strategic = server.patch(&one, "application/strategic-merge-patch+json", &json!({})).await;
    assert_eq!(strategic.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_null_holds_where_nothing_is() {
    let server = Server::start().await;
    server.lab("a").await;
    let patch = json!([
        { "op": "test", "path": "/metadata/finalizers", "value": null },
        { "op": "add", "path": "/metadata/finalizers", "value": ["example.com/f"] },
    ]);
    let one = format!("{LABS}/a");
    let patched = server.patch(&one, "application/json-patch+json", &patch).await;
    assert_eq!(patched.json()["metadata"]["finalizers"], json!(["example.com/f"]));
    let refused = server.patch(&one, "application/json-patch+json", &patch).await;
    assert_eq!(refused.status, 422, "it is there now");

    let marked = server.send("DELETE", &one, &[], "{}").await.json();
    assert_eq!((&marked["kind"], &marked["metadata"]["deletionGracePeriodSeconds"]), (&json!("Lab"), &json!(0)));
    let added =
        server.patch(&one, MERGE, &json!({ "metadata": { "finalizers": ["example.com/f", "example.com/g"] } })).await;
    assert_eq!(added.status, 422, "d3");
    server.patch(&one, MERGE, &json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(server.get(&one).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scale_of_an_object_is_read_and_set() {
    let server = Server::start().await;
    server.lab("a").await;
    let scale = format!("{LABS}/a/scale");
    assert_eq!(server.get(&scale).await.json()["spec"]["replicas"], 3);
    let scaled = server.patch(&scale, MERGE, &json!({ "spec": { "replicas": 8 } })).await.json();
    assert_eq!((&scaled["kind"], &scaled["spec"]["replicas"]), (&json!("Scale"), &json!(8)));
    assert_eq!(server.get(&format!("{LABS}/a")).await.json()["spec"]["size"], 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_compare_first_and_collections_go_whole() {
    let server = Server::start().await;
    let created = server.lab("a").await;
    let wrong = json!({ "preconditions": { "uid": "other" } });
    assert_eq!(server.send("DELETE", &format!("{LABS}/a"), &[], &wrong.to_string()).await.status, 409);
    let right = json!({ "preconditions": { "uid": created["metadata"]["uid"], "resourceVersion": version(&created) } });
    assert_eq!(server.send("DELETE", &format!("{LABS}/a"), &[], &right.to_string()).await.status, 200);
    for name in ["b", "c"] {
        server.lab(name).await;
    }
    let deleted = server.send("DELETE", &format!("{LABS}?fieldSelector=metadata.name%3Db"), &[], "").await.json();
    assert_eq!((&deleted["kind"], deleted["items"].as_array().unwrap().len()), (&json!("LabList"), 1));
    assert_eq!(server.get(&format!("{LABS}/c")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_both_groups_are_the_same_objects() {
    let server = Server::start().await;
    let event = json!({
        "metadata": { "name": "a.18eaa8ab0d087727", "namespace": "school" }, "reason": "Said", "note": "hello",
        "regarding": { "kind": "Lab", "name": "a", "namespace": "school" }, "type": "Normal", "action": "Say",
        "eventTime": "2027-01-02T03:04:05.000006Z", "reportingController": "me", "reportingInstance": "me-1",
    });
    let path = "/apis/events.k8s.io/v1/namespaces/school/events";
    let created = server.post(path, &event).await;
    assert_eq!((created.status, &created.json()["apiVersion"]), (201, &json!("events.k8s.io/v1")));
    let found = server.get("/api/v1/namespaces/school/events?fieldSelector=involvedObject.name%3Da").await.json();
    assert_eq!(found["items"][0]["message"], "hello");
    assert_eq!(found["items"][0]["eventTime"], "2027-01-02T03:04:05.000006Z");
    let series = json!({ "series": { "count": 2, "lastObservedTime": "2027-01-02T03:04:06.000007Z" } });
    let patched = server.patch(&format!("{path}/a.18eaa8ab0d087727"), MERGE, &series).await.json();
    assert_eq!((&patched["series"]["count"], &patched["note"]), (&json!(2), &json!("hello")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_held_by_who_wrote_it_last_knowing_it() {
    let server = Server::start().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/school/leases";
    let lease = json!({ "metadata": { "name": "leader" }, "spec": { "holderIdentity": "a", "renewTime": "2027-01-02T03:04:05.000000Z" } });
    let created = server.post(path, &lease).await.json();
    assert_eq!(created["spec"]["renewTime"], "2027-01-02T03:04:05.000000Z");
    let mut taken = created.clone();
    taken["spec"]["holderIdentity"] = json!("b");
    let one = format!("{path}/leader");
    assert_eq!(server.send("PUT", &one, &[], &taken.to_string()).await.status, 200);
    taken["spec"]["holderIdentity"] = json!("c");
    assert_eq!(server.send("PUT", &one, &[], &taken.to_string()).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_negotiated() {
    let server = Server::start().await;
    server.lab("a").await;
    let accept = |value: &'static str| [("accept", value)];
    let table = server.send("GET", LABS, &accept("application/json;as=Table;v=v1;g=meta.k8s.io"), "").await.json();
    assert_eq!((&table["kind"], &table["rows"][0]["cells"][1]), (&json!("Table"), &json!("3")));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial = accept("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
    let list = server.send("GET", LABS, &partial, "").await.json();
    assert_eq!((&list["kind"], list["items"][0].get("spec")), (&json!("PartialObjectMetadataList"), None));
    assert_eq!(server.send("GET", LABS, &accept("text/html"), "").await.status, 406);
    assert_eq!(server.send("GET", LABS, &accept("application/json, */*;q=0.8"), "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_say_what_is_served() {
    let server = Server::start().await;
    for path in [
        "/version",
        "/version/",
        "/apis/",
        "/api",
        "/api/v1",
        "/apis/lab.example.com",
        "/openapi/v3",
        "/readyz",
        "/metrics",
    ] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/readyz").await.body, "ok");
    assert!(server.get("/readyz?verbose").await.body.contains("[+]store ok"));
    assert_eq!(server.get("/readyz/store").await.status, 200);
    let v2 = server.get("/openapi/v2").await.json();
    assert_eq!(v2["definitions"]["com.example.lab.v1.Lab"]["properties"]["spec"]["type"], "object", "{v2}");
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let encoded = server.send("GET", "/openapi/v2", &[("accept", protobuf)], "").await;
    assert!(encoded.status == 200 && encoded.head.contains(&protobuf.replace('@', ".")), "{}", encoded.head);
    assert_eq!(server.send("GET", "/openapi/v2", &[("accept", "text/html")], "").await.status, 406);
    assert_eq!(server.get("/apis/nobody.example.com/v1").await.json()["kind"], "Status");
    let index = server.get("/openapi/v3").await.json();
    let url = index["paths"]["apis/lab.example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = server.get(&url).await.json();
    let patch = &document["paths"]["/apis/lab.example.com/v1/namespaces/{namespace}/labs/{name}"]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"), "{patch}");
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Lab");
    let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let groups = server.send("GET", "/apis", &[("accept", aggregated)], "").await;
    assert!(groups.head.contains("as=apigroupdiscoverylist"), "{}", groups.head);
    assert_eq!(groups.json()["kind"], "APIGroupDiscoveryList");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_sites_page_is_refused() {
    let server = Server::start().await;
    let rebound = server.raw(b"GET /api HTTP/1.1\r\nhost: rebound.example.com\r\nconnection: close\r\n\r\n").await;
    assert_eq!(rebound.status, 403);
    assert_eq!(server.send("GET", LABS, &[("origin", "https://example.com")], "").await.status, 403);
}
