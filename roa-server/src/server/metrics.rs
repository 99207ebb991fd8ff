//! [`ApiMetrics`]: what a server counts, and what `/metrics` says.

use std::fmt;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::http::{Answer, ApiError, answer};

/// What a server counts, and what `/metrics` says. Clones count together.
#[derive(Clone, Default)]
pub struct ApiMetrics {
    requests: Family<RequestLabels, Counter>,
    scrape: Option<Arc<Registry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    code: u16,
}

impl ApiMetrics {
    /// Registers what is counted.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("requests", "Requests that were answered, by method and code", this.requests.clone());
        this
    }

    /// The same, with a registry for `/metrics` to show.
    #[must_use]
    pub fn showing(mut self, registry: Arc<Registry>) -> Self {
        self.scrape = Some(registry);
        self
    }

    pub(crate) fn note(&self, method: &Method, code: StatusCode) {
        let method = match *method {
            Method::GET => "get",
            Method::POST => "post",
            Method::PUT => "put",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        self.requests.get_or_create(&RequestLabels { method, code: code.as_u16() }).inc();
    }

    pub(crate) fn encode(&self) -> Result<Answer, ApiError> {
        let registry = self.scrape.as_ref().ok_or_else(ApiError::no_such_path)?;
        let mut text = String::new();
        encode(&mut text, registry).map_err(|error| {
            tracing::error!(%error, "failed to encode the metrics");
            ApiError::internal("the metrics could not be encoded")
        })?;
        Ok(answer::bytes(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", text))
    }
}

impl fmt::Debug for ApiMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiMetrics")
    }
}
