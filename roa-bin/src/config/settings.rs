//! [`Config`]: everything that can be configured, as plain data. `roa.toml` beside the crate explains each key to users.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use roa_core::HumanDuration;
use roa_server::ApiLimits;
use roa_server::audit::AuditConfig;
use roa_server::auth::{AuthConfig, Authorization};
use roa_server::tls::TlsConfig;
use serde::{Deserialize, Serialize};

use super::secret::{Secret, SecretUrl};

/// The whole configuration. Each field is a key or a table of `roa.toml`, by the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where `roa` keeps what outlives it: labs' directories, the node's id, its sockets.
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreConfig,
    pub(crate) log: LogConfig,
    pub(crate) admin: AdminConfig,
    pub(crate) server: ServerConfig,
    pub(crate) runtime: RuntimeConfig,
    pub(crate) watch: WatchConfig,
    pub(crate) engine: EngineConfig,
    pub(crate) namespaces: NamespacesConfig,
    pub(crate) oscillation: OscillationConfig,
    pub(crate) cloudevents: CloudEventsConfig,
    pub(crate) lease: LeaseConfig,
    pub(crate) lab: LabConfig,
    pub(crate) time: TimeConfig,
}

/// `[store]`: where resources are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreConfig {
    pub(crate) backend: StoreBackend,
    pub(crate) memory: MemoryStoreConfig,
    pub(crate) sqlite: SqliteStoreConfig,
    pub(crate) redis: RedisStoreConfig,
}

/// Which store holds the resources. One variant for each backend that this binary contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreBackend {
    /// In a file: the default.
    Sqlite,
    /// In Redis: shared by the processes of many machines.
    Redis,
    /// In memory: gone when `roa` ends.
    Memory,
}

/// `[store.memory]`: how much of its change log the memory store keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemoryStoreConfig {
    pub(crate) log_max_batches: usize,
    pub(crate) log_max_bytes: usize,
    pub(crate) log_min_age: HumanDuration,
}

/// `[store.sqlite]`: which file, how durable, which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqliteStoreConfig {
    pub(crate) path: PathBuf,
    pub(crate) durability: SqliteDurability,
    pub(crate) max_bytes: u64,
    pub(crate) log_max_batches: u64,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_min_age: HumanDuration,
    pub(crate) readers: NonZeroUsize,
    pub(crate) busy_timeout: HumanDuration,
}

/// When a commit is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SqliteDurability {
    /// When the disk has it.
    PowerLoss,
    /// When the operating system has it.
    ProcessCrash,
}

/// `[store.redis]`: which server, how to reach it, which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisStoreConfig {
    pub(crate) url: SecretUrl,
    pub(crate) name: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) password_file: Option<PathBuf>,
    /// `HOST:PORT`, several with commas between them.
    pub(crate) sentinels: Option<String>,
    pub(crate) sentinel_service: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) connect_timeout: HumanDuration,
    pub(crate) response_timeout: HumanDuration,
    pub(crate) wait_replicas: u32,
    pub(crate) wait_timeout: HumanDuration,
    pub(crate) strict: bool,
    pub(crate) require_persistence: bool,
    pub(crate) refuse_eviction: bool,
    pub(crate) log_max_batches: u64,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_min_age: HumanDuration,
    pub(crate) block: HumanDuration,
}

