//! What a server promises: refused where it can't hold a store, told where it holds less than users may expect.

use redis::aio::MultiplexedConnection;
use roa_core::Durability;

use crate::address::Address;
use crate::connect::Server;
use crate::error::{OpenError, RedisStoreError};
use crate::keys::Keys;
use crate::scripts::Scripts;
use crate::shared::invoke;
use crate::{RedisConfig, RedisPersistence};

/// The oldest version that has all commands: `XTRIM MINID` and `ZRANGE BYLEX`.
const OLDEST: (u64, u64) = (6, 2);
/// From which share of its memory on a server is reported, in percent.
const MEMORY_PERCENT: u64 = 80;

/// What was found.
#[derive(Debug, Clone)]
pub(crate) struct Findings {
    pub(crate) persistence: RedisPersistence,
    pub(crate) version: String,
    /// What somebody should look at, and what to do about it.
    pub(crate) warnings: Vec<String>,
}

impl Findings {
    /// What an acknowledged commit survives.
    pub(crate) fn durability(&self, config: &RedisConfig) -> Durability {
        match self.persistence {
            _ if config.wait_replicas > 0 => Durability::Replicated,
            RedisPersistence::Always => Durability::PowerLoss,
            RedisPersistence::EverySecond | RedisPersistence::Unknown => Durability::ProcessCrash,
            RedisPersistence::None => Durability::Volatile,
        }
    }
}

/// Looks at a server before a store is opened on it.
pub(crate) async fn look(
    address: &Address,
    config: &RedisConfig,
    server: &Server,
    connection: &mut MultiplexedConnection,
) -> Result<Findings, OpenError> {
    refuse_unsuitable(address, config, server)?;
    let settings = settings(connection).await;
    let persistence = persistence(server, &settings);
    if config.require_persistence && persistence == RedisPersistence::None {
        return Err(unsuitable(
            address,
            "the server keeps no append-only file",
            "appendonly yes",
            "set `appendonly yes` in redis.conf, or store.redis.require_persistence = false",
        ));
    }
    let version = server.field("redis_version").to_owned();
    let warnings = warnings(address, config, server, persistence, &settings);
    Ok(Findings { persistence, version, warnings })
}

fn unsuitable(address: &Address, found: impl Into<String>, expected: &'static str, hint: &'static str) -> OpenError {
    OpenError::Unsuitable { address: address.to_string(), found: found.into(), expected, hint }
}

fn refuse_unsuitable(address: &Address, config: &RedisConfig, server: &Server) -> Result<(), OpenError> {
    let version = server.field("redis_version");
    if !server.is_primary() {
        let found =
            format!("the server is a replica of {}:{}", server.field("master_host"), server.field("master_port"));
        let hint = "give the primary's address, or sentinels (store.redis.sentinels)";
        return Err(unsuitable(address, found, "a primary", hint));
    }
    if parse_version(version).is_some_and(|found| found < OLDEST) {
        let found = format!("the server is version {version}");
        return Err(unsuitable(address, found, "6.2 or later", "upgrade Redis, or use Valkey"));
    }
    let policy = server.field("maxmemory_policy");
    if config.refuse_eviction && policy.starts_with("allkeys") {
        let found = format!("the server may evict any key (maxmemory-policy {policy})");
        let hint = "set `maxmemory-policy noeviction`: an evicted key is lost without a trace";
        return Err(unsuitable(address, found, "noeviction", hint));
    }
    Ok(())
}

