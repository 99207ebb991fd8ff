//! [`routes`]: what is answered where.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use roa_core::Error;
use roa_runtime::Explainer;

use super::readiness::Readiness;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/livez`, `/readyz`, `/metrics` and, where objects can be explained, `/why`.
pub(crate) fn routes(readiness: Readiness, metrics: Arc<Registry>, explainer: Option<Explainer>) -> Router {
    let why = explainer.map_or_else(Router::new, |explainer| {
        let cluster = get(async |State(explainer): State<Explainer>, Path((kind, name)): Path<(String, String)>| {
            why(&explainer, &kind, "", &name).await
        });
        let namespaced = get(
            async |State(explainer): State<Explainer>,
                   Path((kind, namespace, name)): Path<(String, String, String)>| {
                why(&explainer, &kind, &namespace, &name).await
            },
        );
        Router::new()
            .route("/why/{kind}/{name}", cluster)
            .route("/why/{kind}/{namespace}/{name}", namespaced)
            .with_state(explainer)
    });
    Router::new()
        .merge(why)
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let failures = readiness.failures();
    if failures.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, failures.join("\n") + "\n").into_response()
}

async fn scrape(State(metrics): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &metrics) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn why(explainer: &Explainer, kind: &str, namespace: &str, name: &str) -> Response {
    match explainer.explain(kind, namespace, name).await {
        Ok(why) => match serde_json::to_vec(&why) {
            Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        },
        Err(error @ (Error::UnknownKind { .. } | Error::Invalid { .. })) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
