//! [`RedisConfig`]: which server, how to reach it, and the bounds of what is kept.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use roa_core::Revision;
use secrecy::SecretString;

use crate::OpenError;
use crate::address::Address;

/// How a [`RedisStore`](crate::RedisStore) reaches its server and keeps its log.
///
/// The log forgets its oldest batches when there are more than `log_max_batches` of them or when they have more than
/// `log_max_bytes` together. A batch younger than `log_min_age` stays nevertheless, until the log has twice as many
/// batches or bytes. The newest `min_retain` revisions always stay.
///
/// ```
/// use roa_store_redis::RedisConfig;
/// let config = RedisConfig::new("redis://localhost:6379").name("school").wait_replicas(1);
/// assert_eq!(config.key("log"), "{roa:school}:log");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where the server is: `redis://HOST[:PORT][/DATABASE]`, `rediss://…` for TLS, `unix:///PATH`. With `sentinels`,
    /// only its scheme and database count. Any node of a cluster will do: the one that holds the keys is found.
    pub url: SecretString,
    /// Which store: its keys begin with `{roa:NAME}:`. Letters, digits, `-`, `_` and `.`; `default` by default.
    pub name: String,
    /// The user; that of the URL, or `default`, by default.
    pub username: Option<String>,
    /// The password; that of the URL, or none, by default.
    pub password: Option<SecretString>,
    /// Sentinels as `HOST:PORT`, asked in turn who the primary is.
    pub sentinels: Vec<String>,
    /// The name of the primary in the sentinels' configuration; `mymaster` by default.
    pub sentinel_service: String,
    /// Certificates for `rediss://`.
    pub tls: RedisTls,
    /// How long a connection may take, with TLS and the checks of the server; 5 s by default.
    pub connect_timeout: Duration,
    /// How long an answer may take; 5 s by default.
    pub response_timeout: Duration,
    /// How long one wait for changes takes at most, and so how often the server is asked for signs of a break when
    /// nothing changes; 1 s by default.
    pub block: Duration,
    /// How long to wait before the first and before any later attempt to connect again; from 50 ms to 2 s by default.
    pub reconnect: (Duration, Duration),
    /// How many requests may be under way at a time; 1,024 by default. Further ones wait.
    pub max_in_flight: NonZeroUsize,
    /// How many replicas must have a commit before it is answered; none by default.
    pub wait_replicas: u32,
    /// How long to wait for them; 1 s by default. After that the outcome is unclear.
    pub wait_timeout: Duration,
    /// Whether each commit compares the server's replication id as well, for a server that may be swapped behind a
    /// proxy while the connection lives; off by default: the chain of transactions finds what matters.
    pub strict: bool,
    /// Refuses to open a store that can lose what it acknowledged when the server ends (no append-only file); off by
    /// default: then it is logged.
    pub require_persistence: bool,
    /// Refuses to open a store on a server that may evict keys; on by default.
    pub refuse_eviction: bool,
    /// Whether a store that is not there is made; on by default.
    pub create: bool,
    /// How many batches the log keeps; 100,000 by default.
    pub log_max_batches: u64,
    /// How many bytes of changes the log keeps; 256 MiB by default.
    pub log_max_bytes: u64,
    /// How long a batch is kept beyond these bounds, by the injected clock; 75 s by default.
    pub log_min_age: Duration,
    /// How many of the newest revisions a compaction keeps; 1,000 by default.
    pub min_retain: u64,
    /// How often the log is held against its bounds; 5 s by default.
    pub upkeep_interval: Duration,
    /// How many batches a change feed gives at a time at most; 1,000 by default.
    pub tail_chunk: NonZeroUsize,
    /// How many bytes of the newest batches change feeds find in memory; 16 MiB by default.
    pub recent_max_bytes: usize,
    /// Where the history of a new store begins; by default at [`Revision::opening`]. For tests of what happens near
    /// the last revision.
    pub opening: Option<Revision>,
}