/// `[log]`: what is logged to stderr, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    pub(crate) format: LogFormat,
    /// Directives of `tracing-subscriber`'s `EnvFilter`, such as `info,roa=debug`.
    pub(crate) filter: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[admin]`: health and metrics, on a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminConfig {
    pub(crate) socket: PathBuf,
}

/// `[server]`: the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    /// An address and a port, or a Unix socket as `unix:PATH`; empty for no server.
    pub(crate) listen: String,
    pub(crate) authorization: Authorization,
    pub(crate) tls: TlsConfig,
    pub(crate) auth: AuthConfig,
    pub(crate) audit: AuditConfig,
    pub(crate) limits: ServerLimits,
}

/// `[server.limits]`: what clients can take of the API at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerLimits {
    pub(crate) connections: usize,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    pub(crate) watches: usize,
    /// Of one user, where users are recognised.
    pub(crate) requests_per_user: usize,
    pub(crate) watches_per_user: usize,
}

/// `[runtime]`: how controllers are driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeConfig {
    pub(crate) shutdown_grace: HumanDuration,
    pub(crate) reconcile_timeout: HumanDuration,
    /// Reconciles of one controller at a time.
    pub(crate) workers: usize,
    pub(crate) retry_base: HumanDuration,
    pub(crate) retry_max: HumanDuration,
    pub(crate) max_retries: u32,
    pub(crate) max_panics: u32,
    /// So many retries for a hundred runs that are none, …
    pub(crate) retry_budget_percent: u32,
    /// … and so many in a second in any case, …
    pub(crate) retry_budget_per_second: u32,
    /// … and so many at once after a quiet time.
    pub(crate) retry_budget_burst: u32,
}

/// `[watch]`: how changes are seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatchConfig {
    pub(crate) kind: WatchKind,
    pub(crate) poll_interval: HumanDuration,
    pub(crate) max_watchers: usize,
    pub(crate) ring_max_batches: usize,
    pub(crate) ring_max_bytes: usize,
}

/// Which watcher feeds the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatchKind {
    /// The store's change feed.
    Stream,
    /// Lists at an interval.
    Poll,
}

/// `[engine]`: how the processes that share a store divide the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineConfig {
    pub(crate) mode: EngineMode,
    pub(crate) shard_by: ShardBy,
}

/// `[namespaces]`: where objects may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamespacesConfig {
    /// Only in namespaces that somebody created.
    pub(crate) strict: bool,
}

/// `[oscillation]`: when writers that change a field back and forth are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OscillationConfig {
    pub(crate) window: HumanDuration,
    pub(crate) status_turns: u32,
    pub(crate) max_fields: usize,
}

/// `[cloudevents]`: who is told of every change of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloudEventsConfig {
    pub(crate) sink: CloudEventsSink,
    pub(crate) path: Option<PathBuf>,
    pub(crate) url: Option<SecretUrl>,
    pub(crate) source: String,
}

/// Where CloudEvents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CloudEventsSink {
    /// Nowhere.
    None,
    /// To the standard output, a line each.
    Stdout,
    /// To the end of a file, a line each.
    File,
    /// To an address, a request each.
    Http,
}

/// How many of the processes that share a store work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineMode {
    /// One, on a store that several can share; on another there is only one.
    Auto,
    /// There is only one, and nothing is asked of the store about that.
    Single,
    /// One.
    Leader,
    /// All, each with a part of the objects.
    Sharded,
}

/// What decides which part an object is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShardBy {
    /// Its namespace and name.
    Object,
    /// Its namespace.
    Namespace,
}

/// `[lease]`: how long a process that vanished is waited for. Checked together: invariant L3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseConfig {
    pub(crate) duration: HumanDuration,
    pub(crate) renew_deadline: HumanDuration,
    pub(crate) retry_period: HumanDuration,
}

/// `[lab]`: the policies of the lab domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabConfig {
    pub(crate) profile: Profile,
    pub(crate) poll_interval: HumanDuration,
    pub(crate) sweep_interval: HumanDuration,
    pub(crate) provisioning_timeout: HumanDuration,
    pub(crate) max_retries: u32,
    pub(crate) retry_backoff: HumanDuration,
    pub(crate) default_duration: HumanDuration,
    pub(crate) cleanup_grace: HumanDuration,
    pub(crate) max_concurrent_provisionings: usize,
    pub(crate) breaker_failures: u32,
    pub(crate) breaker_open_for: HumanDuration,
    /// Calls of one provisioner at a time, …
    pub(crate) bulkhead_calls: usize,
    /// … how many more may wait for a place, …
    pub(crate) bulkhead_waiting: usize,
    /// … and how long each.
    pub(crate) bulkhead_wait: HumanDuration,
    pub(crate) concurrency: ConcurrencyConfig,
    pub(crate) worker: WorkerConfig,
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) components: ComponentsConfig,
}

/// A named set of defaults. A key that is set anywhere wins over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Quick to notice: for one's own machine.
    Development,
    /// Fewer polls and sweeps: for many labs.
    Production,
    /// Between the two.
    Default,
}

impl Profile {
    /// The profile of that name in `roa.toml`.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Development, Self::Production, Self::Default].into_iter().find(|profile| profile.name() == name)
    }

    /// Its name in `roa.toml`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Production => "production",
            Self::Default => "default",
        }
    }

    const fn poll_interval(self) -> Duration {
        match self {
            Self::Development => Duration::from_secs(1),
            Self::Production => Duration::from_secs(5),
            Self::Default => Duration::from_secs(2),
        }
    }

    const fn sweep_interval(self) -> Duration {
        match self {
            Self::Development => Duration::from_secs(5),
            Self::Production => Duration::from_secs(30),
            Self::Default => Duration::from_secs(10),
        }
    }
}

/// `[lab.concurrency]`: how many objects each controller handles at a time; what is absent is `runtime.workers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcurrencyConfig {
    pub(crate) labs: Option<usize>,
    pub(crate) workers: Option<usize>,
    pub(crate) pools: Option<usize>,
}

