//! [`run_shim`]: one lab, from its record to its end.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::unistd::setsid;
use thiserror::Error;
use tokio::runtime::Builder;

use super::child::{Child, End, StopRequests};
use super::ending;
use super::ports::{is_taken, pick};
use super::session::end_session;
use crate::provision::process::{
    Exit, LabDirectory, LabRecord, ProcessId, RunningChild, ShimState, this_process, wall_clock,
};

/// How many ports a command is tried on.
const PORT_TRIES: usize = 5;
/// A command that ends later than this has not failed for its port.
const PORT_CONFLICT_WINDOW: Duration = Duration::from_secs(15);
/// What shells say when there is no such command.
const NOT_FOUND: i32 = 127;
/// What shells say when a file can't be run.
const NOT_RUNNABLE: i32 = 126;

/// What became of a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShimOutcome {
    /// It ran the lab until its end, and wrote down how it ended.
    Ran,
    /// There was nothing to do: another shim runs the lab, or has run it.
    Adopted,
}

/// Why a shim could not do its work.
#[derive(Debug, Error)]
#[error("{action} in {directory}: {error}")]
pub struct ShimError {
    action: &'static str,
    directory: String,
    error: io::Error,
}

/// Runs the lab whose directory this is, until it ends or SIGTERM asks it to. This is all that `roa lab-shim` does.
///
/// Builds a runtime of its own: call it where none runs.
///
/// # Errors
/// When the directory is not one that a provisioner has prepared, or can't be used.
pub fn run_shim(directory: &Path) -> Result<ShimOutcome, ShimError> {
    let failed = |action| move |error| ShimError { action, directory: directory.display().to_string(), error };
    lead_a_session().map_err(failed("lead a session"))?;
    let lab = LabDirectory::new(directory);
    let Some(_lock) = lab.try_lock().map_err(failed("take the lock"))? else { return Ok(ShimOutcome::Adopted) };
    if lab.has_run().map_err(failed("look for an earlier run"))? {
        return Ok(ShimOutcome::Adopted);
    }
    let exit = run_recorded(&lab).map_err(failed("read what to run"))?;
    lab.write_exit(&exit).map_err(failed("write how the lab ended"))?;
    Ok(ShimOutcome::Ran)
}

/// Lets signals to the terminal of `roa` pass by. A shim that was started by hand leads a group already.
fn lead_a_session() -> io::Result<()> {
    match setsid() {
        Ok(_) | Err(Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The end of the lab: also when nothing could be begun, for that too is to be told.
fn run_recorded(lab: &LabDirectory) -> io::Result<Exit> {
    let record = lab.record()?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no lab.json"))?;
    let run = || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let exit = runtime.block_on(supervise(lab, &record));
        // Not dropped: that would wait for the thread that reads the output of a process that escaped.
        runtime.shutdown_background();
        exit
    };
    Ok(run().unwrap_or_else(|error| Exit::without_process(None, format!("its shim failed: {error}"))))
}

/// Runs the command, again on another port if the first was taken from under it.
async fn supervise(lab: &LabDirectory, record: &LabRecord) -> io::Result<Exit> {
    let mut requests = StopRequests::listen()?;
    let shim = this_process()?;
    lab.write_state(&ShimState { shim: shim.id, child: None })?;
    let mut tries_left = PORT_TRIES;
    loop {
        tries_left -= 1;
        let port = pick(record.bind_address, record.ports.as_ref())?;
        let started = Instant::now();
        let child = match Child::spawn(lab, record, port) {
            Ok(child) => child,
            Err(error) => return Ok(not_started(record, &error)),
        };
        let end = run_child(lab, record, child, port, shim.id, &mut requests).await?;
        let left_behind = end_session(shim, &record.lab.uid).err();
        if tries_left > 0 && failed_early(&end, started) && is_taken(record.bind_address, port) {
            continue;
        }
        return ending::describe(lab, record, &end, left_behind);
    }
}

async fn run_child(
    lab: &LabDirectory,
    record: &LabRecord,
    mut child: Child,
    port: u16,
    shim: ProcessId,
    requests: &mut StopRequests,
) -> io::Result<End> {
    let running = RunningChild { process: child.id()?, port, started_at: wall_clock() };
    if let Err(error) = lab.write_state(&ShimState { shim, child: Some(running) }) {
        // What is not written down can't be found again.
        child.kill().await?;
        return Err(error);
    }
    child.run(&record.process, requests).await
}

fn failed_early(end: &End, started: Instant) -> bool {
    !end.requested && !end.status.success() && started.elapsed() < PORT_CONFLICT_WINDOW
}

fn not_started(record: &LabRecord, error: &io::Error) -> Exit {
    let program = record.process.command.first().map_or("", String::as_str);
    let (code, reason) = match error.kind() {
        io::ErrorKind::NotFound => (Some(NOT_FOUND), "not found".to_owned()),
        io::ErrorKind::PermissionDenied => (Some(NOT_RUNNABLE), "not executable".to_owned()),
        _ => (None, error.to_string()),
    };
    Exit::without_process(code, format!("{program}: {reason}"))
}
