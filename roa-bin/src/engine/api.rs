//! The API, while the engine runs.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use roa_core::{Cancellation, Clock, ClockExt, ResourceStore, SystemRandom};
use roa_runtime::{Clocks, SpawnError, Tasks, WatchHub};
use roa_server::audit::{AuditLog, AuditMetrics};
use roa_server::auth::{AuthMetrics, Authenticator, Authorization, ListenPolicy, Listener, Rbac, create_default_roles};
use roa_server::tls::ServerTls;
use roa_server::{
    ApiConfig, ApiListener, ApiMetrics, ApiParts, ApiSecurity, ApiServer, HealthCheck, HealthChecks, Subresource,
};

use crate::admin::{HeldPath, PrivateSocket, Readiness, SocketError};
use crate::client;
use crate::config::ListenAddress;
use crate::config::settings::{Config, ServerConfig, ServerLimits};

/// Where the configuration says where the API is served.
const LISTEN_KEY: &str = "server.listen";

/// How long the server may take to end, beyond what it gives its own connections.
const GRACE: Duration = Duration::from_secs(15);
/// How long to wait before the default roles are written again after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// The server, what recognises users, the roles, the default roles, the certificates.
const TASKS: usize = 5;

/// The server, until it is stopped.
pub(super) struct Api {
    tasks: Tasks,
    audit: Option<AuditLog>,
}

/// What is served.
pub(super) struct Served {
    pub(super) resources: ResourceStore,
    pub(super) hub: WatchHub,
    pub(super) metrics: ApiMetrics,
    pub(super) readiness: Readiness,
    /// Parts of objects that are told, not stored.
    pub(super) subresources: Vec<Arc<dyn Subresource>>,
}

/// What is counted of requests.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    pub(super) requests: ApiMetrics,
    auth: AuthMetrics,
    audit: AuditMetrics,
}

impl Metrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            requests: ApiMetrics::register(registry),
            auth: AuthMetrics::register(registry.sub_registry_with_prefix("auth")),
            audit: AuditMetrics::register(registry.sub_registry_with_prefix("audit")),
        }
    }
}

/// What to do where another `roa` serves the API already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfServed {
    /// It can't be done.
    Fail,
    /// The address is taken when that one ends: of several processes with one configuration, one serves.
    Wait,
}

/// A server that is ready to serve: its address is taken or waited for, its files are read.
pub(super) struct Opened {
    place: Place,
    security: ApiSecurity,
    authenticator: Arc<Authenticator>,
    roles: Option<Rbac>,
    tls: Option<ServerTls>,
    limits: ServerLimits,
}

/// Where the API is served.
enum Place {
    Here(Socket),
    /// Another process serves there now.
    Awaited(ListenAddress),
}

/// What it is served on.
struct Socket {
    listener: ApiListener,
    /// Kept as long as it is.
    path: Option<HeldPath>,
}

/// Why an address can't be taken.
enum Refused {
    /// Somebody else has it.
    InUse(anyhow::Error),
    Other(anyhow::Error),
}

impl Socket {
    async fn bind(address: &ListenAddress) -> Result<Self, Refused> {
        let (taken, error) = match address {
            ListenAddress::Tcp(address) => match ApiListener::bind(*address).await {
                Ok(listener) => return Ok(Self { listener, path: None }),
                Err(error) => (error.source.kind() == ErrorKind::AddrInUse, anyhow::Error::from(error)),
            },
            ListenAddress::Unix(path) => match PrivateSocket::bind(path, LISTEN_KEY).await {
                Ok(socket) => {
                    let (listener, held) = socket.into_parts();
                    let listener = ApiListener::unix(listener, path.clone());
                    return Ok(Self { listener, path: Some(held) });
                }
                Err(error) => (matches!(error, SocketError::InUse { .. }), anyhow::Error::from(error)),
            },
        };
        Err(if taken { Refused::InUse(error) } else { Refused::Other(error) })
    }
}

impl Place {
    async fn take(address: ListenAddress, config: &Config, if_served: IfServed) -> anyhow::Result<Self> {
        let error = match Socket::bind(&address).await {
            Ok(socket) => return Ok(Self::Here(socket)),
            Err(Refused::InUse(_)) if if_served == IfServed::Wait && client::is_served(config).await? => {
                tracing::warn!(%address, "another roa serves the API there; this one does when that ends");
                return Ok(Self::Awaited(address));
            }
            Err(Refused::InUse(error) | Refused::Other(error)) => error,
        };
        Err(error)
            .context("failed to start the API; hint: set `server.listen` to another address, or to \"\" for no API")
    }

    async fn socket(self, clock: &dyn Clock) -> Socket {
        let address = match self {
            Self::Here(socket) => return socket,
            Self::Awaited(address) => address,
        };
        loop {
            clock.sleep(RETRY).await;
            match Socket::bind(&address).await {
                Ok(socket) => return socket,
                Err(Refused::InUse(error) | Refused::Other(error)) => {
                    tracing::debug!(error = format!("{error:#}"), "the API is still served elsewhere");
                }
            }
        }
    }
}