fn parse_version(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `appendfsync` and `no-appendfsync-on-rewrite`, where the server tells: managed ones often do not.
#[derive(Debug, Default)]
struct Settings {
    fsync: Option<String>,
    not_on_rewrite: bool,
}

async fn settings(connection: &mut MultiplexedConnection) -> Settings {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("*appendfsync*");
    let pairs: Vec<String> = match get.query_async(connection).await {
        Ok(pairs) => pairs,
        Err(why) => {
            tracing::debug!(%why, "the server does not tell its configuration");
            return Settings::default();
        }
    };
    let value = |name: &str| pairs.chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    Settings {
        fsync: value("appendfsync"),
        not_on_rewrite: value("no-appendfsync-on-rewrite").as_deref() == Some("yes"),
    }
}

fn persistence(server: &Server, settings: &Settings) -> RedisPersistence {
    match (server.field("aof_enabled"), settings.fsync.as_deref()) {
        ("1", Some("always")) => RedisPersistence::Always,
        ("1", Some("everysec")) => RedisPersistence::EverySecond,
        ("1", _) => RedisPersistence::Unknown,
        _ => RedisPersistence::None,
    }
}

fn warnings(
    address: &Address,
    config: &RedisConfig,
    server: &Server,
    persistence: RedisPersistence,
    settings: &Settings,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |wrong: bool, text: String| {
        if wrong {
            warnings.push(text);
        }
    };
    let lost = "acknowledged commits are lost when it ends; set `appendonly yes`";
    warn(persistence == RedisPersistence::None, format!("the server keeps no append-only file: {lost}"));
    let rewrite = "`no-appendfsync-on-rewrite yes` leaves commits unsynced while the file is rewritten; set it to `no`";
    warn(settings.not_on_rewrite && persistence != RedisPersistence::None, rewrite.to_owned());
    let policy = server.field("maxmemory_policy");
    warn(policy.starts_with("allkeys"), format!("the server may evict any key (maxmemory-policy {policy})"));
    let failing = server.field("aof_last_write_status") == "err";
    warn(failing, "the server can't write its append-only file; look at its log and its disk".to_owned());
    if let Some(text) = memory_warning(server) {
        warn(true, text);
    }
    let replicas = server.number("connected_slaves").unwrap_or(0);
    let wanted = u64::from(config.wait_replicas);
    let few = format!("{replicas} replicas are connected, commits wait for {wanted}: they will be unclear");
    warn(replicas < wanted, few);
    let remote = address.host().is_some_and(|host| !is_loopback(host));
    warn(remote && !address.is_encrypted(), "the connection is not encrypted; use rediss://".to_owned());
    warnings
}

/// Says when a server is close to the end of its memory.
pub(crate) fn memory_warning(server: &Server) -> Option<String> {
    let (used, most) = (server.number("used_memory")?, server.number("maxmemory")?);
    let short = most > 0 && used.saturating_mul(100) / most >= MEMORY_PERCENT;
    short.then(|| format!("the server uses {used} of {most} bytes of memory; then it refuses commits"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Uses each command once, on keys beside the store's.
pub(crate) async fn probe_rights(
    connection: &mut MultiplexedConnection,
    scripts: &Scripts,
    keys: &Keys,
) -> Result<(), RedisStoreError> {
    let probe = keys.probe.each_ref().map(String::as_str);
    invoke(connection, &scripts.probe, &probe, |_| {}).await?;
    // The feed reads without a script.
    let mut range = redis::cmd("XREAD");
    range.arg("COUNT").arg(1).arg("STREAMS").arg(&keys.probe[2]).arg("0-0");
    crate::shared::send(connection, &range).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(lines: &str) -> Server {
        Server::parse(&format!("role:master\r\nredis_version:7.0.15\r\n{lines}"))
    }

    fn address() -> Address {
        Address::new(&RedisConfig::new("redis://db.example.com")).unwrap()
    }

    fn refusal(config: &RedisConfig, server: &Server) -> Option<String> {
        refuse_unsuitable(&address(), config, server).err().map(|error| error.to_string())
    }

    #[test]
    fn r9_r10_what_can_lose_keys_is_refused_with_what_to_do() {
        let config = RedisConfig::new("redis://db.example.com");
        assert_eq!(refusal(&config, &server("maxmemory_policy:noeviction")), None);
        assert_eq!(refusal(&config, &server("maxmemory_policy:volatile-lru")), None, "no key of a store expires");
        let evicting = server("maxmemory_policy:allkeys-lru");
        assert!(refusal(&config, &evicting).unwrap().contains("hint: set `maxmemory-policy noeviction`"));
        assert_eq!(refusal(&config.clone().refuse_eviction(false), &evicting), None);
        let replica = Server::parse("role:slave\r\nmaster_host:one\r\nmaster_port:2\r\nredis_version:7.2.0");
        assert!(refusal(&config, &replica).unwrap().contains("a replica of one:2, expected a primary"));
        assert!(refusal(&config, &Server::parse("role:master\r\nredis_version:6.0.16")).is_some());
    }

    #[test]
    fn durability_is_what_the_slowest_part_promises() {
        let durability = |config: &RedisConfig, aof, fsync: &str| {
            let settings = Settings { fsync: Some(fsync.to_owned()), not_on_rewrite: false };
            let persistence = persistence(&server(aof), &settings);
            Findings { persistence, version: String::new(), warnings: vec![] }.durability(config)
        };
        let config = RedisConfig::new("redis://localhost");
        assert_eq!(durability(&config, "aof_enabled:0", "everysec"), Durability::Volatile);
        assert_eq!(durability(&config, "aof_enabled:1", "everysec"), Durability::ProcessCrash);
        assert_eq!(durability(&config, "aof_enabled:1", "always"), Durability::PowerLoss);
        assert_eq!(durability(&config.wait_replicas(1), "aof_enabled:1", "everysec"), Durability::Replicated);
    }

    #[test]
    fn warnings_name_what_is_short_of_what_users_expect() {
        let config = RedisConfig::new("redis://db.example.com").wait_replicas(2);
        let server = server("used_memory:90\r\nmaxmemory:100\r\nconnected_slaves:1");
        let found = warnings(&address(), &config, &server, RedisPersistence::None, &Settings::default()).join("\n");
        for part in ["append-only", "90 of 100 bytes", "1 replicas are connected", "not encrypted"] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
}
