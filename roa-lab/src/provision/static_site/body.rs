//! [`FileBody`]: what an answer carries.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

/// How much of a file is in memory at once, per connection.
const CHUNK: usize = 64 << 10;

/// A few words, or a file that is read as it is sent.
#[derive(Debug)]
pub(super) enum FileBody {
    Text(Option<Bytes>),
    File { file: File, left: u64 },
}

impl FileBody {
    pub(super) const fn empty() -> Self {
        Self::Text(None)
    }

    pub(super) const fn text(text: &'static str) -> Self {
        Self::Text(Some(Bytes::from_static(text.as_bytes())))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::File { left: 0, .. } => Poll::Ready(None),
            Self::File { file, left } => {
                let chunk = ready!(poll_chunk(file, *left, cx));
                Poll::Ready(Some(chunk.inspect(|chunk| *left -= chunk.len() as u64).map(Frame::data)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Text(text) => text.as_ref().map_or(0, |text| text.len() as u64),
            Self::File { left, .. } => *left,
        })
    }
}

/// The next part of the file, never more than was promised.
fn poll_chunk(file: &mut File, left: u64, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
    let mut memory = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
    let mut buffer = ReadBuf::new(&mut memory);
    ready!(Pin::new(file).poll_read(cx, &mut buffer))?;
    let length = buffer.filled().len();
    if length == 0 {
        // The promised length was sent already: the answer must not look whole.
        return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter")));
    }
    memory.truncate(length);
    Poll::Ready(Ok(memory.into()))
}
