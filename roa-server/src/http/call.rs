//! [`Call`]: a request that was read.

use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

use super::{Accept, ApiError, Form, IncludeObject, Input, Query};

/// A request that was read: its head understood, its body there.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) input: Input,
}

impl Call {
    pub(crate) fn new(parts: Parts, query: Query, input: Input) -> Self {
        Self { method: parts.method, headers: parts.headers, query, input }
    }

    /// How objects are to be shown.
    ///
    /// # Errors
    /// 406 if the client takes no form that there is.
    pub(crate) fn form(&self) -> Result<Form, ApiError> {
        let include = IncludeObject::parse(self.query.get("includeObject"))?;
        Accept::of(&self.headers).form(include)
    }

    /// Whether the client takes plain JSON.
    pub(crate) fn takes_json(&self) -> bool {
        Accept::of(&self.headers).takes_json()
    }

    /// Whether it asks for a watch.
    pub(crate) fn is_watch(&self) -> bool {
        is_watch(&self.method, &self.query)
    }

    /// The program that asks, as it names itself.
    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.headers.get(USER_AGENT)?.to_str().ok()
    }

    /// What is to be done, in the words of roles.
    pub(crate) fn verb(&self, named: bool) -> &'static str {
        verb(&self.method, named, self.is_watch())
    }
}

/// Whether a request is for a watch. A flag that is not understood is refused where it is read.
pub(crate) fn is_watch(method: &Method, query: &Query) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && query.flag("watch").unwrap_or(false)
}

/// The verb of a request for a resource.
pub(crate) fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method, named) {
        (&Method::GET | &Method::HEAD, _) if watch => "watch",
        (&Method::GET | &Method::HEAD, true) => "get",
        (&Method::GET | &Method::HEAD, false) => "list",
        (&Method::POST, _) => "create",
        (&Method::PUT, _) => "update",
        (&Method::PATCH, _) => "patch",
        (&Method::DELETE, true) => "delete",
        (&Method::DELETE, false) => "deletecollection",
        _ => "unknown",
    }
}
