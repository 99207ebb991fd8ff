//! [`Post`]: posts CloudEvents to one address, without encryption: a receiver on this machine or in the same network.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use roa_runtime::HttpPost;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one post may take, from the connection to the answer's head.
const DEADLINE: Duration = Duration::from_secs(10);

/// Posts to one address, each time on a connection of its own.
#[derive(Debug)]
pub(super) struct Post {
    host: String,
    port: u16,
    target: String,
}

impl Post {
    /// Posts to a URL such as `http://localhost:8080/events`.
    ///
    /// # Errors
    /// What is wrong with it, without itself: it may hold a secret.
    pub(super) fn to(url: &str) -> Result<Self, &'static str> {
        let url: Uri = url.parse().map_err(|_| "is no URL")?;
        if url.scheme_str() != Some("http") {
            return Err("expected one that begins with http://: what is posted is not encrypted");
        }
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or("expected a host, and no user and password")?;
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let (host, port) = (authority.host().to_owned(), authority.port_u16().unwrap_or(80));
        Ok(Self { host, port, target: target.to_owned() })
    }

    async fn answer(&self, content_type: &str, body: Bytes) -> Result<u16, String> {
        let failed = |what: &str, error: &dyn std::error::Error| format!("{what} {}:{}: {error}", self.host, self.port);
        let host = self.host.trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await.map_err(|error| failed("connect to", &error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed("talk to", &error))?;
        let request = Request::post(&self.target)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .map_err(|error| failed("post to", &error))?;
        let mut answered = pin!(sender.send_request(request));
        let answer = tokio::select! {
            answer = &mut answered => answer,
            // It drives the connection; what was answered before it ended is there.
            _ = connection => answered.await,
        };
        answer.map(|answer| answer.status().as_u16()).map_err(|error| failed("post to", &error))
    }
}

#[async_trait]
impl HttpPost for Post {
    async fn post(&self, content_type: &str, body: Bytes) -> Result<u16, String> {
        let answer = timeout(DEADLINE, self.answer(content_type, body)).await;
        answer.unwrap_or_else(|_| Err(format!("post to {}:{}: no answer within {DEADLINE:?}", self.host, self.port)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_no_plain_address_is_refused_without_showing_it() {
        for wrong in ["https://example.com/", "http://ann:canary@example.com/", "example.com", "http://"] {
            let error = Post::to(wrong).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
        let post = Post::to("http://localhost/a?b=c").unwrap();
        assert_eq!((post.host.as_str(), post.port, post.target.as_str()), ("localhost", 80, "/a?b=c"));
    }

    #[tokio::test]
    async fn a_post_brings_the_body_and_gives_the_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let post = Post::to(&format!("http://{}/events", listener.local_addr().unwrap())).unwrap();
        let receiver = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"hello") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        };
        let (request, status) = tokio::join!(receiver, post.post("text/plain", Bytes::from_static(b"hello")));
        assert_eq!(status, Ok(202));
        assert!(
            request.starts_with("POST /events HTTP/1.1\r\n") && request.contains("content-type: text/plain"),
            "{request}"
        );
    }
}
