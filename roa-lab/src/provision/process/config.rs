//! [`ProcessConfig`]: how an operator bounds labs that are processes.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What labs inherit of the environment of `roa`, unless configured otherwise.
const INHERITED: [&str; 6] = ["HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ"];

/// How labs that are processes are run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessConfig {
    /// Where labs have their directories, below `labs`.
    pub data_dir: PathBuf,
    /// The program that runs `lab-shim --dir DIR`, and is `{roa}` in commands.
    pub roa_binary: PathBuf,
    /// How many bytes of its output a lab keeps, the newest.
    pub log_cap_bytes: u64,
    /// How many labs may exist at once.
    pub max_labs: usize,
    /// How long recording and launching a lab may take. Readiness is not part of it.
    pub start_timeout: Duration,
    /// How long a shim may take to end, beyond its lab's own grace, before it is killed.
    pub stop_margin: Duration,
    /// Where labs listen. Anything but a loopback address opens them to the network.
    pub bind_address: IpAddr,
    /// Which ports labs get; any free one if `None`.
    pub ports: Option<RangeInclusive<u16>>,
    /// The variables of the environment of `roa` that labs get. All others stay here.
    pub inherited_environment: Vec<String>,
}

impl ProcessConfig {
    /// The defaults: 1 MiB of output, 1000 labs, loopback, any port.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, roa_binary: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            roa_binary: roa_binary.into(),
            log_cap_bytes: 1 << 20,
            max_labs: 1000,
            start_timeout: Duration::from_secs(30),
            stop_margin: Duration::from_secs(5),
            bind_address: Ipv4Addr::LOCALHOST.into(),
            ports: None,
            inherited_environment: INHERITED.map(str::to_owned).to_vec(),
        }
    }
}
