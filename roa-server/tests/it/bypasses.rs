//! What somebody might try to get past the rules.

use std::sync::Arc;
use std::time::Duration;

use roa_server::auth::{AuthConfig, AuthMetrics, Authenticator};
use roa_server::tls::TlsConfig;
use roa_server::{ApiConfig, ApiSecurity};
use serde_json::{Value as Json, json};

use crate::access::{Guarded, write_private};
use crate::support::{LABS, Server, lab};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Lets alice do what a cluster role says: in the namespace `school`, or everywhere.
async fn allow(guarded: &Guarded, name: &str, rules: Json, everywhere: bool) {
    let role = json!({ "metadata": { "name": name }, "rules": rules });
    let made = guarded.send(&guarded.admin, "POST", &format!("{RBAC}/clusterroles"), &role).await;
    assert_eq!(made.status, 201, "{made:?}");
    bind(guarded, name, name, everywhere).await;
}

async fn bind(guarded: &Guarded, name: &str, role: &str, everywhere: bool) {
    let binding = json!({
        "metadata": { "name": name }, "subjects": [{ "kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io" }],
        "roleRef": { "kind": "ClusterRole", "name": role, "apiGroup": "rbac.authorization.k8s.io" },
    });
    let path = if everywhere { "clusterrolebindings" } else { "namespaces/school/rolebindings" };
    let bound = guarded.send(&guarded.admin, "POST", &format!("{RBAC}/{path}"), &binding).await;
    assert_eq!(bound.status, 201, "{bound:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_a_selector_gives_no_name_to_what_is_written() {
    let guarded = Guarded::start().await;
    let rule = json!([{ "apiGroups": ["*"], "resources": ["labs"], "resourceNames": ["mine"], "verbs": ["*"] }]);
    allow(&guarded, "mine", rule, true).await;
    for query in ["", "?fieldSelector=metadata.name%3Dmine"] {
        let made = guarded.send(&guarded.alice, "POST", &format!("{LABS}{query}"), &lab("evil")).await;
        assert_eq!(made.status, 403, "{query}: {made:?}");
        let gone = guarded.send(&guarded.alice, "DELETE", &format!("{LABS}{query}"), &Json::Null).await;
        assert_eq!(gone.status, 403, "{query}: {gone:?}");
    }
    let mine = format!("{LABS}?fieldSelector=metadata.name%3Dmine");
    assert_eq!(
        guarded.send(&guarded.alice, "GET", &mine, &Json::Null).await.status,
        200,
        "a list of the one that may be seen"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_a_namespace_in_a_role_of_the_cluster_gives_nothing() {
    let guarded = Guarded::start().await;
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    allow(&guarded, "everything", everything.clone(), false).await;
    let rule = json!([{ "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterrolebindings", "clusterroles"], "verbs": ["get", "create", "update", "patch"] }]);
    allow(&guarded, "writes-bindings", rule, true).await;
    let theirs = json!({
        "metadata": { "name": "theirs" }, "subjects": [{ "kind": "Group", "name": "ops", "apiGroup": "rbac.authorization.k8s.io" }],
        "roleRef": { "kind": "ClusterRole", "name": "everything", "apiGroup": "rbac.authorization.k8s.io" },
    });
    let bindings = format!("{RBAC}/clusterrolebindings");
    assert_eq!(guarded.send(&guarded.admin, "POST", &bindings, &theirs).await.status, 201);
    let path = format!("{bindings}/theirs");
    let subject = json!({ "kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io" });
    let mut grown = guarded.send(&guarded.admin, "GET", &path, &Json::Null).await.json();
    grown["subjects"] = json!([subject.clone()]);
    for namespace in ["", "school"] {
        grown["metadata"]["namespace"] = json!(namespace);
        let put = guarded.send(&guarded.alice, "PUT", &path, &grown).await;
        assert_eq!(put.status, 403, "{put:?}");
        let merged = json!({ "metadata": { "namespace": namespace }, "subjects": [subject] }).to_string();
        for media in ["application/merge-patch+json", "application/apply-patch+yaml"] {
            let mut body: Json = serde_json::from_str(&merged).unwrap();
            if media.contains("apply") {
                body["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
                body["kind"] = json!("ClusterRoleBinding");
                body["metadata"]["name"] = json!("theirs");
                body["roleRef"] = grown["roleRef"].clone();
            }
            let headers = [("authorization", guarded.alice.as_str()), ("content-type", media)];
            let asked = format!("{path}?fieldManager=evil&force=true");
            let patched = guarded.server.send("PATCH", &asked, &headers, &body.to_string()).await;
            assert_eq!(patched.status, 403, "{media}: {patched:?}");
        }
        let role = json!({ "metadata": { "name": "own", "namespace": namespace }, "rules": everything });
        let made = guarded.send(&guarded.alice, "POST", &format!("{RBAC}/clusterroles"), &role).await;
        assert_eq!(made.status, 403, "{made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t2_who_asks_in_a_name_that_is_not_ascii_is_not_taken_for_themselves() {
    let guarded = Guarded::start().await;
    let ask = |value: &'static [u8]| {
        let head = format!(
            "GET {LABS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: {}\r\nimpersonate-user: ",
            guarded.admin
        );
        let request = [head.as_bytes(), value, b"\r\n\r\n"].concat();
        let server = &guarded.server;
        async move { server.raw(&request).await }
    };
    let refused = ask("jürgen".as_bytes()).await;
    assert!(refused.status == 403 && refused.body.contains("jürgen"), "{refused:?}");
    assert_eq!(ask(b"j\xfcrgen").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_pages_of_others_are_refused_wherever_somebody_who_shows_nothing_is_let_in() {
    let home = tempfile::tempdir().unwrap();
    let tokens = home.path().join("tokens");
    write_private(&tokens, "");
    let mut auth = AuthConfig::default();
    (auth.tokens_file, auth.anonymous) = (Some(tokens), true);
    let clock = Arc::new(roa_runtime::SystemClock::new());
    let known = Authenticator::open(&auth, &TlsConfig::default(), clock, AuthMetrics::default()).unwrap();
    let server = Server::secured(ApiConfig::default(), ApiSecurity::open().authenticated_by(Arc::new(known))).await;
    let page =
        [("origin", "https://evil.example.com"), ("sec-fetch-site", "cross-site"), ("content-type", "text/plain")];
    assert_eq!(server.send("POST", LABS, &page, &lab("a").to_string()).await.status, 403);
    assert_eq!(server.post(LABS, &lab("a")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_deletion_whose_options_are_not_understood_deletes_nothing() {
    let server = Server::start().await;
    server.lab("a").await;
    let path = format!("{LABS}/a");
    let wrong = [
        json!({ "dryRun": "All" }),
        json!({ "dryRun": true }),
        json!({ "preconditions": { "resourceVersion": 5 } }),
        json!({ "preconditions": { "uid": 7 } }),
        json!({ "preconditions": ["x"] }),
        json!({ "propagationPolicy": 3 }),
        json!({ "orphanDependents": "true" }),
        json!({ "gracePeriodSeconds": "0" }),
        json!(["All"]),
        json!("All"),
    ];
    for options in wrong {
        for path in [&path, &LABS.to_owned()] {
            let answered = server.send("DELETE", path, &[], &options.to_string()).await;
            assert_eq!(answered.status, 400, "{options}: {answered:?}");
        }
        assert_eq!(server.get(&path).await.status, 200, "{options}");
    }
    let all = server.send("DELETE", "/api/v1/namespaces?dryRun=All", &[], "").await;
    assert_eq!(all.status, 405, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_an_answer_tells_the_id_by_which_the_audit_log_knows_its_request() {
    let guarded = Guarded::start().await;
    let made = guarded.send(&guarded.admin, "POST", LABS, &lab("a")).await;
    let id = made.head.lines().find_map(|line| line.strip_prefix("audit-id: ")).unwrap().to_owned();
    guarded.audit.flush().await;
    let text = std::fs::read_to_string(guarded.home.path().join("audit.log")).unwrap();
    let line: Json = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["requestId"], json!(id));
    let other = guarded.send("", "GET", LABS, &Json::Null).await;
    assert!(other.head.contains("audit-id: ") && !other.head.contains(&id), "{}", other.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn t18_a_watch_of_one_object_goes_on_as_long_as_it_may_and_ends_with_its_token() {
    let mut config = ApiConfig::default();
    config.bookmark_interval = Duration::from_millis(100);
    let guarded = Guarded::with(config).await;
    let rule = json!([{ "apiGroups": ["*"], "resources": ["labs"], "resourceNames": ["mine"], "verbs": ["watch"] }]);
    allow(&guarded, "mine", rule, true).await;
    // As `kubectl wait` and `kubectl get --watch NAME` ask.
    let path = format!("{LABS}?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3Dmine");
    let mut watch = guarded.server.watch_as(&guarded.alice, &path).await;
    // A change of another object makes the next bookmark a new one; with each, the permission is looked at.
    for number in 0..3 {
        let made = guarded.send(&guarded.admin, "POST", LABS, &lab(&format!("other-{number}"))).await;
        let revision: u64 = made.json()["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        loop {
            let event = watch.next().await.expect("the watch goes on");
            assert_eq!(event["type"], "BOOKMARK", "{event}");
            let told = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
            if told >= revision {
                break;
            }
        }
    }
    guarded.forget_alice();
    let mut last = watch.next().await.unwrap();
    while last["type"] == "BOOKMARK" {
        last = watch.next().await.expect("it ends with an error");
    }
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(401)), "{last}");
    assert!(watch.next().await.is_none());
}
