//! [`look`]: what is there of a lab, from its directory and `/proc`.

use std::io;
use std::net::SocketAddr;

use super::LabDirectory;
use super::procfs::{LAB_UID, Process, SHIM_UID, shims};
use super::record::{Exit, LabRecord, RunningChild, ShimState};
use crate::provision::Readiness;

/// What was seen of a lab.
#[derive(Debug)]
pub(super) enum Sight {
    Absent,
    Starting,
    Running(Running),
    Ended(Exit),
}

/// A lab whose shim says that its process lives.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: RunningChild,
    pub(super) address: SocketAddr,
    pub(super) readiness: Readiness,
    pub(super) was_ready: bool,
}

impl Running {
    /// Where the lab answers, as a URL.
    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.readiness.http_get.is_some() { "http" } else { "tcp" };
        format!("{scheme}://{}", self.address)
    }
}

/// Looks without touching anything. `started` is the shim that this very program has started, if it has.
pub(super) fn look(directory: &LabDirectory, uid: &str, started: Option<Process>) -> io::Result<Sight> {
    let Some(record) = intact(directory, directory.record())? else { return Ok(Sight::Absent) };
    let state = intact(directory, directory.state())?;
    let shim = living_shim(state.as_ref(), uid, started)?;
    // After looking for the shim, since writing this is the last that it does.
    if let Some(exit) = intact(directory, directory.exit())? {
        return Ok(Sight::Ended(exit));
    }
    let child = state.as_ref().and_then(|state| state.child.clone());
    match (shim, child) {
        (None, child) => Ok(Sight::Ended(lost(state.is_some(), child, uid))),
        (Some(_), None) => Ok(Sight::Starting),
        (Some(_), Some(child)) => running(directory, record, child).map(Sight::Running),
    }
}

/// The lab's shim: the one that says it is, or else, before it could say so, any that was started for the lab.
pub(super) fn living_shim(
    state: Option<&ShimState>,
    uid: &str,
    started: Option<Process>,
) -> io::Result<Option<Process>> {
    match (state, started) {
        (Some(state), _) => Ok(state.shim.alive_and_marked(SHIM_UID, uid)),
        (None, Some(started)) => Ok(Some(started)),
        (None, None) => Ok(shims(uid)?.first().copied()),
    }
}

/// What a file says; nothing if it is damaged, for then it is not what we wrote.
pub(super) fn intact<T>(directory: &LabDirectory, read: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::warn!(directory = %directory.path().display(), %error, "a lab's file is damaged");
            Ok(None)
        }
        other => other,
    }
}

fn running(directory: &LabDirectory, record: LabRecord, child: RunningChild) -> io::Result<Running> {
    let address = SocketAddr::new(record.bind_address, child.port);
    Ok(Running { child, address, readiness: record.process.readiness, was_ready: directory.was_ready()? })
}

/// The end of a lab whose shim could not write it down.
fn lost(began: bool, child: Option<RunningChild>, uid: &str) -> Exit {
    let stray = child.is_some_and(|child| child.process.alive_and_marked(LAB_UID, uid).is_some());
    let message = match (began, stray) {
        (false, _) => "its shim ended before it could begin",
        (true, true) => "its shim is gone and its process was left behind, until the next start or stop",
        (true, false) => "its shim and its process are gone",
    };
    Exit::without_process(None, message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::provision::process::procfs::{ProcessId, this_process};
    use crate::provision::process::record::wall_clock;
    use crate::provision::{LabIdentity, ProcessConfig, ProcessTemplate, ProvisionRequest};

    const UID: &str = "00000000-sight";

    fn recorded() -> (tempfile::TempDir, LabDirectory) {
        let parent = tempfile::tempdir().unwrap();
        let directory = LabDirectory::new(parent.path());
        let request = ProvisionRequest {
            lab: LabIdentity { uid: UID.into(), namespace: "labs".into(), name: "a".into() },
            process: Some(ProcessTemplate { command: vec!["true".into()], ..ProcessTemplate::default() }),
            simulated: None,
            environment: BTreeMap::new(),
            attempt: 0,
        };
        let record = LabRecord::of(&request, &ProcessConfig::new("/data", "/bin/roa")).unwrap();
        directory.renew(&record, &BTreeMap::new()).unwrap();
        (parent, directory)
    }

    fn message(directory: &LabDirectory) -> String {
        match look(directory, UID, None).unwrap() {
            Sight::Ended(exit) => exit.message,
            other => panic!("expected an end, found {other:?}"),
        }
    }

    #[test]
    fn nothing_recorded_is_absent_also_when_the_record_is_damaged() {
        let (_parent, directory) = recorded();
        fs::write(directory.path().join("lab.json"), "{}").unwrap();
        assert!(matches!(look(&directory, UID, None), Ok(Sight::Absent)));
        let nowhere = LabDirectory::new(directory.path().join("nowhere"));
        assert!(matches!(look(&nowhere, UID, None), Ok(Sight::Absent)));
    }

    #[test]
    fn a_lab_without_a_shim_has_ended_and_says_what_is_known() {
        let (_parent, directory) = recorded();
        assert!(message(&directory).contains("before it could begin"));

        let gone = ProcessId { pid: i32::MAX, start_time: 1 };
        let child = RunningChild { process: gone, port: 1, started_at: wall_clock() };
        directory.write_state(&ShimState { shim: gone, child: Some(child) }).unwrap();
        assert!(message(&directory).contains("its shim and its process are gone"));

        directory.write_exit(&Exit::without_process(Some(3), "exited with code 3".into())).unwrap();
        assert_eq!(message(&directory), "exited with code 3");
    }

    #[test]
    fn a_process_that_only_has_the_pid_of_the_shim_is_not_the_shim() {
        let (_parent, directory) = recorded();
        let this = this_process().unwrap().id;
        for start_time in [this.start_time, this.start_time + 1] {
            let shim = ProcessId { start_time, ..this };
            directory.write_state(&ShimState { shim, child: None }).unwrap();
            assert!(message(&directory).contains("gone"));
        }
    }
}
