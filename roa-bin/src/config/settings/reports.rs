//! `[log]`, `[admin]` and `[cloudevents]`: what people and other programs are told.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::secret::SecretUrl;

/// `[log]`: what is logged to stderr, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogConfig {
    pub(crate) format: LogFormat,
    /// Directives of `tracing-subscriber`'s `EnvFilter`, such as `info,roa=debug`.
    pub(crate) filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
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

/// `[cloudevents]`: who is told of every change of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloudEventsConfig {
    pub(crate) sink: CloudEventsSink,
    pub(crate) path: Option<PathBuf>,
    pub(crate) url: Option<SecretUrl>,
    pub(crate) source: String,
}

impl Default for CloudEventsConfig {
    fn default() -> Self {
        Self { sink: CloudEventsSink::None, path: None, url: None, source: "/roa".to_owned() }
    }
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
