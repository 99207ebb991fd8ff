//! [`respond`]: what stands at which path, and the bounds within which it is answered.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as HttpBody;
use hyper::header::CONNECTION;
use hyper::{Method, Request, StatusCode};
use roa_core::ClockExt;

use super::call::{is_watch, verb};
use super::{Accept, Answer, ApiError, Call, DiscoveryForm, GroupVersion, Input, Query, Route, answer};
use crate::catalog::Catalog;
use crate::objects::{Objects, Target};
use crate::server::{InFlight, Shared};

/// The types of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Answers a request: within its time, and only so many at once. Nothing is answered without a `Status` that says why.
pub(crate) async fn respond<B>(shared: Arc<Shared>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let method = request.method().clone();
    let outcome = within(&shared, request).await;
    let mut answered = outcome.unwrap_or_else(|error| answer::failure(&error));
    shared.metrics.note(&method, answered.status());
    if answered.status() == StatusCode::PAYLOAD_TOO_LARGE {
        // What else is on its way of the body is not read.
        answered = answer::with_header(answered, CONNECTION, "close");
    }
    Ok(answered)
}

async fn within<B>(shared: &Arc<Shared>, request: Request<B>) -> Result<Answer, ApiError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let route = Route::parse(request.uri().path())?;
    let query = Query::parse(request.uri().query())?;
    let _place = take_place(shared, &route, request.method())?;
    let timeout: Duration = shared.config.limits.request_timeout;
    // A watch is only begun here: its answer's body comes later, without this limit.
    tokio::select! {
        outcome = dispatch(shared, route, query, request) => outcome,
        () = shared.clock.sleep(timeout) => Err(ApiError::timeout(format!(
            "the request was not done within {} s; a write may have been", timeout.as_secs()
        ))),
    }
}

/// A place among the requests that are answered at once. Probes need none: they are to be answered when nothing else is.
fn take_place<'a>(shared: &'a Shared, route: &Route, method: &Method) -> Result<Option<InFlight<'a>>, ApiError> {
    match route {
        Route::Health(..) | Route::Metrics => Ok(None),
        _ => shared.take_place(!matches!(*method, Method::GET | Method::HEAD)).map(Some),
    }
}

async fn dispatch<B>(shared: &Arc<Shared>, route: Route, query: Query, request: Request<B>) -> Result<Answer, ApiError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let catalog = shared.catalog();
    let Route::Resource(path) = route else {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(ApiError::method_not_allowed());
        }
        return documents(shared, &catalog, &route, &Accept::of(&parts.headers), &query);
    };
    query.flag("watch")?;
    let asked = verb(&parts.method, path.name.is_some(), is_watch(&parts.method, &query));
    tracing::trace!(verb = asked, plural = %path.plural, "request");
    let target = Target::find(&catalog, &path)?;
    let input = Input::read(&parts.headers, body).await?;
    let resources = shared.resources.clone().with_kinds(Arc::clone(catalog.kinds()));
    Objects::new(Arc::clone(shared), resources).answer(&target, &Call::new(parts, query, input)).await
}

/// Everything but objects.
fn documents(
    shared: &Shared,
    catalog: &Catalog,
    route: &Route,
    accept: &Accept,
    query: &Query,
) -> Result<Answer, ApiError> {
    match route {
        Route::Root => Ok(answer::json(StatusCode::OK, &serde_json::json!({ "paths": ROOT_PATHS }))),
        Route::Version => Ok(answer::json(StatusCode::OK, &crate::server::version())),
        Route::Health(probe, check) => shared.health(*probe, check.as_deref(), query),
        Route::Metrics => shared.metrics.encode(),
        Route::CoreVersions | Route::Groups => discovery(catalog, *route == Route::CoreVersions, accept),
        Route::Group(group) => found(catalog.group(group).as_ref()),
        Route::Resources(GroupVersion { group, version }) => found(catalog.resource_list(group, version).as_ref()),
        // Clients that ask for it take no other form than protobuf, and go on without it.
        Route::OpenApiV2 => Err(ApiError::not_acceptable("none: OpenAPI is served as v3")),
        Route::OpenApiIndex => json_only(accept, Some(catalog.openapi_index())),
        Route::OpenApi(GroupVersion { group, version }) => json_only(accept, catalog.openapi(group, version)),
        Route::Resource(_) => Err(ApiError::no_such_path()),
    }
}

const ROOT_PATHS: [&str; 9] =
    ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version"];

fn found(document: Option<&serde_json::Value>) -> Result<Answer, ApiError> {
    document.map(|document| answer::json(StatusCode::OK, document)).ok_or_else(ApiError::no_such_path)
}

fn json_only(accept: &Accept, document: Option<Bytes>) -> Result<Answer, ApiError> {
    if !accept.takes_json() {
        return Err(ApiError::not_acceptable(answer::JSON));
    }
    let document = document.ok_or_else(ApiError::no_such_path)?;
    Ok(answer::bytes(StatusCode::OK, answer::JSON, document))
}

fn discovery(catalog: &Catalog, core: bool, accept: &Accept) -> Result<Answer, ApiError> {
    let plain = |core| if core { catalog.core_versions("") } else { catalog.group_list() };
    Ok(answer::varying(match accept.discovery()? {
        DiscoveryForm::Plain => answer::json(StatusCode::OK, &plain(core)),
        DiscoveryForm::Aggregated => answer::bytes(StatusCode::OK, AGGREGATED, catalog.aggregated(core, false)),
        DiscoveryForm::AggregatedBeta => answer::bytes(StatusCode::OK, AGGREGATED_BETA, catalog.aggregated(core, true)),
    }))
}
