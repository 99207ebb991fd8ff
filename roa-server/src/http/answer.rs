//! Answers: a head, and a body that is there at once or comes in pieces.

use std::convert::Infallible;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, WARNING, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::Value as Json;

use super::ApiError;
use crate::auth::unauthorized;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer.
pub(crate) type Answer = Response<Body>;

/// The type of a plain answer.
pub(crate) const JSON: &str = "application/json";
/// Warnings that one answer carries at most.
const MAX_WARNINGS: usize = 50;

/// An answer whose body is there.
pub(crate) fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// An answer in JSON.
pub(crate) fn json(code: StatusCode, body: &Json) -> Answer {
    bytes(code, JSON, body.to_string())
}

/// An answer in plain text.
pub(crate) fn text(code: StatusCode, body: impl Into<Bytes>) -> Answer {
    bytes(code, "text/plain; charset=utf-8", body)
}

/// An answer whose body comes in pieces. Each piece is sent as soon as it is there.
pub(crate) fn stream(content_type: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The answer to a request that can't be done.
pub(crate) fn failure(error: &ApiError) -> Answer {
    let mut answer = json(error.code, &error.to_json());
    if let Some(seconds) = error.retry_after {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.code == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(unauthorized::CHALLENGE));
    }
    answer
}

/// The same answer with warnings, which `kubectl` prints.
pub(crate) fn with_warnings(mut answer: Answer, warnings: &[String]) -> Answer {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        let quoted = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(char::is_control, " ");
        // Text that is no header is left out: it warns of nothing that the client could have meant.
        if let Ok(value) = HeaderValue::try_from(format!("299 - \"{quoted}\"")) {
            answer.headers_mut().append(WARNING, value);
        }
    }
    answer
}

/// The same answer, kept apart by caches for each `Accept`.
pub(crate) fn varying(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

/// Says of an answer that it lasts, and has a place of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting;

/// An answer that goes on as long as there is something to tell. It holds a place among the watches.
pub(crate) fn lasting(content_type: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Answer {
    let mut answer = stream(content_type, pieces);
    answer.extensions_mut().insert(Lasting);
    answer
}

/// The same answer with one more header.
pub(crate) fn with_header(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
