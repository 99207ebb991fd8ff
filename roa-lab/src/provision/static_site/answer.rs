//! [`answer`]: what a request gets.

use std::io;
use std::path::Path;

use hyper::header::{ALLOW, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use hyper::http::response::Builder;
use hyper::{Method, Response, StatusCode};
use tokio::fs::File;

use super::body::FileBody;
use super::paths::{Target, content_type, resolve};

const TEXT: &str = "text/plain; charset=utf-8";

/// The answer to a request for `path`. Never fails: what goes wrong is an answer as well.
pub(super) async fn answer(root: &Path, method: &Method, path: &str) -> Response<FileBody> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let refused = Response::builder().header(ALLOW, "GET, HEAD");
        return words(refused, StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    let answer = match resolve(root, path).await {
        Ok(Target::File(file)) => contents(&file).await,
        Ok(Target::Directory) => {
            let moved = Response::builder().header(LOCATION, format!("{path}/"));
            Ok(words(moved, StatusCode::MOVED_PERMANENTLY, "it is a directory\n"))
        }
        Ok(Target::Nothing) => Ok(words(Response::builder(), StatusCode::NOT_FOUND, "not found\n")),
        Err(error) => Err(error),
    };
    // Details of the system are no business of who asks.
    let failed = |_| words(Response::builder(), StatusCode::INTERNAL_SERVER_ERROR, "can't be read\n");
    answer.unwrap_or_else(failed)
}

async fn contents(path: &Path) -> io::Result<Response<FileBody>> {
    let file = File::open(path).await?;
    let left = file.metadata().await?.len();
    Ok(finish(Response::builder().header(CONTENT_TYPE, content_type(path)), FileBody::File { file, left }))
}

fn words(answer: Builder, status: StatusCode, text: &'static str) -> Response<FileBody> {
    finish(answer.status(status).header(CONTENT_TYPE, TEXT), FileBody::text(text))
}

fn finish(answer: Builder, body: FileBody) -> Response<FileBody> {
    answer.header(X_CONTENT_TYPE_OPTIONS, "nosniff").body(body).unwrap_or_else(|_| {
        // A location that no header can carry; no request line could either.
        let mut unusable = Response::new(FileBody::empty());
        *unusable.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        unusable
    })
}
