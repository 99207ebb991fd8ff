//! [`ask`]: one question to another `roa` over its admin socket.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long the other may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes of the longest answer.
const MAX_ANSWER: u64 = 16 << 20;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks for a path, whose parts are already encoded.
///
/// # Errors
/// Nobody listens there, or what listens does not answer as it should.
pub(crate) async fn ask(socket: &Path, path: &str) -> io::Result<Answer> {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: roa\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(DEADLINE, asked).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what listens there is no roa"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// A part of a path, with all that is not plain encoded.
pub(crate) fn encode(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    part.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "no\n"));
        assert!(parse("hello").is_none());
    }

    #[test]
    fn a_part_of_a_path_can_be_nothing_else() {
        assert_eq!(encode("a-b.c"), "a-b.c");
        assert_eq!(encode("../x y?"), "..%2Fx%20y%3F");
    }
}
