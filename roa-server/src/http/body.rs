//! [`Input`]: the body of a request: not too much of it, and as a tree.

use std::error::Error as StdError;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::Value as Json;

use super::{ApiError, json, protobuf};

/// Bytes of a body at most. More than a store takes, so that the store's own answer is told for what is just too large.
pub(crate) const MAX_BODY: usize = 3 << 20;

/// The media types of objects.
const OBJECTS: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// A body that was read.
#[derive(Debug)]
pub(crate) struct Input {
    /// Without parameters, in lower case; empty if the client does not say.
    pub(crate) media: String,
    pub(crate) bytes: Bytes,
}

/// The tree of a body.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) tree: Json,
    /// The paths of keys that are there twice.
    pub(crate) duplicates: Vec<String>,
}

impl Input {
    /// Reads a body.
    ///
    /// # Errors
    /// 413 as soon as it is known to be too large, 400 if the connection fails.
    pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Self, ApiError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX_BODY as u64) {
            return Err(ApiError::too_large(MAX_BODY));
        }
        let collected = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::too_large(MAX_BODY)
            } else {
                ApiError::bad_request("the body could not be read to its end")
            }
        })?;
        let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(Self { media, bytes: collected.to_bytes() })
    }

    /// The object that it holds. A client that does not say what it sends is taken to send JSON.
    ///
    /// # Errors
    /// 415 for another type, 400 for what does not parse.
    pub(crate) fn object(&self) -> Result<Parsed, ApiError> {
        match self.media.as_str() {
            "" | "application/json" | "text/plain" | "application/x-www-form-urlencoded" => self.json(),
            "application/yaml" | "application/x-yaml" | "text/yaml" => self.yaml(),
            protobuf::MEDIA => {
                let tree = protobuf::decode(&self.bytes).map_err(ApiError::unsupported_media_type_because)?;
                Ok(Parsed { tree, duplicates: Vec::new() })
            }
            _ => Err(ApiError::unsupported_media_type(OBJECTS)),
        }
    }

    /// # Errors
    /// 400 for what is no JSON.
    pub(crate) fn json(&self) -> Result<Parsed, ApiError> {
        let (tree, duplicates) =
            json::parse(&self.bytes).map_err(|error| ApiError::bad_request(format!("the body is no JSON: {error}")))?;
        Ok(Parsed { tree, duplicates })
    }

    /// # Errors
    /// 400 for what is no YAML, or too much of it: aliases and nesting have a budget.
    pub(crate) fn yaml(&self) -> Result<Parsed, ApiError> {
        let text = std::str::from_utf8(&self.bytes).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
        // JSON first: it is faster, it is what clients really send, and it names what is there twice.
        if text.trim_start().starts_with('{') {
            return self.json();
        }
        let tree = serde_saphyr::from_str(text)
            .map_err(|error| ApiError::bad_request(format!("the body is no YAML: {error}")))?;
        Ok(Parsed { tree, duplicates: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn input(media: &str, bytes: &[u8]) -> Input {
        Input { media: media.to_owned(), bytes: Bytes::copy_from_slice(bytes) }
    }

    #[tokio::test]
    async fn t4_a_body_that_is_too_large_is_refused_before_it_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, (100_u64 << 20).into());
        let endless = Full::new(Bytes::new());
        assert_eq!(Input::read(&headers, endless).await.unwrap_err().code, 413);
        let silent = Full::new(Bytes::from(vec![b' '; MAX_BODY + 1]));
        assert_eq!(Input::read(&HeaderMap::new(), silent).await.unwrap_err().code, 413);
    }

    #[test]
    fn objects_come_in_several_types_and_without_one() {
        for (media, text) in [("", "{\"a\":1}"), ("application/json", "{\"a\":1}"), ("application/yaml", "a: 1")] {
            assert_eq!(input(media, text.as_bytes()).object().unwrap().tree["a"], 1, "{media}");
        }
        assert_eq!(input("application/xml", b"<a/>").object().unwrap_err().code, 415);
    }

    #[test]
    fn t6_a_bomb_of_aliases_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 9].join(", "));
        }
        assert_eq!(input("application/yaml", bomb.as_bytes()).object().unwrap_err().code, 400);
    }

    #[test]
    fn what_is_no_utf8_is_refused() {
        assert_eq!(input("application/json", b"{\"a\":\"\xff\"}").object().unwrap_err().code, 400);
        assert_eq!(input("application/yaml", b"a: \xff").object().unwrap_err().code, 400);
    }
}
