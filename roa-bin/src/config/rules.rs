//! Rules about several keys together.

use std::time::Duration;

use roa_server::auth::{ListenPolicy, Listener};

use super::ListenAddress;
use super::settings::{CloudEventsSink, Config, EngineMode, ServerConfig, StoreBackend};

/// One rule.
pub(super) struct Rule {
    /// The keys it is about, the one to blame first.
    pub(super) keys: &'static [&'static str],
    /// What is wrong, a fragment after the first key; `None` if nothing is.
    pub(super) broken: fn(&Config) -> Option<String>,
}

/// Every rule.
pub(super) const RULES: &[Rule] = &[
    // L3: a leader must have stopped before its lease can be taken over, and have had a second try at renewing it.
    Rule {
        keys: &["lease.duration", "lease.renew_deadline"],
        broken: |config| {
            let (duration, deadline) = (config.lease.duration, config.lease.renew_deadline);
            let reason = format!("expected more than lease.renew_deadline ({deadline}), found {duration}");
            (duration <= deadline).then_some(reason)
        },
    },
    Rule {
        keys: &["lease.renew_deadline", "lease.retry_period"],
        broken: |config| {
            let (deadline, period) = (config.lease.renew_deadline, config.lease.retry_period);
            let reason = format!("expected more than 1.2 times lease.retry_period ({period}), found {deadline}");
            (deadline.0 <= six_fifths(period.0)).then_some(reason)
        },
    },
    Rule {
        keys: &["engine.mode", "store.backend"],
        broken: |config| {
            let several = matches!(config.engine.mode, EngineMode::Leader | EngineMode::Sharded);
            let alone = config.store.backend == StoreBackend::Memory;
            let reason = "expected auto or single, since store.backend is memory, which no other process can share";
            (several && alone).then(|| reason.to_owned())
        },
    },
    // Nothing is served to anybody who could do everything without being known.
    Rule { keys: &["server.listen"], broken: |config| server(&config.server).err() },
    Rule {
        keys: &["cloudevents.path", "cloudevents.sink"],
        broken: |config| {
            let missing = config.cloudevents.sink == CloudEventsSink::File && config.cloudevents.path.is_none();
            missing.then(|| "expected a file, since cloudevents.sink is file, found none".to_owned())
        },
    },
    Rule {
        keys: &["cloudevents.url", "cloudevents.sink"],
        broken: |config| {
            let missing = config.cloudevents.sink == CloudEventsSink::Http && config.cloudevents.url.is_none();
            missing.then(|| "expected an address, since cloudevents.sink is http, found none".to_owned())
        },
    },
    Rule {
        keys: &["runtime.retry_max", "runtime.retry_base"],
        broken: |config| {
            let (max, base) = (config.runtime.retry_max, config.runtime.retry_base);
            let reason = format!("expected at least runtime.retry_base ({base}), found {max}");
            (max < base).then_some(reason)
        },
    },
];

/// Whether the API may be served so.
fn server(server: &ServerConfig) -> Result<(), String> {
    let Ok(address) = server.listen.parse::<ListenAddress>() else { return Ok(()) };
    let ServerConfig { authorization, tls, auth, audit, .. } = server;
    let mut found = tls.validate().nested("server.tls");
    found.merge(auth.validate(tls, *authorization).nested("server.auth"));
    found.merge(audit.validate().nested("server.audit"));
    found.into_result().map_err(|found| found.to_string())?;
    let policy = ListenPolicy { auth, authorization: *authorization, tls };
    let listener = match &address {
        ListenAddress::Tcp(address) => Listener::Tcp(*address),
        ListenAddress::Unix(path) => Listener::Unix(path),
    };
    policy.check(listener).map(drop).map_err(|error| error.to_string())
}

fn six_fifths(duration: Duration) -> Duration {
    duration.saturating_mul(6) / 5
}

#[cfg(test)]
mod tests {
    use roa_core::HumanDuration;

    use super::*;

    fn broken(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        RULES.iter().filter(|rule| (rule.broken)(&config).is_some()).map(|rule| rule.keys[0]).collect()
    }

    fn millis(millis: u64) -> HumanDuration {
        HumanDuration(Duration::from_millis(millis))
    }

    #[test]
    fn the_defaults_keep_every_rule() {
        assert!(broken(|_| ()).is_empty());
    }

    #[test]
    fn l3_lease_duration_exceeds_renew_deadline_exceeds_six_fifths_of_retry_period() {
        assert_eq!(broken(|config| config.lease.duration = millis(10_000)), ["lease.duration"]);
        assert!(broken(|config| config.lease.duration = millis(10_001)).is_empty());
        assert_eq!(broken(|config| config.lease.renew_deadline = millis(2_400)), ["lease.renew_deadline"]);
        assert!(broken(|config| config.lease.renew_deadline = millis(2_401)).is_empty());
    }

    #[test]
    fn a_store_of_one_process_has_no_leader_and_no_shards() {
        for (mode, refused) in [
            (EngineMode::Auto, false),
            (EngineMode::Single, false),
            (EngineMode::Leader, true),
            (EngineMode::Sharded, true),
        ] {
            let with = |backend| {
                broken(|config| {
                    config.engine.mode = mode;
                    config.store.backend = backend;
                })
            };
            assert!(with(StoreBackend::Sqlite).is_empty());
            assert_eq!(with(StoreBackend::Memory).contains(&"engine.mode"), refused, "{mode:?}");
        }
    }

    #[test]
    fn a_sink_has_its_place() {
        assert_eq!(broken(|config| config.cloudevents.sink = CloudEventsSink::File), ["cloudevents.path"]);
        assert_eq!(broken(|config| config.cloudevents.sink = CloudEventsSink::Http), ["cloudevents.url"]);
        assert!(broken(|config| config.cloudevents.sink = CloudEventsSink::Stdout).is_empty());
    }

    #[test]
    fn the_longest_back_off_is_not_below_the_first() {
        assert_eq!(broken(|config| config.runtime.retry_max = millis(99)), ["runtime.retry_max"]);
        assert!(broken(|config| config.runtime.retry_max = millis(100)).is_empty());
    }
}
