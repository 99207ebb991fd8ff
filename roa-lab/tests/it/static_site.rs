//! The static site, over real sockets.

use std::fs;
use std::net::SocketAddr;

use roa_lab::provision::{StaticSite, StaticSiteError, serve_static};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::http;

/// A site that is served for as long as it lives.
struct Served {
    _server: JoinSet<()>,
    address: SocketAddr,
    _root: TempDir,
}

async fn served() -> Served {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("index.html"), "<p>hello</p>").unwrap();
    fs::create_dir(root.path().join("css")).unwrap();
    fs::write(root.path().join("css/site.css"), "p {}").unwrap();
    fs::write(root.path().join("large.bin"), vec![b'x'; 300_000]).unwrap();
    fs::write(root.path().join("empty.txt"), "").unwrap();
    let site = StaticSite::bind(root.path(), 0).await.unwrap();
    let address = site.address();
    let mut server = JoinSet::new();
    server.spawn(async {
        site.serve().await.unwrap();
    });
    Served { _server: server, address, _root: root }
}

async fn ask(site: &Served, line: &str) -> String {
    http(site.address, &format!("{line} HTTP/1.1\r\nhost: test\r\n\r\n")).await
}

#[tokio::test]
async fn files_come_with_their_type_and_length() {
    let site = served().await;
    let page = ask(&site, "GET /").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n<p>hello</p>"), "{page}");
    assert!(page.contains("content-type: text/html; charset=utf-8\r\n"), "{page}");
    assert!(page.contains("content-length: 12\r\n") && page.contains("x-content-type-options: nosniff"), "{page}");
    let style = ask(&site, "GET /css/site.css?v=1").await;
    assert!(style.contains("text/css") && style.ends_with("p {}"), "{style}");
    let empty = ask(&site, "GET /empty.txt").await;
    assert!(empty.starts_with("HTTP/1.1 200") && empty.contains("content-length: 0\r\n"), "{empty}");
}

#[tokio::test]
async fn a_file_larger_than_a_chunk_arrives_whole() {
    let answer = ask(&served().await, "GET /large.bin").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 300000"), "{head}");
    assert_eq!((body.len(), body.bytes().all(|byte| byte == b'x')), (300_000, true));
}

#[tokio::test]
async fn head_has_the_same_headers_and_no_body() {
    let answer = ask(&served().await, "HEAD /").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 12\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn other_methods_are_refused_by_name() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(&served().await, &format!("{method} /")).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn t11_nothing_outside_of_the_directory_is_served() {
    let site = served().await;
    for path in ["/../Cargo.toml", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd", "/none"] {
        let answer = ask(&site, &format!("GET {path}")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_directory_moves_to_where_its_links_hold() {
    let site = served().await;
    let answer = ask(&site, "GET /css").await;
    assert!(answer.starts_with("HTTP/1.1 301") && answer.contains("location: /css/\r\n"), "{answer}");
    assert!(ask(&site, "GET /css/").await.starts_with("HTTP/1.1 404"), "it has no index");
}

#[tokio::test]
async fn t10_headers_without_end_are_cut_off() {
    let site = served().await;
    let endless = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(20 << 10));
    assert!(http(site.address, &endless).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn t10_a_request_that_never_ends_loses_its_connection() {
    let site = served().await;
    let answer = http(site.address, "GET / HTTP/1.1\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn what_can_not_be_served_is_named() {
    let missing = StaticSite::bind("/nowhere/at/all".as_ref(), 0).await.unwrap_err();
    assert!(missing.to_string().starts_with("serve directory /nowhere/at/all: "), "{missing}");
    let site = served().await;
    let taken = serve_static(&std::env::temp_dir(), site.address.port()).await.unwrap_err();
    assert!(matches!(taken, StaticSiteError::Listen { .. }), "{taken}");
}