/// `[lab.scheduler]`: which of several workers a lab gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulerConfig {
    pub(crate) strategy: SchedulerStrategy,
    /// For `random`.
    pub(crate) seed: u64,
}

/// By which rule a worker is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SchedulerStrategy {
    /// The fullest that has room.
    BestFit,
    /// The one with the least given away.
    LeastUtilized,
    /// The one with the fewest labs.
    LeastLabs,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

/// `[lab.worker]`: the capacity of the implicit local worker, and how often declared ones give a sign of life. What is
/// absent of the capacity is taken from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerConfig {
    /// A quantity, such as `8` or `500m`.
    pub(crate) cpu: Option<String>,
    /// A quantity, such as `16Gi`.
    pub(crate) memory: Option<String>,
    pub(crate) max_labs: Option<usize>,
    pub(crate) heartbeat: HumanDuration,
}

/// `[lab.components]`: which parts run. All of them, unless somebody debugs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComponentsConfig {
    pub(crate) watcher: bool,
    pub(crate) controller: bool,
    pub(crate) reconciler: bool,
    pub(crate) provisioner: bool,
}

/// `[time]`: the clock of the domain. Input, output and leases always run on real time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeConfig {
    /// Seconds of the domain that pass in one real second.
    pub(crate) scale: u32,
}

impl TimeConfig {
    /// The scale as a whole number; the configuration takes no less than 1.
    pub(crate) fn scale(&self) -> NonZeroU32 {
        NonZeroU32::new(self.scale.max(1)).unwrap_or(NonZeroU32::MIN)
    }
}

impl Config {
    /// The directory of [`Config::data_dir`] by default, in the current one.
    pub(crate) const DATA_DIR: &'static str = "roa-data";

    /// The defaults. Two keys decide the defaults of others: `lab.profile` those of the intervals, `data_dir` that of
    /// `admin.socket`.
    pub(crate) fn defaults(profile: Profile, data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_path_buf(),
            store: StoreConfig::defaults(data_dir),
            log: LogConfig::default(),
            admin: AdminConfig { socket: data_dir.join("admin.sock") },
            server: ServerConfig::default(),
            runtime: RuntimeConfig::default(),
            watch: WatchConfig::default(),
            engine: EngineConfig { mode: EngineMode::Auto, shard_by: ShardBy::Object },
            namespaces: NamespacesConfig { strict: false },
            oscillation: OscillationConfig { window: seconds(60), status_turns: 10, max_fields: 16_384 },
            cloudevents: CloudEventsConfig::default(),
            lease: LeaseConfig::default(),
            lab: LabConfig::defaults(profile),
            time: TimeConfig { scale: 1 },
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::defaults(Profile::Default, Path::new(Self::DATA_DIR))
    }
}

impl StoreConfig {
    fn defaults(data_dir: &Path) -> Self {
        let memory = MemoryStoreConfig { log_max_batches: 100_000, log_max_bytes: 64 << 20, log_min_age: seconds(75) };
        let sqlite = SqliteStoreConfig {
            path: data_dir.join("roa.db"),
            durability: SqliteDurability::PowerLoss,
            max_bytes: 8 << 30,
            log_max_batches: 100_000,
            log_max_bytes: 512 << 20,
            log_min_age: seconds(75),
            readers: NonZeroUsize::MIN.saturating_add(3),
            busy_timeout: seconds(5),
        };
        Self { backend: StoreBackend::Sqlite, memory, sqlite, redis: RedisStoreConfig::default() }
    }
}

