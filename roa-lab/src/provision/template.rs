//! [`ProcessTemplate`] and [`SimulatedTemplate`]: what a LabTemplate says to its provisioner.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;
use std::time::Duration;

use hyper::http::uri::PathAndQuery;
use nix::sys::signal::Signal;
use roa_core::{HumanDuration, Violations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many arguments a command may have.
const MAX_ARGUMENTS: usize = 256;
/// How many bytes they may have together.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;
/// How many files a template may lay.
const MAX_FILES: usize = 64;
/// How many bytes they may have together.
const MAX_FILE_BYTES: usize = 1 << 20;
/// How many folders deep a file may lie, itself included.
const MAX_FILE_DEPTH: usize = 8;
/// How many bytes a file's name may have.
const MAX_FILE_NAME: usize = 255;
/// How long a lab may take to end.
const MAX_STOP_GRACE: Duration = Duration::from_secs(600);
/// How long a probe may take.
const MAX_PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// A lab that is a process.
///
/// It runs as the user of `roa`, in its own process group and session: that separates labs, and does not confine them.
///
/// ```
/// use roa_lab::provision::ProcessTemplate;
/// let template: ProcessTemplate = serde_json::from_str(r#"{
///     "command": ["python3", "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{dir}"],
///     "readiness": { "httpGet": "/" }
/// }"#)?;
/// assert!(template.validate().is_empty());
/// assert_eq!(template.stop_signal, "SIGTERM");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProcessTemplate {
    /// The program and its arguments. `{port}`, `{name}`, `{dir}`, `{roa}` and each name of the lab's environment in
    /// braces are filled in; other braces stay.
    pub command: Vec<String>,
    /// What lies in the lab's directory when it starts: relative path and content.
    pub files: BTreeMap<String, String>,
    /// How to see that it is ready.
    pub readiness: Readiness,
    /// What asks it to end, such as `SIGTERM`.
    pub stop_signal: String,
    /// How long it may take to end before it is killed; at most 10 minutes.
    #[schemars(with = "crate::schema::Span")]
    pub stop_grace: HumanDuration,
}

impl Default for ProcessTemplate {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            files: BTreeMap::new(),
            readiness: Readiness::default(),
            stop_signal: Signal::SIGTERM.as_str().to_owned(),
            stop_grace: HumanDuration(Duration::from_secs(10)),
        }
    }
}

/// Shows the files' sizes, not their contents.
impl fmt::Debug for ProcessTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<_, _> = self.files.iter().map(|(name, content)| (name, content.len())).collect();
        f.debug_struct("ProcessTemplate")
            .field("command", &self.command)
            .field("file_sizes", &sizes)
            .field("readiness", &self.readiness)
            .field("stop_signal", &self.stop_signal)
            .field("stop_grace", &self.stop_grace)
            .finish()
    }
}

/// How to see that a lab is ready: by HTTP if `http_get` is set, else by a connection to its port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Readiness {
    /// A path that answers with a status from 200 to 399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<String>,
    /// That its port takes connections. Also holds when `http_get` is not set.
    pub tcp: bool,
    /// How often to look until it is ready; less often if that is how often labs are looked at.
    #[schemars(with = "crate::schema::Span")]
    pub period: HumanDuration,
    /// How long a look may take; at most 60 seconds.
    #[schemars(with = "crate::schema::Span")]
    pub timeout: HumanDuration,
}

impl Default for Readiness {
    fn default() -> Self {
        let second = HumanDuration(Duration::from_secs(1));
        Self { http_get: None, tcp: false, period: second, timeout: second }
    }
}

/// A lab that only seems to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SimulatedTemplate {
    /// How long it takes to become ready.
    #[schemars(with = "crate::schema::Span")]
    pub provision_time: HumanDuration,
    /// How many of all attempts fail, from 0 to 1.
    pub failure_rate: f64,
    /// How many of all attempts never end, from 0 to 1.
    pub stuck_rate: f64,
    /// How many attempts of each lab fail before that counts, the first ones.
    pub fail_first: u32,
    /// Which of them: the same seed, the same labs.
    pub seed: u64,
}