/// Takes the address that is configured, if one is, and reads what the server needs.
///
/// # Errors
/// Somebody else has the address and it is not waited for, or a file can't be used.
pub(super) async fn open(
    config: &Config,
    clocks: &Clocks,
    metrics: &Metrics,
    if_served: IfServed,
) -> anyhow::Result<Option<Opened>> {
    let server = &config.server;
    if server.listen.is_empty() {
        return Ok(None);
    }
    let address = server.listen.parse::<ListenAddress>().map_err(anyhow::Error::msg);
    let address = address.context("failed to read server.listen")?;
    let policy = ListenPolicy { auth: &server.auth, authorization: server.authorization, tls: &server.tls };
    let listener = match &address {
        ListenAddress::Tcp(address) => Listener::Tcp(*address),
        ListenAddress::Unix(path) => Listener::Unix(path),
    };
    for warning in policy.check(listener)? {
        tracing::warn!(%address, "{warning}");
    }
    let place = Place::take(address, config, if_served).await?;
    let (server, data_dir, io) = (server.clone(), config.data_dir.clone(), Arc::clone(&clocks.io));
    let metrics = metrics.clone();
    let read = tokio::task::spawn_blocking(move || read(&server, &data_dir, io, metrics));
    let Read { tls, authenticator, audit } = read.await.context("failed to read the files of the API")??;
    let authenticator = Arc::new(authenticator);
    let mut security = ApiSecurity::open().authenticated_by(Arc::clone(&authenticator));
    let roles = (config.server.authorization == Authorization::Rbac).then(Rbac::new);
    if let Some(roles) = &roles {
        security = security.authorized_by(roles.clone());
    }
    if let Some(audit) = audit {
        security = security.audited_by(audit);
    }
    let limits = config.server.limits;
    Ok(Some(Opened { place, security, authenticator, roles, tls, limits }))
}

/// What is read from files.
struct Read {
    tls: Option<ServerTls>,
    authenticator: Authenticator,
    audit: Option<AuditLog>,
}

fn read(server: &ServerConfig, data_dir: &Path, clock: Arc<dyn Clock>, metrics: Metrics) -> anyhow::Result<Read> {
    let tls = match server.listen.parse() {
        Ok(ListenAddress::Tcp(address)) if server.tls.is_enabled() => {
            Some(ServerTls::open(&server.tls, data_dir, &names(address.ip()))?)
        }
        _ => None,
    };
    let authenticator = Authenticator::open(&server.auth, &server.tls, Arc::clone(&clock), metrics.auth)?;
    let audit = AuditLog::open(&server.audit, clock, metrics.audit)?;
    Ok(Read { tls, authenticator, audit })
}

/// What clients call the server by its address, if it listens on one and not on all.
fn names(listening: IpAddr) -> Vec<String> {
    (!listening.is_unspecified()).then(|| listening.to_canonical().to_string()).into_iter().collect()
}

/// Serves the API until `stop`.
pub(super) fn start(opened: Option<Opened>, served: Served, clocks: &Clocks, stop: Cancellation) -> Api {
    let tasks = Tasks::new("api", TASKS);
    let Some(opened) = opened else { return Api { tasks, audit: None } };
    let Served { resources, hub, metrics, readiness, subresources } = served;
    let health = HealthChecks::new(move || {
        let checks = readiness.all().into_iter();
        checks.map(|(name, failure)| HealthCheck { name: name.to_owned(), failure }).collect()
    });
    let (clock, random) = (Arc::clone(&clocks.io), Arc::new(SystemRandom));
    if let Err(error) = start_followers(&tasks, &opened, &resources, &hub, &clock, &subresources) {
        tracing::error!(%error, "the API is incomplete");
    }
    let Opened { place, security, tls, limits, .. } = opened;
    let audit = security.audit.clone();
    let waiting = Arc::clone(&clock);
    let parts = ApiParts { resources, hub, clock, random, health, metrics, security, subresources };
    let mut config = ApiConfig::default();
    limits.put_in(&mut config.limits);
    let server = ApiServer::new(parts, config);
    let serving = tasks.spawn_draining("server", move |_| async move {
        let Socket { listener, path } = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            socket = place.socket(&*waiting) => socket,
        };
        tracing::info!(address = %listener, tls = tls.is_some(), "serving the API");
        let listener = match tls {
            Some(tls) => listener.over_tls(tls),
            None => listener,
        };
        server.serve(listener, stop).await;
        drop(path);
    });
    if let Err(error) = serving {
        tracing::error!(%error, "the API is not served");
    }
    Api { tasks, audit }
}

/// Starts what keeps tokens, roles and certificates as they are now.
fn start_followers(
    tasks: &Tasks,
    opened: &Opened,
    resources: &ResourceStore,
    hub: &WatchHub,
    clock: &Arc<dyn Clock>,
    subresources: &[Arc<dyn Subresource>],
) -> Result<(), SpawnError> {
    let authenticator = Arc::clone(&opened.authenticator);
    tasks.spawn("users", async move { authenticator.run().await })?;
    if let Some(tls) = opened.tls.clone() {
        let clock = Arc::clone(clock);
        tasks.spawn("certificates", async move { tls.run(&*clock).await })?;
    }
    if let Some(roles) = opened.roles.clone() {
        let (hub, io) = (hub.clone(), Arc::clone(clock));
        tasks.spawn("roles", async move {
            if let Err(error) = roles.run(&hub, &*io).await {
                tracing::error!(%error, "roles are not followed");
            }
        })?;
        let (resources, clock, told) = (resources.clone(), Arc::clone(clock), subresources.to_vec());
        tasks.spawn("default roles", async move {
            while let Err(error) = create_default_roles(&resources, &told).await {
                tracing::warn!(%error, "failed to write the default roles, trying again");
                clock.sleep(RETRY).await;
            }
        })?;
    }
    Ok(())
}

impl Api {
    /// Waits for what is under way, and until the audit log has it.
    pub(super) async fn stop(self, clocks: &Clocks) {
        self.tasks.shutdown(&*clocks.io, GRACE).await;
        let Some(audit) = &self.audit else { return };
        tokio::select! {
            () = audit.flush() => {}
            () = clocks.io.sleep(GRACE) => tracing::error!("the audit log's last records may not be written"),
        }
    }
}
