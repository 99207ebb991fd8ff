//! [`probe`]: asking a lab over its real socket whether it is ready. [`Looks`]: how often.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::provision::Readiness;

/// When labs that start were asked last, by uid: no more than there are labs. After a restart they are asked at once.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: Mutex<HashMap<String, Instant>>,
}

impl Looks {
    /// Whether the last look is a period ago; then this is one.
    pub(super) fn is_due(&self, uid: &str, period: Duration) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.get(uid).is_none_or(|last| last.elapsed() >= period);
        if is_due {
            last.insert(uid.to_owned(), Instant::now());
        }
        is_due
    }

    pub(super) fn forget(&self, uid: &str) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Succeeds if the lab is ready; else says what came instead. Takes no longer than the readiness' time-out.
pub(super) async fn probe(readiness: &Readiness, address: SocketAddr) -> Result<(), String> {
    let limit = readiness.timeout;
    let asked = async {
        match &readiness.http_get {
            Some(path) => judge(path, get(address, path).await?),
            None => connect(address).await.map(drop),
        }
    };
    timeout(limit.0, asked).await.unwrap_or_else(|_| Err(format!("no answer from {address} within {limit}")))
}

fn judge(path: &str, status: StatusCode) -> Result<(), String> {
    let ready = status.is_success() || status.is_redirection();
    if ready { Ok(()) } else { Err(format!("GET {path} answered {status}")) }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| format!("connect to {address}: {error}"))
}

/// The status of the answer; its body is not read.
async fn get(address: SocketAddr, path: &str) -> Result<StatusCode, String> {
    let failed = |error: hyper::Error| format!("GET {path} from {address}: {error}");
    let stream = connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = Request::get(path)
        .header(HOST, address.to_string())
        .header(USER_AGENT, "roa-probe")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("GET {path}: {error}"))?;
    let mut answer = pin!(sender.send_request(request));
    let mut connection = pin!(connection);
    let mut closed = false;
    loop {
        // The answer first: a server may close the connection in the same moment as it answers.
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map(|answer| answer.status()).map_err(failed),
            result = &mut connection, if !closed => {
                result.map_err(failed)?;
                closed = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use roa_core::HumanDuration;

    use super::*;

    fn http() -> Readiness {
        let timeout = HumanDuration(Duration::from_secs(10));
        Readiness { http_get: Some("/ok?a=b".into()), timeout, ..Readiness::default() }
    }

    /// Answers one connection with these bytes, and hands back what it was asked.
    fn server(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_status_of_two_or_three_hundred_is_ready() {
        for status in ["200 OK", "204 No Content", "302 Found"] {
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").leak();
            let (address, asked) = server(answer);
            assert_eq!(probe(&http(), address).await, Ok(()), "{status}");
            let asked = asked.join().unwrap().to_ascii_lowercase();
            assert!(
                asked.starts_with("get /ok?a=b http/1.1") && asked.contains(&format!("host: {address}")),
                "{asked}"
            );
        }
    }

    #[tokio::test]
    async fn any_other_answer_is_not_and_is_named() {
        let (address, _asked) = server("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(probe(&http(), address).await.unwrap_err(), "GET /ok?a=b answered 503 Service Unavailable");
        let (address, _asked) = server("this is not HTTP\r\n\r\n");
        assert!(probe(&http(), address).await.unwrap_err().starts_with("GET /ok?a=b from"));
        let (address, _asked) = server("");
        assert!(probe(&http(), address).await.is_err());
    }

    #[tokio::test]
    async fn a_port_is_ready_when_it_takes_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(probe(&Readiness::default(), address).await, Ok(()));
        drop(listener);
        assert!(probe(&Readiness::default(), address).await.unwrap_err().contains("connect to"));
    }

    #[test]
    fn a_lab_is_not_asked_more_often_than_its_period_says() {
        let looks = Looks::default();
        assert!(looks.is_due("a", Duration::MAX) && looks.is_due("b", Duration::MAX));
        assert!(!looks.is_due("a", Duration::MAX), "it was just now");
        assert!(looks.is_due("a", Duration::ZERO));
        looks.forget("a");
        assert!(looks.is_due("a", Duration::MAX) && !looks.is_due("b", Duration::MAX));
    }

    #[tokio::test]
    async fn silence_ends_with_the_time_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let readiness = Readiness { timeout: HumanDuration(Duration::from_millis(30)), ..http() };
        let reason = probe(&readiness, listener.local_addr().unwrap()).await.unwrap_err();
        assert!(reason.contains("within 30ms"), "{reason}");
    }
}