impl Default for SimulatedTemplate {
    fn default() -> Self {
        let provision_time = HumanDuration(Duration::from_secs(2));
        Self { provision_time, failure_rate: 0.0, stuck_rate: 0.0, fail_first: 0, seed: 0 }
    }
}

impl ProcessTemplate {
    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let mut found = validate_command(&self.command).nested("command");
        found.merge(validate_files(&self.files).nested("files"));
        found.merge(self.readiness.validate().nested("readiness"));
        found.merge(Violations::unless(
            self.signal().is_some(),
            "stopSignal",
            format!("{:?} is no signal, expected one such as SIGTERM or SIGINT", self.stop_signal),
        ));
        found.merge(Violations::unless(
            self.stop_grace.0 <= MAX_STOP_GRACE,
            "stopGrace",
            format!("is {}, expected at most {}", self.stop_grace, HumanDuration(MAX_STOP_GRACE)),
        ));
        found
    }

    /// The stop signal, if it is one.
    pub(super) fn signal(&self) -> Option<Signal> {
        Signal::from_str(&self.stop_signal).or_else(|_| Signal::from_str(&format!("SIG{}", self.stop_signal))).ok()
    }
}

impl Readiness {
    fn validate(&self) -> Violations {
        let mut found = Violations::none();
        if let Some(path) = &self.http_get {
            let holds = path.starts_with('/') && PathAndQuery::from_str(path).is_ok();
            found.merge(Violations::unless(
                holds,
                "httpGet",
                format!("{path:?} is no path, expected one such as /healthz"),
            ));
        }
        let holds = !self.timeout.0.is_zero() && self.timeout.0 <= MAX_PROBE_TIMEOUT;
        let expected =
            format!("is {}, expected more than 0s and at most {}", self.timeout, HumanDuration(MAX_PROBE_TIMEOUT));
        found.merge(Violations::unless(holds, "timeout", expected));
        found.merge(Violations::unless(!self.period.0.is_zero(), "period", "is 0s, expected more"));
        found
    }
}

impl SimulatedTemplate {
    /// What is wrong with it.
    #[must_use]
    pub fn validate(&self) -> Violations {
        let rates = [("failureRate", self.failure_rate), ("stuckRate", self.stuck_rate)];
        let mut found = Violations::none();
        for (path, rate) in rates {
            found.merge(Violations::unless((0.0..=1.0).contains(&rate), path, format!("is {rate}, expected 0 to 1")));
        }
        found
    }
}

fn validate_command(command: &[String]) -> Violations {
    let bytes: usize = command.iter().map(String::len).sum();
    let mut found = Violations::unless(
        command.first().is_some_and(|program| !program.is_empty()),
        "",
        "is empty, expected a program and its arguments",
    );
    found.merge(Violations::unless(
        command.len() <= MAX_ARGUMENTS && bytes <= MAX_ARGUMENT_BYTES,
        "",
        format!(
            "has {} arguments of {bytes} bytes, expected at most {MAX_ARGUMENTS} of {MAX_ARGUMENT_BYTES}",
            command.len()
        ),
    ));
    for (position, _) in command.iter().enumerate().filter(|(_, argument)| argument.contains('\0')) {
        found.push(format!("[{position}]"), "must not contain a NUL character");
    }
    found
}

fn validate_files(files: &BTreeMap<String, String>) -> Violations {
    let bytes: usize = files.values().map(String::len).sum();
    let mut found = Violations::unless(
        files.len() <= MAX_FILES && bytes <= MAX_FILE_BYTES,
        "",
        format!("are {} of {bytes} bytes, expected at most {MAX_FILES} of {MAX_FILE_BYTES}", files.len()),
    );
    for name in files.keys().filter(|name| !is_plain_path(name)) {
        found.push("", format!("name {name:?}: expected a relative path without '.' and '..', such as css/site.css"));
    }
    found
}

