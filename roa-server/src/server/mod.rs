//! [`ApiServer`]: the API of a store, on a socket.

mod config;
mod connection;
mod declared;
mod declared_kinds;
mod health;
mod limits;
mod listen;
mod metrics;
mod patience;
mod security;

use std::sync::{Arc, PoisonError, RwLock};

use roa_core::{Cancellation, CancellationSource, Clock, KindRegistry, Random, ResourceStore, Timestamp};
use roa_runtime::WatchHub;
use serde_json::{Value as Json, json};

pub use config::{ApiConfig, ApiLimits};
pub use declared_kinds::DeclaredKinds;
pub use health::{HealthCheck, HealthChecks};
pub(crate) use limits::{InFlight, UserPlace, WatchPlace};
pub use listen::{ApiListener, ListenError};
pub use metrics::ApiMetrics;
pub use security::ApiSecurity;

use crate::auth::User;
use crate::catalog::Catalog;
use crate::http::ApiError;
use crate::subresource::Subresource;
use crate::watch::Frames;
use limits::Places;

/// The API of a store. A clone is the same server.
#[derive(Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

/// What a server is made of.
#[derive(Debug)]
pub struct ApiParts {
    /// The objects, and the kinds that are served at first.
    pub resources: ResourceStore,
    /// How changes are seen.
    pub hub: WatchHub,
    /// Real time: deadlines of requests.
    pub clock: Arc<dyn Clock>,
    /// What spreads the ends of watches.
    pub random: Arc<dyn Random>,
    /// What `/readyz` says.
    pub health: HealthChecks,
    /// What `/metrics` says.
    pub metrics: ApiMetrics,
    /// Who may reach it.
    pub security: ApiSecurity,
    /// Parts of objects that the program tells.
    pub subresources: Vec<Arc<dyn Subresource>>,
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) config: ApiConfig,
    pub(crate) resources: ResourceStore,
    pub(crate) hub: WatchHub,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) frames: Frames,
    pub(crate) metrics: ApiMetrics,
    pub(crate) security: ApiSecurity,
    subresources: Vec<Arc<dyn Subresource>>,
    health: HealthChecks,
    catalog: RwLock<Arc<Catalog>>,
    places: Places,
    drain: CancellationSource,
}

impl ApiServer {
    /// A server that listens nowhere yet.
    #[must_use]
    pub fn new(parts: ApiParts, config: ApiConfig) -> Self {
        let ApiParts { resources, hub, clock, random, health, metrics, security, subresources } = parts;
        let catalog = Catalog::new(Arc::new(resources.kinds().clone()), &subresources);
        let shared = Shared {
            frames: Frames::new(config.limits.frame_bytes),
            places: Places::new(&config.limits),
            catalog: RwLock::new(Arc::new(catalog)),
            drain: CancellationSource::new(),
            config,
            resources,
            hub,
            clock,
            random,
            metrics,
            security,
            subresources,
            health,
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// The kinds as they are served now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves other kinds from now on. What is being answered goes on with those of before.
    fn set_kinds(&self, kinds: Arc<KindRegistry>) {
        let catalog = Catalog::new(kinds, &self.subresources);
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// The calendar's time, as objects know it.
    pub(crate) fn now(&self) -> Timestamp {
        self.resources.clock().now()
    }

    /// The sign that watches are to end.
    pub(crate) fn draining(&self) -> Cancellation {
        self.drain.token()
    }

    /// A place among the requests that are answered at once.
    pub(crate) fn take_place(&self, mutating: bool) -> Result<InFlight, ApiError> {
        let message = "too many requests at once, please try again later";
        self.places.take(mutating).ok_or_else(|| ApiError::too_many_requests(message))
    }

    /// The user, where users are told apart.
    fn told_apart<'a>(&self, user: &'a User) -> Option<&'a User> {
        Some(user).filter(|_| self.security.recognises_users)
    }

    /// A place among the requests that are answered at once for a user.
    pub(crate) fn take_place_of(&self, user: &User) -> Result<UserPlace, ApiError> {
        let message = "too many requests of this user at once, please try again later";
        self.places.take_of(self.told_apart(user)).ok_or_else(|| ApiError::too_many_requests(message))
    }

    /// A place among the watches, and among those of a user.
    pub(crate) fn take_watch(&self, user: &User) -> Result<WatchPlace, ApiError> {
        let message = "too many watches at once, please try again later";
        self.places.take_watch(self.told_apart(user)).ok_or_else(|| ApiError::too_many_requests(message))
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiServer(over {:?})", self.shared.hub)
    }
}

/// The version of Kubernetes whose conventions are followed: clients compare it with their own.
const MINOR: &str = "32";

/// What `/version` says.
pub(crate) fn version() -> Json {
    let own = env!("CARGO_PKG_VERSION");
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0+roa-{own}"), "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, arch()),
    })
}

/// The machine's name as Go has it.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
