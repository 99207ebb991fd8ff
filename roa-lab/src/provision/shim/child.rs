//! [`Child`]: the lab's command, in its own process group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{self, Command};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::capped_log::CappedLog;
use super::mask::Mask;
use super::placeholders::Placeholders;
use crate::provision::ProcessTemplate;
use crate::provision::process::{LAB_UID, LabDirectory, LabRecord, Process, ProcessId, SHIM_UID};

/// How long the last output may take to arrive. A process that escaped may hold it open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The running command. Its process group is its own for as long as it was not waited for.
pub(super) struct Child {
    process: process::Child,
    group: Pid,
    output: JoinHandle<()>,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    /// Whether that was asked for.
    pub(super) requested: bool,
}

impl Child {
    /// Starts it, on this port.
    pub(super) fn spawn(lab: &LabDirectory, record: &LabRecord, port: u16) -> io::Result<Self> {
        let mut log = CappedLog::open(lab.logs(), record.log_cap_bytes)?;
        let (reader, writer) = io::pipe()?;
        let mut command = command(lab, record, port)?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let process = command.spawn()?;
        // It holds the pipe open as well.
        drop(command);
        let group = process.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        let group = group.ok_or_else(|| io::Error::other("the command has no process id"))?;
        let mut mask = Mask::of(record);
        Ok(Self { process, group, output: spawn_blocking(move || log.copy(reader, &mut mask)) })
    }

    /// Which process it is.
    pub(super) fn id(&self) -> io::Result<ProcessId> {
        // One that ended already is a zombie until it is waited for, and has no life to be told apart from.
        let pid = self.group.as_raw();
        Ok(Process::find(pid).map_or(ProcessId { pid, start_time: 0 }, |process| process.id))
    }

    /// Runs until it ends, or until it was asked to end and did, or was killed for not doing so.
    pub(super) async fn run(mut self, template: &ProcessTemplate, requests: &mut StopRequests) -> io::Result<End> {
        let (status, requested) = tokio::select! {
            status = self.process.wait() => (status?, false),
            () = requests.next() => (self.stop(template).await?, true),
        };
        // What does not arrive in time is the output of a process that is none of ours any more.
        let _ = timeout(LAST_OUTPUT, &mut self.output).await;
        Ok(End { status, requested })
    }

    async fn stop(&mut self, template: &ProcessTemplate) -> io::Result<ExitStatus> {
        self.signal_group(template.signal().unwrap_or(Signal::SIGTERM));
        match timeout(template.stop_grace.0, self.process.wait()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// Kills its group and waits for its end.
    pub(super) async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.signal_group(Signal::SIGKILL);
        self.process.wait().await
    }

    fn signal_group(&self, signal: Signal) {
        // It fails for a group that has gone, or is not ours to signal: either way, waiting is all that is left.
        let _ = killpg(self.group, signal);
    }
}

fn command(lab: &LabDirectory, record: &LabRecord, port: u16) -> io::Result<Command> {
    let placeholders = Placeholders::new(lab, record, port);
    let mut words = record.process.command.iter().map(|word| placeholders.fill(word));
    let program = words.next().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut command = Command::new(program);
    command.args(words).current_dir(lab.work()).process_group(0);
    command.env_remove(SHIM_UID).envs(&record.environment).env(LAB_UID, &record.lab.uid);
    Ok(command)
}

/// Signals that ask the shim to end its lab. From `listen` on they no longer end the shim itself.
pub(super) struct StopRequests {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl StopRequests {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one; also one that came before this was called.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