/// Whether it stays inside of the directory that it is joined to.
pub(super) fn is_plain_path(name: &str) -> bool {
    let plain =
        |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_FILE_NAME && !part.contains(['\0', '\\']);
    let by_hand = name.split('/').all(plain) && name.split('/').count() <= MAX_FILE_DEPTH;
    by_hand && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn valid() -> ProcessTemplate {
        ProcessTemplate { command: vec!["true".into()], ..ProcessTemplate::default() }
    }

    fn check(change: impl FnOnce(&mut ProcessTemplate), expected: &str) {
        let mut template = valid();
        change(&mut template);
        let found = template.validate().to_string();
        if expected.is_empty() {
            assert_eq!(found, "");
        } else {
            assert!(found.contains(expected), "{found:?} should contain {expected:?}");
        }
    }

    #[test]
    fn the_defaults_of_the_format_hold() {
        let template: ProcessTemplate = serde_json::from_str(r#"{"command": ["x"], "stopGrace": "1m"}"#).unwrap();
        assert_eq!(template.stop_grace.0, Duration::from_secs(60));
        assert_eq!(template.readiness, Readiness::default());
        let simulated: SimulatedTemplate =
            serde_json::from_str(r#"{"provisionTime": "5s", "stuckRate": 0.5}"#).unwrap();
        assert_eq!((simulated.provision_time.0.as_secs(), simulated.seed), (5, 0));
        assert_eq!(serde_json::to_value(&simulated).unwrap()["stuckRate"], 0.5);
    }

    #[test]
    fn a_plain_template_is_valid() {
        check(|_| {}, "");
        check(|template| template.stop_signal = "INT".into(), "");
        check(|template| template.readiness.http_get = Some("/healthz?full=1".into()), "");
        check(|template| drop(template.files.insert("css/site.css".into(), String::new())), "");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        check(|template| template.command.clear(), "command: is empty");
        check(|template| template.command.push("a\0".into()), "command[1]: must not");
        check(|template| template.command.push("x".repeat(MAX_ARGUMENT_BYTES)), "command: has 2 arguments");
        check(|template| template.stop_signal = "SIGNAL".into(), "stopSignal: \"SIGNAL\" is no signal");
        check(|template| template.stop_grace.0 = MAX_STOP_GRACE * 2, "stopGrace: is 20m, expected at most 10m");
        check(|template| template.readiness.http_get = Some("healthz".into()), "readiness.httpGet: \"healthz\"");
        check(|template| template.readiness.timeout.0 = Duration::ZERO, "readiness.timeout: is 0s");
        check(|template| template.readiness.period.0 = Duration::ZERO, "readiness.period: is 0s");
        check(|template| drop(template.files.insert("big".into(), "x".repeat(MAX_FILE_BYTES + 1))), "files: are 1 of");
    }

    #[test]
    fn t11_no_file_lies_outside_of_the_labs_directory() {
        for name in ["", "/etc/passwd", "..", "a/../../b", "./a", "a//b", "a/", "a\\b", "a\0b", "1/2/3/4/5/6/7/8/9"] {
            check(|template| drop(template.files.insert(name.into(), String::new())), "files: name");
        }
    }

    #[test]
    fn rates_are_shares() {
        for rate in [-0.1, 1.1, f64::NAN] {
            let template = SimulatedTemplate { failure_rate: rate, ..SimulatedTemplate::default() };
            assert!(template.validate().to_string().contains("failureRate: is"), "{rate}");
        }
        assert!(SimulatedTemplate::default().validate().is_empty());
    }

    #[test]
    fn debug_shows_sizes_of_files_and_no_contents() {
        let mut template = valid();
        template.files.insert("a.html".into(), "canary".into());
        let shown = format!("{template:?}");
        assert!(shown.contains("a.html") && shown.contains('6') && !shown.contains("canary"), "{shown}");
    }

    proptest! {
        #[test]
        fn t11_a_plain_path_never_climbs(name in "[a./\\\\]{0,12}") {
            if is_plain_path(&name) {
                let joined = Path::new("/base").join(&name);
                prop_assert!(joined.starts_with("/base") && !name.split('/').any(|part| part == ".."));
            }
        }
    }
}
