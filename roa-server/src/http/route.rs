//! [`respond`]: what stands at which path, and the bounds within which it is answered.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Body as HttpBody;
use hyper::header::CONNECTION;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use roa_core::ClockExt;
use tracing::Instrument;

use super::call::{is_watch, verb};
use super::{
    Accept, Access, Answer, ApiError, Call, DiscoveryForm, GroupVersion, Input, Lasting, Peer, Query, RequestId, Route,
    Sending, Written, answer,
};
use crate::catalog::{Catalog, PROPER_PROTOBUF_V2, PROTOBUF_V2};
use crate::objects::{Objects, Target};
use crate::server::{InFlight, Shared, UserPlace};
use crate::watch::Permission;

/// The types of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The places that a request has until its answer is sent.
type Places = Option<(InFlight, UserPlace)>;

/// Answers a request: within its time, and only so many at once. Nothing is answered without a `Status` that says why.
pub(crate) async fn respond<B>(shared: Arc<Shared>, peer: Arc<Peer>, request: Request<B>) -> Result<Answer, Infallible>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let method = request.method().clone();
    let id = RequestId::new(&*shared.random);
    let span = tracing::info_span!("request", %id, %method, path = request.uri().path());
    // A panic is an error of its request alone.
    let outcome = AssertUnwindSafe(within(&shared, &id, &peer, request).instrument(span.clone())).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a request panicked"));
        Err(ApiError::internal("an error inside of the server: its log says more"))
    });
    let (answered, places) = outcome.unwrap_or_else(|error| (answer::failure(&error.of_request(&id)), None));
    let mut answered = id.told_in(answered);
    shared.metrics.note(&method, answered.status());
    if matches!(answered.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
        // What else is on its way of the body is not read.
        answered = answer::with_header(answered, CONNECTION, "close");
    }
    Ok(answered.map(|body| Sending::new(body, places).boxed_unsync()))
}

async fn within<B>(
    shared: &Arc<Shared>,
    id: &RequestId,
    peer: &Arc<Peer>,
    request: Request<B>,
) -> Result<(Answer, Places), ApiError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let route = Route::parse(request.uri().path())?;
    let query = Query::parse(request.uri().query())?;
    let (parts, body) = request.into_parts();
    if matches!(route, Route::Health(..)) {
        // To be answered when nothing else is, and to who knows nobody.
        let told = documents(shared, &shared.catalog(), &route, &Accept::of(&parts.headers), &query)?;
        return Ok((told, None));
    }
    let timeout: Duration = shared.config.limits.request_timeout;
    let verb = verb_of(&route, &parts.method, &query)?;
    // Before it takes a place: who can't be recognised keeps nobody else from one.
    let access = Access::ask(&shared.security, peer, &parts, &route, &query, verb).await?;
    let place_of_user = shared.take_place_of(access.permission().user())?;
    let place = shared.take_place(!matches!(parts.method, Method::GET | Method::HEAD))?;
    let audited = access.audited(shared, id, peer, &query);
    // A watch is only begun here: its answer's body comes later, without this limit.
    let outcome = match access.check() {
        Err(refused) => Err(refused),
        Ok(()) => tokio::select! {
            outcome = dispatch(shared, &route, &query, parts, body, access.permission()) => outcome,
            () = shared.clock.sleep(timeout) => Err(ApiError::timeout(format!(
                "the request was not done within {} s; a write may have been", timeout.as_secs()
            ))),
        },
    };
    let answered = outcome.unwrap_or_else(|error| answer::failure(&error.of_request(id)));
    let (code, written) = (answered.status(), answered.extensions().get::<Written>().cloned());
    if let Some(audited) = audited {
        audited.answered(code, written).await;
    }
    // What lasts has places of its own; all else keeps these until it is sent.
    let places = answered.extensions().get::<Lasting>().is_none().then_some((place, place_of_user));
    Ok((answered, places))
}

/// What is to be done, in the words of roles.
fn verb_of(route: &Route, method: &Method, query: &Query) -> Result<&'static str, ApiError> {
    query.flag("watch")?;
    Ok(match (route, method) {
        (Route::Resource(path), method) => verb(method, path.name.is_some(), is_watch(method, query)),
        (_, &Method::GET) => "get",
        (_, &Method::HEAD) => "head",
        (_, &Method::POST) => "post",
        (_, &Method::PUT) => "put",
        (_, &Method::DELETE) => "delete",
        _ => "unknown",
    })
}

async fn dispatch<B>(
    shared: &Arc<Shared>,
    route: &Route,
    query: &Query,
    parts: Parts,
    body: B,
    permission: &Permission,
) -> Result<Answer, ApiError>
where
    B: HttpBody<Data = Bytes> + Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let catalog = shared.catalog();
    let Route::Resource(path) = route else {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(ApiError::method_not_allowed());
        }
        return documents(shared, &catalog, route, &Accept::of(&parts.headers), query);
    };
    let target = Target::find(&catalog, path)?;
    let input = tokio::select! {
        input = Input::read(&parts.headers, body) => input?,
        () = shared.clock.sleep(shared.config.limits.body_timeout) => {
            return Err(ApiError::slow_body(shared.config.limits.body_timeout));
        }
    };
    let resources = shared.resources.clone().with_kinds(Arc::clone(catalog.kinds()));
    let objects = Objects::new(Arc::clone(shared), resources, permission.clone());
    objects.answer(&target, &Call::new(parts, query.clone(), input)).await
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
        Route::OpenApiV2 => openapi_v2(catalog, accept),
        Route::OpenApiIndex => json_only(accept, Some(catalog.openapi_index())),
        Route::OpenApi(GroupVersion { group, version }) => json_only(accept, catalog.openapi(group, version)),
        Route::Resource(_) => Err(ApiError::no_such_path()),
    }
}

const ROOT_PATHS: [&str; 10] =
    ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];

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

fn openapi_v2(catalog: &Catalog, accept: &Accept) -> Result<Answer, ApiError> {
    let protobuf = accept.first_of(&[answer::JSON, PROTOBUF_V2, PROPER_PROTOBUF_V2])? != answer::JSON;
    let media = if protobuf { PROPER_PROTOBUF_V2 } else { answer::JSON };
    Ok(answer::varying(answer::bytes(StatusCode::OK, media, catalog.openapi_v2(protobuf))))
}

fn discovery(catalog: &Catalog, core: bool, accept: &Accept) -> Result<Answer, ApiError> {
    let plain = |core| if core { catalog.core_versions("") } else { catalog.group_list() };
    Ok(answer::varying(match accept.discovery()? {
        DiscoveryForm::Plain => answer::json(StatusCode::OK, &plain(core)),
        DiscoveryForm::Aggregated => answer::bytes(StatusCode::OK, AGGREGATED, catalog.aggregated(core, false)),
        DiscoveryForm::AggregatedBeta => answer::bytes(StatusCode::OK, AGGREGATED_BETA, catalog.aggregated(core, true)),
    }))
}
