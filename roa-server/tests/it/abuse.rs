//! What a client may not do to the server: the right refusal, quickly.

use std::time::{Duration, Instant};

use roa_server::ApiConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{BOUND, LABS, Server, lab};

#[tokio::test(flavor = "multi_thread")]
async fn t4_a_body_of_a_hundred_mebibytes_is_refused_before_it_is_read() {
    let server = Server::start().await;
    let begin = Instant::now();
    let head = format!("POST {LABS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{{", 100 << 20);
    assert_eq!(server.raw(head.as_bytes()).await.status, 413);
    assert!(begin.elapsed() < BOUND / 4);
    let unannounced = format!("POST {LABS} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    assert_eq!(server.raw((unannounced + &chunk.repeat(5)).as_bytes()).await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_a_client_that_never_ends_its_head_is_cut() {
    let mut config = ApiConfig::default();
    config.limits.head_timeout = Duration::from_millis(200);
    let server = Server::with(config).await;
    for begin in ["", "GET /api HTTP/1.1\r\nx: "] {
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(begin.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(BOUND, slow.read_to_end(&mut answer)).await.expect("it is cut");
        assert!(read.is_err() || answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{}", answer.escape_ascii());
    }
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t10_heads_are_bounded() {
    let server = Server::start().await;
    let long = format!("GET /api?{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "x".repeat(200 << 10));
    assert!((400..500).contains(&server.raw(long.as_bytes()).await.status));
    let many = "a: b\r\n".repeat(500);
    let many = format!("GET /api HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{many}\r\n");
    assert!((400..500).contains(&server.raw(many.as_bytes()).await.status));
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_bombs_of_depth_are_refused() {
    let server = Server::start().await;
    server.lab("a").await;
    let deep = format!("{{\"spec\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(server.send("POST", LABS, &[], &deep).await.status, 400);
    let merge = [("content-type", "application/merge-patch+json")];
    assert_eq!(server.send("PATCH", &format!("{LABS}/a"), &merge, &deep).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_bombs_of_patches_are_refused() {
    let server = Server::start().await;
    server.lab("a").await;
    let one = format!("{LABS}/a");
    let json_patch = "application/json-patch+json";
    let many = json!(vec![json!({ "op": "test", "path": "/kind", "value": "Lab" }); 10_001]);
    assert_eq!(server.patch(&one, json_patch, &many).await.status, 413);
    let mut doubling =
        vec![json!({ "op": "add", "path": "/metadata/annotations", "value": { "a": "x".repeat(1_000) } })];
    for copy in 0..40 {
        doubling.push(json!({ "op": "copy", "from": "/metadata", "path": format!("/metadata/annotations/b{copy}") }));
    }
    assert_eq!(server.patch(&one, json_patch, &json!(doubling)).await.status, 413);
    assert_eq!(server.patch(&one, json_patch, &json!([{ "op": "jump", "path": "/a" }])).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_text_is_refused() {
    let server = Server::start().await;
    let body = b"{\"kind\":\"\xff\xfe\"}";
    let head = format!(
        "POST {LABS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    assert_eq!(server.raw(&[head.as_bytes(), body].concat()).await.status, 400);
    assert_eq!(server.get(&format!("{LABS}?labelSelector=%ff%fe")).await.status, 400);
    assert_eq!(server.get(&format!("{LABS}/%ff")).await.status, 400);
    assert_eq!(server.send("POST", LABS, &[("content-type", "application/xml")], "<a/>").await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn t11_names_and_tokens_lead_nowhere_else() {
    let server = Server::start().await;
    for path in ["..", "%2e%2e", "a%2Fb", "%00", "a%00b", ".", "%25"] {
        let reply = server.get(&format!("{LABS}/{path}")).await;
        assert!((400..500).contains(&reply.status), "{path}: {reply:?}");
        assert_eq!(reply.json()["kind"], "Status", "{path}");
    }
    let mut named = lab("../escape");
    assert_eq!(server.post(LABS, &named).await.status, 422);
    named["metadata"]["name"] = json!("x".repeat(300));
    assert_eq!(server.post(LABS, &named).await.status, 422);
    for token in ["../../x", "%2e%2e", "eyJ2IjoieCJ9", "null", &"A".repeat(5000)] {
        assert_eq!(server.get(&format!("{LABS}?continue={token}")).await.status, 400, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t9_who_finds_no_place_is_told_when_to_come_back() {
    let mut config = ApiConfig::default();
    config.limits.watches = 1;
    let server = Server::with(config).await;
    let _first = server.watch(&format!("{LABS}?watch=true")).await;
    let second = server.get(&format!("{LABS}?watch=true")).await;
    assert_eq!(second.status, 429);
    assert!(second.head.contains("retry-after: 1"), "{}", second.head);
}

/// It takes nothing of what it asked for: it is cut, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn w14_a_client_that_stops_reading_is_cut() {
    let mut config = ApiConfig::default();
    config.limits.write_timeout = Duration::from_millis(500);
    let server = Server::with(config).await;
    let stalled = server.watch(&format!("{LABS}?watch=true")).await;
    assert_eq!(server.hub.watchers(), 2, "this one, and that of the server itself");
    let mut large = lab("large");
    large["metadata"]["annotations"] = json!({ "x": "y".repeat(200_000) });
    server.post(LABS, &large).await;
    let cut = async {
        while server.hub.watchers() > 1 {
            let change = json!({ "metadata": { "labels": { "at": format!("t{}", server.hub.position().revision) } } });
            let reply = server.patch(&format!("{LABS}/large"), "application/merge-patch+json", &change).await;
            assert_eq!(reply.status, 200, "others go on");
        }
    };
    timeout(BOUND, cut).await.expect("it is cut");
    drop(stalled);
}

/// It announces a body and sends it a byte at a time, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn t10_a_client_that_never_ends_its_body_is_answered_and_cut() {
    let mut config = ApiConfig::default();
    config.limits.request_timeout = Duration::from_millis(200);
    let server = Server::with(config).await;
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST {LABS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{{");
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(BOUND, slow.read_to_end(&mut answer)).await.expect("it is cut");
    assert!(answer.starts_with(b"HTTP/1.1 504"), "{}", answer.escape_ascii());
    assert_eq!(server.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t6_bombs_of_aliases_are_refused() {
    let server = Server::start().await;
    server.lab("a").await;
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = level - 1;
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", "));
    }
    let yaml = [("content-type", "application/yaml")];
    assert_eq!(server.send("POST", LABS, &yaml, &bomb).await.status, 400);
    let apply = [("content-type", "application/apply-patch+yaml")];
    assert_eq!(server.send("PATCH", &format!("{LABS}/a?fieldManager=m"), &apply, &bomb).await.status, 400);
}