/// Certificates for `rediss://`, as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisTls {
    /// Who vouches for the server; the system's certificates by default.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and its key, where the server asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl RedisConfig {
    /// A store named `default` at this address.
    pub fn new(url: impl Into<String>) -> Self {
        let count = |count: usize| NonZeroUsize::MIN.saturating_add(count - 1);
        Self {
            url: url.into().into(),
            name: "default".to_owned(),
            username: None,
            password: None,
            sentinels: Vec::new(),
            sentinel_service: "mymaster".to_owned(),
            tls: RedisTls::default(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            block: Duration::from_secs(1),
            reconnect: (Duration::from_millis(50), Duration::from_secs(2)),
            max_in_flight: count(1_024),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
            strict: false,
            require_persistence: false,
            refuse_eviction: true,
            create: true,
            log_max_batches: 100_000,
            log_max_bytes: 256 << 20,
            log_min_age: Duration::from_secs(75),
            min_retain: 1_000,
            upkeep_interval: Duration::from_secs(5),
            tail_chunk: count(1_000),
            recent_max_bytes: 16 << 20,
            opening: None,
        }
    }

    /// Which store.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Who logs in.
    #[must_use]
    pub fn credentials(mut self, username: Option<String>, password: Option<SecretString>) -> Self {
        (self.username, self.password) = (username, password);
        self
    }

    /// Sentinels as `HOST:PORT`, and what they call the primary.
    #[must_use]
    pub fn sentinels(mut self, sentinels: Vec<String>, service: impl Into<String>) -> Self {
        (self.sentinels, self.sentinel_service) = (sentinels, service.into());
        self
    }

    /// Who vouches for the server.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.tls.ca_file = Some(file.into());
        self
    }

    /// The client's certificate and its key.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.client = Some((certificate.into(), key.into()));
        self
    }

    /// How long a connection, and then each answer, may take.
    #[must_use]
    pub const fn timeouts(mut self, connect: Duration, response: Duration) -> Self {
        (self.connect_timeout, self.response_timeout) = (connect, response);
        self
    }

    /// How long one wait for changes takes at most.
    #[must_use]
    pub const fn block(mut self, block: Duration) -> Self {
        self.block = block;
        self
    }

    /// How many replicas must have a commit before it is answered.
    #[must_use]
    pub const fn wait_replicas(mut self, replicas: u32) -> Self {
        self.wait_replicas = replicas;
        self
    }

    /// How long to wait for the replicas.
    #[must_use]
    pub const fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.wait_timeout = timeout;
        self
    }

    /// Whether each commit compares the server's replication id.
    #[must_use]
    pub const fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Whether a server without an append-only file is refused.
    #[must_use]
    pub const fn require_persistence(mut self, require: bool) -> Self {
        self.require_persistence = require;
        self
    }

    /// Whether a server that may evict keys is refused.
    #[must_use]
    pub const fn refuse_eviction(mut self, refuse: bool) -> Self {
        self.refuse_eviction = refuse;
        self
    }

    /// Whether a store that is not there is made.
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How many batches the log keeps.
    #[must_use]
    pub const fn log_max_batches(mut self, batches: u64) -> Self {
        self.log_max_batches = batches;
        self
    }

    /// How many bytes of changes the log keeps.
    #[must_use]
    pub const fn log_max_bytes(mut self, bytes: u64) -> Self {
        self.log_max_bytes = bytes;
        self
    }

    /// How long a batch is kept beyond the bounds.
    #[must_use]
    pub const fn log_min_age(mut self, age: Duration) -> Self {
        self.log_min_age = age;
        self
    }

    /// How many of the newest revisions a compaction keeps.
    #[must_use]
    pub const fn min_retain(mut self, revisions: u64) -> Self {
        self.min_retain = revisions;
        self
    }

    /// How often the log is held against its bounds.
    #[must_use]
    pub const fn upkeep_interval(mut self, interval: Duration) -> Self {
        self.upkeep_interval = interval;
        self
    }

    /// How many bytes of the newest batches change feeds find in memory.
    #[must_use]
    pub const fn recent_max_bytes(mut self, bytes: usize) -> Self {
        self.recent_max_bytes = bytes;
        self
    }

    /// Where the history of a new store begins.
    #[must_use]
    pub const fn opening(mut self, revision: Revision) -> Self {
        self.opening = Some(revision);
        self
    }

    /// Whether it can be used, as far as that can be told without a server. Reads the files that it names.
    ///
    /// # Errors
    /// [`OpenError::Config`] says which setting is wrong.
    pub fn check(&self) -> Result<(), OpenError> {
        Address::new(self).map(drop)
    }

    /// The key of one part of the store: all have one hash tag, so that a cluster keeps them together.
    #[must_use]
    pub fn key(&self, part: &str) -> String {
        format!("{{roa:{}}}:{part}", self.name)
    }
}

/// What survives what, as far as the server told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisPersistence {
    /// Nothing survives the server's end but an occasional snapshot.
    None,
    /// An append-only file that is synced each second: a power cut takes the last second, the server's end what it had
    /// not yet written while it was syncing.
    EverySecond,
    /// An append-only file that is synced before each answer.
    Always,
    /// An append-only file; the server does not say when it is synced.
    Unknown,
}

impl fmt::Display for RedisPersistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none (appendonly no)",
            Self::EverySecond => "each second (appendfsync everysec)",
            Self::Always => "each commit (appendfsync always)",
            Self::Unknown => "append-only file, appendfsync unknown",
        })
    }
}
