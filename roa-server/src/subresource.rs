//! [`Subresource`]: a part of objects that the store does not hold, and the program tells: what a process has written, why
//! an object is as it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use roa_core::{DynamicObject, Error, KindDescriptor};
use serde_json::Value as Json;
use thiserror::Error;

use crate::http::{ApiError, Query};

/// A part of objects that is read at `…/PLURAL/NAME/PART`, as `pods/log` is. Roles allow `get` on `PLURAL/PART`;
/// discovery and OpenAPI name it.
///
/// ```
/// use roa_core::KindDescriptor;
/// use roa_server::{Subresource, SubresourceAnswer, SubresourceError, SubresourceRequest};
///
/// #[derive(Debug)]
/// struct Greeting;
///
/// #[async_trait::async_trait]
/// impl Subresource for Greeting {
///     fn name(&self) -> &'static str {
///         "greeting"
///     }
///
///     fn description(&self) -> &'static str {
///         "What an object says to who reads it."
///     }
///
///     fn is_of(&self, kind: &KindDescriptor) -> bool {
///         &*kind.group == "example.com"
///     }
///
///     async fn read(&self, asked: SubresourceRequest) -> Result<SubresourceAnswer, SubresourceError> {
///         Ok(SubresourceAnswer::text(format!("hello from {}\n", asked.object.metadata.name)))
///     }
/// }
/// ```
#[async_trait]
pub trait Subresource: fmt::Debug + Send + Sync + 'static {
    /// Its name in paths and roles.
    fn name(&self) -> &'static str;

    /// What it is, for the API's description.
    fn description(&self) -> &'static str;

    /// Whether objects of a kind have it.
    fn is_of(&self, kind: &KindDescriptor) -> bool;

    /// The type of its answers.
    fn media(&self) -> SubresourceMedia {
        SubresourceMedia::Text
    }

    /// The parameters of its query.
    fn parameters(&self) -> &'static [SubresourceParameter] {
        &[]
    }

    /// Reads it. The object is there, and whoever asks may read this part of it.
    ///
    /// # Errors
    /// What the client is told instead.
    ///
    /// # Cancel safety
    /// Dropped when the client goes, or takes longer than a request may; it must change nothing.
    async fn read(&self, asked: SubresourceRequest) -> Result<SubresourceAnswer, SubresourceError>;
}

/// In what an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubresourceMedia {
    /// Text for people.
    Text,
    /// One JSON value.
    Json,
}

/// A parameter of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubresourceParameter {
    /// Its name.
    pub name: &'static str,
    /// Its type in OpenAPI: `boolean`, `integer` or `string`.
    pub kind: &'static str,
    /// What it does.
    pub description: &'static str,
}

/// What is asked for.
#[derive(Debug)]
#[non_exhaustive]
pub struct SubresourceRequest {
    /// The kind of the object.
    pub kind: Arc<KindDescriptor>,
    /// The object, as it is stored.
    pub object: DynamicObject,
    query: Query,
}

impl SubresourceRequest {
    pub(crate) const fn new(kind: Arc<KindDescriptor>, object: DynamicObject, query: Query) -> Self {
        Self { kind, object, query }
    }

    /// Whether a flag is `true`.
    ///
    /// # Errors
    /// [`SubresourceError::BadRequest`] if it is neither set nor not.
    pub fn flag(&self, name: &str) -> Result<bool, SubresourceError> {
        self.query.flag(name).map_err(|error| SubresourceError::bad_parameter(&error))
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// [`SubresourceError::BadRequest`] if it is none.
    pub fn number(&self, name: &str) -> Result<Option<u64>, SubresourceError> {
        self.query.number(name).map_err(|error| SubresourceError::bad_parameter(&error))
    }
}

/// What is answered.
pub struct SubresourceAnswer(pub(crate) Content);

pub(crate) enum Content {
    Whole(Bytes),
    /// It ends when the server stops, or the client may no longer read it.
    Coming(BoxStream<'static, Bytes>),
}

impl SubresourceAnswer {
    /// Text that is there.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self(Content::Whole(text.into()))
    }

    /// A JSON value.
    #[must_use]
    pub fn json(value: &Json) -> Self {
        Self(Content::Whole(value.to_string().into()))
    }

    /// Text that comes piece by piece, each sent as soon as it is there. It has a place among the watches as long as it
    /// lasts.
    #[must_use]
    pub fn coming(pieces: BoxStream<'static, Bytes>) -> Self {
        Self(Content::Coming(pieces))
    }
}

impl fmt::Debug for SubresourceAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Whole(bytes) => write!(f, "SubresourceAnswer({} bytes)", bytes.len()),
            Content::Coming(_) => f.write_str("SubresourceAnswer(a stream)"),
        }
    }
}

/// Why it can't be read. The text is told to the client.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubresourceError {
    /// The object has no such part now.
    #[error("{0}")]
    NotFound(String),
    /// A parameter means nothing.
    #[error("{0}")]
    BadRequest(String),
    /// It may be there later.
    #[error("{0}")]
    Unavailable(String),
    /// The store answered that.
    #[error(transparent)]
    Store(#[from] Error),
}

impl SubresourceError {
    fn bad_parameter(error: &ApiError) -> Self {
        Self::BadRequest(error.message().to_owned())
    }
}
