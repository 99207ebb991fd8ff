//! What is written down about a lab: [`LabRecord`] before it starts, [`ShimState`] while it runs, [`Exit`] after it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use roa_core::{Timestamp, Violations};
use serde::{Deserialize, Serialize};

use super::{ProcessConfig, ProcessId};
use crate::provision::environment::Redacted;
use crate::provision::{LabIdentity, ProcessTemplate, ProvisionError, ProvisionRequest, validate_environment};

/// No log is smaller.
const MIN_LOG_CAP: u64 = 4096;

/// What shall run: `lab.json`. All that a shim needs to know. The template's files are not in it: they are laid.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::provision) struct LabRecord {
    pub(in crate::provision) lab: LabIdentity,
    pub(in crate::provision) attempt: u32,
    pub(in crate::provision) process: ProcessTemplate,
    pub(in crate::provision) environment: BTreeMap<String, String>,
    pub(in crate::provision) roa: PathBuf,
    pub(in crate::provision) bind_address: IpAddr,
    pub(in crate::provision) ports: Option<RangeInclusive<u16>>,
    pub(in crate::provision) log_cap_bytes: u64,
}

impl fmt::Debug for LabRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabRecord")
            .field("lab", &self.lab)
            .field("attempt", &self.attempt)
            .field("process", &self.process)
            .field("environment", &Redacted(&self.environment))
            .finish_non_exhaustive()
    }
}

impl LabRecord {
    /// What a request asks for, or all that is wrong with it.
    pub(in crate::provision) fn of(request: &ProvisionRequest, config: &ProcessConfig) -> Result<Self, ProvisionError> {
        let invalid = |violations| ProvisionError::Invalid { lab: request.lab.clone(), violations };
        let Some(process) = &request.process else {
            return Err(invalid(Violations::one("process", "is missing, expected a command")));
        };
        let mut violations = process.validate().nested("process");
        violations.merge(validate_environment(&request.environment).nested("environment"));
        violations.into_result().map_err(invalid)?;
        Ok(Self {
            lab: request.lab.clone(),
            attempt: request.attempt,
            process: ProcessTemplate { files: BTreeMap::new(), ..process.clone() },
            environment: request.environment.clone(),
            roa: config.roa_binary.clone(),
            bind_address: config.bind_address,
            ports: config.ports.clone(),
            log_cap_bytes: config.log_cap_bytes.max(MIN_LOG_CAP),
        })
    }
}

/// What runs: `state.json`, written by the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::provision) struct ShimState {
    pub(in crate::provision) shim: ProcessId,
    pub(in crate::provision) child: Option<RunningChild>,
}

/// The command's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::provision) struct RunningChild {
    pub(in crate::provision) process: ProcessId,
    pub(in crate::provision) port: u16,
    pub(in crate::provision) started_at: Timestamp,
}

/// How it ended: `exit.json`, written by the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::provision) struct Exit {
    pub(in crate::provision) code: Option<i32>,
    pub(in crate::provision) signal: Option<i32>,
    pub(in crate::provision) at: Timestamp,
    /// One line, without secrets.
    pub(in crate::provision) message: String,
}

impl Exit {
    /// An end that no process had.
    pub(in crate::provision) fn without_process(code: Option<i32>, message: String) -> Self {
        Self { code, signal: None, at: wall_clock(), message }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a shim is a program of its own: its times are real, nothing injects them"
)]
#[expect(clippy::expect_used, reason = "the calendar goes on for thousands of years")]
pub(in crate::provision) fn wall_clock() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since_1970.as_millis()).unwrap_or_default();
    Timestamp::from_unix_millis(millis).expect("now is a time of the calendar")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(process: Option<ProcessTemplate>, variable: &str) -> ProvisionRequest {
        ProvisionRequest {
            lab: LabIdentity { uid: "1".into(), namespace: "labs".into(), name: "a".into() },
            process,
            simulated: None,
            environment: BTreeMap::from([(variable.to_owned(), "canary".to_owned())]),
            attempt: 2,
        }
    }

    fn template() -> ProcessTemplate {
        ProcessTemplate { command: vec!["true".into()], ..ProcessTemplate::default() }
    }

    #[test]
    fn a_record_survives_its_file() {
        let mut config = ProcessConfig::new("/data", "/bin/roa");
        config.ports = Some(5000..=5010);
        let record = LabRecord::of(&request(Some(template()), "A_TOKEN"), &config).unwrap();
        let read: LabRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!((read.environment, read.ports, read.attempt), (record.environment, record.ports, 2));
    }

    #[test]
    fn t14_debug_of_a_record_hides_secrets() {
        let record = LabRecord::of(&request(Some(template()), "A_TOKEN"), &ProcessConfig::new("/data", "/bin/roa"));
        assert!(!format!("{:?}", record.unwrap()).contains("canary"));
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_no_value_is() {
        let broken = ProcessTemplate { stop_signal: "NONE".into(), ..ProcessTemplate::default() };
        let error = LabRecord::of(&request(Some(broken), "LD_PRELOAD"), &ProcessConfig::new("/data", "/bin/roa"));
        let message = error.unwrap_err().to_string();
        for part in ["labs/a", "process.command", "process.stopSignal", "environment.LD_PRELOAD"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("canary"), "{message}");
    }

    #[test]
    fn a_template_without_a_process_is_refused() {
        let error = LabRecord::of(&request(None, "A"), &ProcessConfig::new("/data", "/bin/roa")).unwrap_err();
        assert!(!error.is_retryable() && error.to_string().contains("process: is missing"), "{error}");
    }

    #[test]
    fn the_clock_of_the_wall_is_in_this_century() {
        assert!(wall_clock() > "2020-01-01T00:00:00Z".parse().unwrap());
    }
}
