//! [`Config`]: everything that can be configured, as plain data, a file for each part. `roa.toml` beside the crate explains
//! each key to users.

mod engine;
mod lab;
mod reports;
mod server;
mod store;

use std::path::{Path, PathBuf};
use std::time::Duration;

use roa_core::HumanDuration;
use serde::{Deserialize, Serialize};

use engine::{EngineConfig, LeaseConfig, NamespacesConfig, RuntimeConfig, TimeConfig, WatchConfig};
use reports::AdminConfig;

pub(crate) use engine::{EngineMode, OscillationConfig, ShardBy, WatchKind};
pub(crate) use lab::{LabConfig, Profile, SchedulerConfig, SchedulerStrategy, WorkerConfig};
pub(crate) use reports::{CloudEventsConfig, CloudEventsSink, LogConfig, LogFormat};
pub(crate) use server::{ServerConfig, ServerLimits};
pub(crate) use store::{SqliteDurability, StoreBackend, StoreConfig};

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
            engine: EngineConfig::default(),
            namespaces: NamespacesConfig::default(),
            oscillation: OscillationConfig::default(),
            cloudevents: CloudEventsConfig::default(),
            lease: LeaseConfig::default(),
            lab: LabConfig::defaults(profile),
            time: TimeConfig::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::defaults(Profile::Default, Path::new(Self::DATA_DIR))
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
