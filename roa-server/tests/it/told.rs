//! Parts of objects that the program tells, not the store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use roa_core::{Clock, KindDescriptor};
use roa_runtime::{SystemClock, Tasks};
use roa_server::auth::{AuthConfig, AuthMetrics, Authenticator, MASTERS, NewToken, Rbac};
use roa_server::tls::TlsConfig;
use roa_server::{
    ApiConfig, ApiSecurity, Subresource, SubresourceAnswer, SubresourceError, SubresourceParameter, SubresourceRequest,
};
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{BOUND, LABS, Server};

/// What a lab has said: a greeting, and with `follow` another one that never ends.
#[derive(Debug)]
struct Speech;

#[async_trait]
impl Subresource for Speech {
    fn name(&self) -> &'static str {
        "speech"
    }

    fn description(&self) -> &'static str {
        "What a lab has said."
    }

    fn is_of(&self, kind: &KindDescriptor) -> bool {
        &*kind.plural == "labs"
    }

    fn parameters(&self) -> &'static [SubresourceParameter] {
        &[SubresourceParameter { name: "follow", kind: "boolean", description: "Go on." }]
    }

    async fn read(&self, asked: SubresourceRequest) -> Result<SubresourceAnswer, SubresourceError> {
        let name = &asked.object.metadata.name;
        if asked.number("silent")?.is_some() {
            return Err(SubresourceError::NotFound(format!("{name} has said nothing")));
        }
        let greeting = Bytes::from(format!("hello from {name}\n"));
        Ok(if asked.flag("follow")? {
            SubresourceAnswer::coming(stream::iter([greeting]).chain(stream::pending()).boxed())
        } else {
            SubresourceAnswer::text(greeting)
        })
    }
}

async fn start() -> Server {
    let mut config = ApiConfig::default();
    config.limits.watches = 1;
    Server::telling(config, ApiSecurity::open(), vec![Arc::new(Speech)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_read_where_objects_have_it_and_nothing_else_is_done_to_it() {
    let server = start().await;
    server.lab("a").await;
    let part = format!("{LABS}/a/speech");
    let told = server.get(&part).await;
    assert_eq!((told.status, told.body.as_str()), (200, "hello from a\n"));
    assert!(told.head.contains("content-type: text/plain"), "{}", told.head);
    for (method, path, code) in [
        ("GET", format!("{LABS}/b/speech"), 404),
        ("GET", format!("{part}?silent=1"), 404),
        ("GET", format!("{part}?follow=perhaps"), 400),
        ("GET", format!("{part}?watch=true"), 405),
        ("PUT", part.clone(), 405),
        ("DELETE", part.clone(), 405),
        ("GET", "/api/v1/namespaces/school/speech".to_owned(), 404),
        ("GET", format!("{LABS}/a/song"), 404),
    ] {
        let reply = server.send(method, &path, &[], "").await;
        assert_eq!((reply.status, &reply.json()["kind"]), (code, &json!("Status")), "{method} {path}");
    }
    assert_eq!(server.get(&format!("{part}?silent=1")).await.json()["message"], "a has said nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_in_discovery_and_in_openapi() {
    let server = start().await;
    let legacy = server.get("/apis/lab.example.com/v1").await.json();
    let entry = legacy["resources"].as_array().unwrap().iter().find(|one| one["name"] == "labs/speech").unwrap();
    assert_eq!((&entry["kind"], &entry["verbs"]), (&json!("Lab"), &json!(["get"])));
    let aggregated = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let groups = server.send("GET", "/apis", &aggregated, "").await.body;
    assert!(groups.contains("\"subresource\":\"speech\""), "{groups}");
    let path = "/apis/lab.example.com/v1/namespaces/{namespace}/labs/{name}/speech";
    for document in ["/openapi/v3/apis/lab.example.com/v1", "/openapi/v2"] {
        let told = server.get(document).await.json()["paths"][path]["get"].clone();
        assert_eq!(
            (&told["description"], &told["parameters"][0]["name"]),
            (&json!("What a lab has said."), &json!("follow"))
        );
    }
}

/// Begins to follow, and reads until the greeting has come.
async fn follow(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET {LABS}/a/speech?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("hello from a\n") {
        let mut piece = [0; 1_024];
        let read = timeout(BOUND, stream.read(&mut piece)).await.expect("it says something").unwrap();
        assert!(read > 0, "it ended: {}", seen.escape_ascii());
        seen.extend_from_slice(&piece[..read]);
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn t9_a_part_that_comes_has_a_place_among_the_watches_and_ends_with_the_server() {
    let server = start().await;
    server.lab("a").await;
    let mut following = follow(&server).await;
    assert_eq!(server.get(&format!("{LABS}/a/speech?follow=true")).await.status, 429);
    server.stop.cancel();
    let mut rest = Vec::new();
    timeout(BOUND, following.read_to_end(&mut rest)).await.expect("it ends").unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "{}", rest.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_allows_a_part_apart_from_the_object() {
    let home = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let admin = NewToken::generate("root", &[MASTERS.to_owned()]).unwrap();
    let alice = NewToken::generate("alice", &[]).unwrap();
    let tokens = home.path().join("tokens");
    crate::access::write_private(&tokens, &format!("{}\n{}\n", admin.line, alice.line));
    let mut auth = AuthConfig::default();
    auth.tokens_file = Some(tokens);
    let known = Authenticator::open(&auth, &TlsConfig::default(), Arc::clone(&clock), AuthMetrics::default()).unwrap();
    let roles = Rbac::new();
    let security = ApiSecurity::open().authenticated_by(Arc::new(known)).authorized_by(roles.clone());
    let server = Server::telling(ApiConfig::default(), security, vec![Arc::new(Speech)]).await;
    let (tasks, follower, hub) = (Tasks::new("roles", 1), roles.clone(), server.hub.clone());
    tasks.spawn("roles", async move { follower.run(&hub, &*clock).await.unwrap() }).unwrap();
    timeout(BOUND, roles.ready()).await.unwrap();
    let bearer = |token: &NewToken| format!("Bearer {}", token.token.expose_secret());
    let (admin, alice) = (bearer(&admin), bearer(&alice));
    let send = async |who: &str, method: &str, path: &str, body: &Json| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        server.send(method, path, &[("authorization", who)], &body).await
    };
    assert_eq!(send(&admin, "POST", LABS, &crate::support::lab("a")).await.status, 201);
    let part = format!("{LABS}/a/speech");
    let refused = send(&alice, "GET", &part, &Json::Null).await;
    assert!(refused.status == 403 && refused.body.contains("cannot get resource \\\"labs/speech\\\""), "{refused:?}");
    let rule = json!({ "apiGroups": ["lab.example.com"], "resources": ["labs/speech"], "verbs": ["get"] });
    let place = "/apis/rbac.authorization.k8s.io/v1/namespaces/school";
    let role = json!({ "metadata": { "name": "system:hears" }, "rules": [rule] });
    assert_eq!(send(&admin, "POST", &format!("{place}/roles"), &role).await.status, 201);
    let binding = json!({
        "metadata": { "name": "hears" }, "subjects": [{ "kind": "User", "name": "alice" }],
        "roleRef": { "kind": "Role", "name": "system:hears", "apiGroup": "rbac.authorization.k8s.io" },
    });
    assert_eq!(send(&admin, "POST", &format!("{place}/rolebindings"), &binding).await.status, 201);
    assert_eq!(send(&alice, "GET", &part, &Json::Null).await.body, "hello from a\n");
    assert_eq!(send(&alice, "GET", &format!("{LABS}/a"), &Json::Null).await.status, 403);
}
