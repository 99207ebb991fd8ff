//! [`Member`]: one `roa run` of several.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::onlooker::Onlooker;
use crate::options::Options;
use crate::shared::SharedStore;

/// How long a member may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// A paused member doesn't answer.
const ANSWER: Duration = Duration::from_millis(500);

const VARIABLES: &[(&str, &str)] = &[
    // Each call of a controller shows, with what it is made under.
    ("ROA_LOG__FORMAT", "json"),
    ("ROA_LOG__FILTER", "info,roa_runtime::controller=debug"),
    ("ROA_LEASE__DURATION", "3s"),
    ("ROA_LEASE__RENEW_DEADLINE", "2s"),
    ("ROA_LEASE__RETRY_PERIOD", "250ms"),
    ("ROA_LAB__POLL_INTERVAL", "250ms"),
    ("ROA_LAB__SWEEP_INTERVAL", "2s"),
    ("ROA_LAB__RETRY_BACKOFF", "250ms"),
    ("ROA_LAB__MAX_RETRIES", "100"),
    ("ROA_LAB__MAX_CONCURRENT_PROVISIONINGS", "1000"),
    ("ROA_LAB__WORKER__MAX_LABS", "100000"),
    ("ROA_LAB__WORKER__CPU", "1000"),
    ("ROA_LAB__WORKER__MEMORY", "1000Gi"),
];

/// A process; ended when dropped.
pub(crate) struct Member {
    child: Child,
    socket: PathBuf,
}

impl Member {
    pub(crate) fn start(
        options: &Options,
        shared: &SharedStore,
        directory: &Path,
        number: usize,
    ) -> anyhow::Result<Self> {
        let data = format!("member-{number}");
        let log = File::create(directory.join(format!("{data}.log"))).context("failed to make a log")?;
        let mut command = Command::new(&options.roa);
        command.current_dir(directory).env_remove("ROA_CONFIG").env("NO_COLOR", "1");
        command.envs(VARIABLES.iter().copied()).envs(shared.variables());
        command.env("ROA_ENGINE__MODE", options.mode.name()).env("ROA_SERVER__LISTEN", "");
        let child = command.args(["run", "--data-dir", &data]).stdin(Stdio::null()).stderr(log).spawn();
        let child = child.with_context(|| format!("failed to run {}", options.roa.display()))?;
        Ok(Self { child, socket: directory.join(data).join("admin.sock") })
    }

    pub(crate) fn await_ready(&self) -> anyhow::Result<()> {
        let ready = || self.ask("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        until("a member is ready", ready)
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(ANSWER)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: roa\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Where people ask it.
    pub(crate) fn address(&self) -> String {
        self.socket.display().to_string()
    }

    /// How much it owns, by its own word.
    pub(crate) fn owned(&self) -> usize {
        let metrics = self.ask("/metrics").unwrap_or_default();
        let name = "roa_runtime_ownerships_held{component=\"coordinator\"} ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    pub(crate) fn pause(&self, onlooker: &Onlooker) -> anyhow::Result<()> {
        onlooker.pause_between_writes(self.id()?);
        Ok(())
    }

    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("failed to kill a member")
    }

    /// Tells it to stop, and sees it end well.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().context("failed to look at a member")? {
                ensure!(status.success(), "a member that was told to stop ended with {status}");
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        bail!("a member that was told to stop did not within {PATIENCE:?}")
    }

    fn id(&self) -> anyhow::Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id()).context("a process id is too large")?))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(self.id()?, signal).with_context(|| format!("failed to send {signal} to a member"))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Ok(())
}