impl Default for RedisStoreConfig {
    fn default() -> Self {
        Self {
            url: SecretUrl::new("redis://localhost:6379"),
            name: "default".to_owned(),
            username: None,
            password: None,
            password_file: None,
            sentinels: None,
            sentinel_service: "mymaster".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            connect_timeout: seconds(5),
            response_timeout: seconds(5),
            wait_replicas: 0,
            wait_timeout: seconds(1),
            strict: false,
            require_persistence: false,
            refuse_eviction: true,
            log_max_batches: 100_000,
            log_max_bytes: 256 << 20,
            log_min_age: seconds(75),
            block: seconds(1),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            authorization: Authorization::None,
            tls: TlsConfig::default(),
            auth: AuthConfig::default(),
            audit: AuditConfig::default(),
            limits: ServerLimits::default(),
        }
    }
}

impl ServerLimits {
    /// Puts them where the server reads them.
    pub(crate) const fn put_in(self, limits: &mut ApiLimits) {
        limits.connections = self.connections;
        limits.reads = self.reads;
        limits.writes = self.writes;
        limits.watches = self.watches;
        limits.requests_per_user = self.requests_per_user;
        limits.watches_per_user = self.watches_per_user;
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        let limits = ApiLimits::default();
        Self {
            connections: limits.connections,
            reads: limits.reads,
            writes: limits.writes,
            watches: limits.watches,
            requests_per_user: limits.requests_per_user,
            watches_per_user: limits.watches_per_user,
        }
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            shutdown_grace: seconds(30),
            reconcile_timeout: seconds(60),
            workers: 16,
            retry_base: HumanDuration(Duration::from_millis(100)),
            retry_max: seconds(300),
            max_retries: 15,
            max_panics: 3,
            retry_budget_percent: 20,
            retry_budget_per_second: 50,
            retry_budget_burst: 500,
        }
    }
}

impl Default for CloudEventsConfig {
    fn default() -> Self {
        Self { sink: CloudEventsSink::None, path: None, url: None, source: "/roa".to_owned() }
    }
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            kind: WatchKind::Stream,
            poll_interval: seconds(2),
            max_watchers: 10_000,
            ring_max_batches: 65_536,
            ring_max_bytes: 64 << 20,
        }
    }
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { duration: seconds(15), renew_deadline: seconds(10), retry_period: seconds(2) }
    }
}

impl LabConfig {
    fn defaults(profile: Profile) -> Self {
        Self {
            profile,
            poll_interval: HumanDuration(profile.poll_interval()),
            sweep_interval: HumanDuration(profile.sweep_interval()),
            provisioning_timeout: seconds(300),
            max_retries: 3,
            retry_backoff: seconds(30),
            default_duration: seconds(3600),
            cleanup_grace: seconds(300),
            max_concurrent_provisionings: 10,
            breaker_failures: 5,
            breaker_open_for: seconds(30),
            bulkhead_calls: 32,
            bulkhead_waiting: 64,
            bulkhead_wait: seconds(1),
            concurrency: ConcurrencyConfig { labs: None, workers: None, pools: None },
            worker: WorkerConfig { cpu: None, memory: None, max_labs: None, heartbeat: seconds(10) },
            scheduler: SchedulerConfig { strategy: SchedulerStrategy::BestFit, seed: 0 },
            components: ComponentsConfig { watcher: true, controller: true, reconciler: true, provisioner: true },
        }
    }
}

fn seconds(seconds: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_changes_only_the_intervals() {
        let dir = Path::new("d");
        let (default, development) =
            (Config::defaults(Profile::Default, dir), Config::defaults(Profile::Development, dir));
        let mut expected = default;
        expected.lab.profile = Profile::Development;
        expected.lab.poll_interval = seconds(1);
        expected.lab.sweep_interval = seconds(5);
        assert_eq!(development, expected);
        let production = Config::defaults(Profile::Production, dir).lab;
        assert_eq!((production.poll_interval, production.sweep_interval), (seconds(5), seconds(30)));
    }

    #[test]
    fn names_of_profiles_are_those_of_the_file() {
        for profile in [Profile::Development, Profile::Production, Profile::Default] {
            assert_eq!(serde_json::to_value(profile).unwrap(), profile.name());
            assert_eq!(Profile::named(profile.name()), Some(profile));
        }
        assert_eq!(Profile::named("staging"), None);
    }

    #[test]
    fn the_admin_socket_stands_in_the_data_directory_by_default() {
        assert_eq!(Config::defaults(Profile::Default, Path::new("/x")).admin.socket, Path::new("/x/admin.sock"));
    }
}
