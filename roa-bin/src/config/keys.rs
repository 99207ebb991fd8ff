//! [`KEYS`]: every key of the configuration, in the order in which they are shown.

use std::time::Duration;

use super::shape::Shape;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its tables and its name, joined by dots.
    pub(super) path: &'static str,
    pub(super) shape: Shape,
    /// For a key without a value: what holds then.
    pub(super) unset: Option<&'static str>,
}

impl Key {
    /// The key of that path.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The table it stands in (empty for the top) and its name there.
    pub(super) fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("ROA_{}", self.path.replace('.', "__").to_uppercase())
    }
}

/// Whether some key stands in the table of that path, or in one below it.
pub(super) fn is_table(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// The largest transaction: a log that can't hold one holds nothing.
const LEAST_LOG_BYTES: u64 = 4 << 20;
const MOST_LOG_BYTES: u64 = 1 << 40;

/// Every key.
pub(super) const KEYS: &[Key] = &[
    key("data_dir", Shape::Path),
    key("store.backend", Shape::Backend),
    key("store.memory.log_max_batches", count(16, 100_000_000, "batches")),
    key("store.memory.log_max_bytes", count(LEAST_LOG_BYTES, MOST_LOG_BYTES, "bytes")),
    key("store.memory.log_min_age", duration(Duration::ZERO, DAY)),
    key("store.sqlite.path", Shape::Path),
    key("store.sqlite.durability", Shape::OneOf(&["power-loss", "process-crash"])),
    key("store.sqlite.max_bytes", count(16 << 20, MOST_LOG_BYTES, "bytes")),
    key("store.sqlite.log_max_batches", count(16, 1_000_000_000, "batches")),
    key("store.sqlite.log_max_bytes", count(LEAST_LOG_BYTES, MOST_LOG_BYTES, "bytes")),
    key("store.sqlite.log_min_age", duration(Duration::ZERO, DAY)),
    key("store.sqlite.readers", count(1, 64, "connections")),
    key("store.sqlite.busy_timeout", duration(MILLISECOND, MINUTE)),
    key("store.redis.url", Shape::RedisUrl),
    key("store.redis.name", Shape::Text { example: "\"school\"" }),
    optional("store.redis.username", Shape::Text { example: "\"roa\"" }, "that of the URL, or none"),
    optional("store.redis.password", Shape::Secret, "that of the URL, or none"),
    optional("store.redis.password_file", Shape::Path, "no file"),
    optional("store.redis.sentinels", Shape::Text { example: "\"one:26379,two:26379\"" }, "no sentinels"),
    key("store.redis.sentinel_service", Shape::Text { example: "\"mymaster\"" }),
    optional("store.redis.ca_file", Shape::Path, "the system's authorities"),
    optional("store.redis.cert_file", Shape::Path, "no client certificate"),
    optional("store.redis.key_file", Shape::Path, "no client certificate"),
    key("store.redis.connect_timeout", duration(MILLISECOND, MINUTE)),
    key("store.redis.response_timeout", duration(MILLISECOND, MINUTE)),
    key("store.redis.wait_replicas", count(0, 16, "replicas")),
    key("store.redis.wait_timeout", duration(MILLISECOND, MINUTE)),
    key("store.redis.strict", Shape::Switch),
    key("store.redis.require_persistence", Shape::Switch),
    key("store.redis.refuse_eviction", Shape::Switch),
    key("store.redis.log_max_batches", count(16, 1_000_000_000, "batches")),
    key("store.redis.log_max_bytes", count(LEAST_LOG_BYTES, MOST_LOG_BYTES, "bytes")),
    key("store.redis.log_min_age", duration(Duration::ZERO, DAY)),
    key("store.redis.block", duration(Duration::from_millis(10), MINUTE)),
    key("log.format", Shape::OneOf(&["text", "json"])),
    key("log.filter", Shape::Filter),
    key("admin.socket", Shape::Path),
    key("server.listen", Shape::Address),
    key("server.authorization", Shape::OneOf(&["none", "rbac"])),
    optional("server.tls.cert_file", Shape::Path, "no certificate"),
    optional("server.tls.key_file", Shape::Path, "no key"),
    optional("server.tls.client_ca_file", Shape::Path, "no client certificates"),
    key("server.tls.self_signed", Shape::Switch),
    optional("server.auth.tokens_file", Shape::Path, "no tokens"),
    key("server.auth.anonymous", Shape::Switch),
    optional("server.auth.oidc.issuer", Shape::Text { example: "\"https://issuer.example.com\"" }, "no issuer"),
    optional("server.auth.oidc.audience", Shape::Text { example: "\"roa\"" }, "no issuer"),
    optional("server.auth.oidc.jwks_file", Shape::Path, "no file"),
    optional("server.auth.oidc.jwks_url", Shape::Text { example: "\"https://issuer.example.com/keys\"" }, "no address"),
    optional("server.auth.oidc.ca_file", Shape::Path, "the system's authorities"),
    optional("server.auth.oidc.username_claim", Shape::Text { example: "\"email\"" }, "sub"),
    optional("server.auth.oidc.username_prefix", Shape::Text { example: "\"oidc:\"" }, "oidc:"),
    optional("server.auth.oidc.groups_claim", Shape::Text { example: "\"roles\"" }, "groups"),
    optional("server.auth.oidc.groups_prefix", Shape::Text { example: "\"oidc:\"" }, "oidc:"),
    optional("server.audit.path", Shape::Path, "no audit log"),
    key("server.audit.max_queued", count(1, 1_000_000, "records")),
    key("server.audit.wait", duration(Duration::ZERO, Duration::from_secs(30))),
    key("server.audit.sync", Shape::Switch),
    key("server.limits.connections", count(1, 1_000_000, "connections")),
    key("server.limits.reads", count(1, 1_000_000, "requests")),
    key("server.limits.writes", count(1, 1_000_000, "requests")),
    key("server.limits.watches", count(1, 1_000_000, "watches")),
    key("server.limits.requests_per_user", count(1, 1_000_000, "requests")),
    key("server.limits.watches_per_user", count(1, 1_000_000, "watches")),
    key("runtime.shutdown_grace", duration(Duration::ZERO, HOUR)),
    key("runtime.reconcile_timeout", duration(SECOND, HOUR)),
    key("runtime.workers", count(1, 4096, "workers")),
    key("runtime.retry_base", duration(MILLISECOND, MINUTE)),
    key("runtime.retry_max", duration(MILLISECOND, DAY)),
    key("runtime.max_retries", count(0, 1000, "retries")),
    key("runtime.max_panics", count(1, 1000, "panics")),
    key("runtime.retry_budget_percent", count(0, 10_000, "percent")),
    key("runtime.retry_budget_per_second", count(1, 1_000_000, "retries")),
    key("runtime.retry_budget_burst", count(1, 1_000_000, "retries")),
    key("watch.kind", Shape::OneOf(&["stream", "poll"])),
    key("watch.poll_interval", duration(MILLISECOND, HOUR)),
    key("watch.max_watchers", count(1, 1_000_000, "watchers")),
    key("watch.ring_max_batches", count(16, 100_000_000, "batches")),
    key("watch.ring_max_bytes", count(LEAST_LOG_BYTES, MOST_LOG_BYTES, "bytes")),
    key("engine.mode", Shape::OneOf(&["auto", "single", "leader", "sharded"])),
    key("engine.shard_by", Shape::OneOf(&["object", "namespace"])),
    key("namespaces.strict", Shape::Switch),
    key("oscillation.window", duration(SECOND, DAY)),
    key("oscillation.status_turns", count(1, 1000, "turns")),
    key("oscillation.max_fields", count(1, 10_000_000, "fields")),
    key("cloudevents.sink", Shape::OneOf(&["none", "stdout", "file", "http"])),
    optional("cloudevents.path", Shape::Path, "no file"),
    optional("cloudevents.url", Shape::HttpUrl, "no address"),
    key("cloudevents.source", Shape::Text { example: "\"/roa/school\"" }),
    key("lease.duration", duration(SECOND, HOUR)),
    key("lease.renew_deadline", duration(MILLISECOND, HOUR)),
    key("lease.retry_period", duration(MILLISECOND, HOUR)),
    key("lab.profile", Shape::OneOf(&["development", "production", "default"])),
    key("lab.poll_interval", duration(MILLISECOND, HOUR)),
    key("lab.sweep_interval", duration(MILLISECOND, HOUR)),
    key("lab.provisioning_timeout", duration(SECOND, DAY)),
    key("lab.max_retries", count(0, 100, "retries")),
    key("lab.retry_backoff", duration(MILLISECOND, HOUR)),
    key("lab.default_duration", duration(MINUTE, Duration::from_secs(8 * 3600))),
    key("lab.cleanup_grace", duration(Duration::ZERO, WEEK)),
    key("lab.max_concurrent_provisionings", count(1, 1000, "labs")),
    key("lab.breaker_failures", count(1, 1000, "failures")),
    key("lab.breaker_open_for", duration(SECOND, HOUR)),
    key("lab.bulkhead_calls", count(1, 10_000, "calls")),
    key("lab.bulkhead_waiting", count(0, 100_000, "calls")),
    key("lab.bulkhead_wait", duration(MILLISECOND, MINUTE)),
    optional("lab.concurrency.labs", count(1, 4096, "labs"), "runtime.workers"),
    optional("lab.concurrency.workers", count(1, 4096, "workers"), "runtime.workers"),
    optional("lab.concurrency.pools", count(1, 4096, "pools"), "runtime.workers"),
    optional("lab.worker.cpu", Shape::Quantity { example: "\"8\" or \"500m\"" }, "the machine's processors"),
    optional("lab.worker.memory", Shape::Quantity { example: "\"16Gi\"" }, "the machine's memory"),
    optional("lab.worker.max_labs", count(1, 100_000, "labs"), "as many as cpu and memory allow"),
    key("lab.worker.heartbeat", duration(MILLISECOND, HOUR)),
    key("lab.scheduler.strategy", Shape::OneOf(&["best-fit", "least-utilized", "least-labs", "round-robin", "random"])),
    key("lab.scheduler.seed", count(0, 1 << 53, "as a seed")),
    key("lab.components.watcher", Shape::Switch),
    key("lab.components.controller", Shape::Switch),
    key("lab.components.reconciler", Shape::Switch),
    key("lab.components.provisioner", Shape::Switch),
    key("time.scale", count(1, 1000, "seconds")),
];

const fn key(path: &'static str, shape: Shape) -> Key {
    Key { path, shape, unset: None }
}

const fn optional(path: &'static str, shape: Shape, unset: &'static str) -> Key {
    Key { path, shape, unset: Some(unset) }
}

const fn duration(min: Duration, max: Duration) -> Shape {
    Shape::Duration { min, max }
}

const fn count(min: u64, max: u64, unit: &'static str) -> Shape {
    Shape::Count { min, max, unit }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::setting::Raw;
    use crate::config::settings::Config;

    fn leaves(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
        let Value::Object(table) = value else {
            found.insert(prefix.to_owned());
            return;
        };
        for (name, value) in table {
            leaves(format!("{prefix}.{name}").trim_start_matches('.'), value, found);
        }
    }

    /// The defaults, with the table that is there only where it is given.
    fn defaults() -> Value {
        let mut config = Config::default();
        let issuer = serde_json::json!({"issuer": "https://issuer.example.com", "audience": "roa"});
        config.server.auth.oidc = Some(serde_json::from_value(issuer).unwrap());
        serde_json::to_value(config).unwrap()
    }

    #[test]
    fn keys_are_exactly_the_fields_of_the_configuration() {
        let mut fields = BTreeSet::new();
        leaves("", &defaults(), &mut fields);
        let keys: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert_eq!(keys, fields);
        assert_eq!(keys.len(), KEYS.len(), "a key stands twice");
    }

    #[test]
    fn each_default_is_a_value_that_its_key_admits() {
        let defaults = defaults();
        for key in KEYS {
            let raw = match defaults.pointer(&format!("/{}", key.path.replace('.', "/"))).unwrap() {
                Value::String(text) => Raw::Text(text.clone()),
                Value::Bool(on) => Raw::Switch(*on),
                Value::Number(number) => {
                    number.as_i64().map_or_else(|| Raw::Float(number.as_f64().unwrap()), Raw::Integer)
                }
                Value::Null => {
                    assert!(key.unset.is_some(), "{}", key.path);
                    continue;
                }
                other => panic!("{}: {other}", key.path),
            };
            assert!(key.shape.check(&raw).is_ok(), "{}: {raw}", key.path);
        }
    }

    #[test]
    fn tables_are_told_from_keys() {
        assert!(is_table("store") && is_table("store.memory") && is_table("lab.worker"));
        assert!(!is_table("store.backend") && !is_table("stor") && !is_table("data_dir"));
        assert_eq!(Key::find("store.memory.log_min_age").unwrap().variable(), "ROA_STORE__MEMORY__LOG_MIN_AGE");
        assert_eq!(Key::find("lab.worker.cpu").unwrap().split(), ("lab.worker", "cpu"));
        assert_eq!(Key::find("data_dir").unwrap().split(), ("", "data_dir"));
    }
}
