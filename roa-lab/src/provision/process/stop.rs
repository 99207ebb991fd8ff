//! Ending a lab, step by step: its shim, what the shim left behind, its directory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::LabDirectory;
use super::launch::kill_processes;
use super::procfs::Process;
use super::provisioner::Labs;
use super::sight::{intact, living_shim};
use crate::provision::{LabIdentity, ProcessTemplate, ProvisionError, StopProgress};

impl Labs {
    /// One step, and how far it led.
    pub(super) fn stop(&self, lab: &LabIdentity) -> Result<StopProgress, ProvisionError> {
        self.shims.reap();
        let directory = self.directory(&lab.uid)?;
        let gone = self.end_shim(&directory, &lab.uid)?
            && kill_processes(&directory, &lab.uid)? == 0
            && remove_unless_in_use(&directory)?;
        if !gone {
            return Ok(StopProgress::Stopping);
        }
        self.stops.forget(&lab.uid);
        self.shims.reap();
        Ok(StopProgress::Gone)
    }

    /// Whether no shim is left. One that is left is asked to end once, and killed when the lab's grace is over.
    fn end_shim(&self, directory: &LabDirectory, uid: &str) -> Result<bool, ProvisionError> {
        let read = || living_shim(intact(directory, directory.state())?.as_ref(), uid, self.shims.find(uid));
        let shim = read().map_err(ProvisionError::io("look for the shim of", directory.path()))?;
        let Some(shim) = shim else { return Ok(true) };
        match self.stops.urgency(uid, self.patience(directory)?) {
            Urgency::Ask => signal(directory, shim, Signal::SIGTERM)?,
            Urgency::Wait => {}
            Urgency::Insist => {
                tracing::warn!(uid, "killing a lab whose shim did not end in time");
                // The shim first: it would take its lab's end for an exit, and write it down.
                signal(directory, shim, Signal::SIGKILL)?;
                kill_processes(directory, uid)?;
            }
        }
        Ok(false)
    }

    /// How long its shim may take to end.
    fn patience(&self, directory: &LabDirectory) -> Result<Duration, ProvisionError> {
        let record = intact(directory, directory.record()).map_err(ProvisionError::io("read", directory.path()))?;
        let process = record.map_or_else(ProcessTemplate::default, |record| record.process);
        Ok(process.stop_grace.0.saturating_add(self.config.stop_margin))
    }
}

fn signal(directory: &LabDirectory, shim: Process, signal: Signal) -> Result<(), ProvisionError> {
    shim.signal(signal).map_err(ProvisionError::io("signal the shim of", directory.path()))
}

/// Removes the directory, unless someone works in it just now.
fn remove_unless_in_use(directory: &LabDirectory) -> Result<bool, ProvisionError> {
    if !directory.exists() {
        return Ok(true);
    }
    let lock = directory.try_lock().map_err(ProvisionError::io("lock", directory.path()))?;
    if lock.is_none() {
        return Ok(false);
    }
    directory.remove().map_err(ProvisionError::io("remove", directory.path()))?;
    Ok(true)
}

/// Since when labs are being stopped, by uid. As many as there are labs at most.
#[derive(Debug, Default)]
pub(super) struct Stops {
    since: Mutex<BTreeMap<String, Instant>>,
}

/// What a stop should do next.
#[derive(Debug, PartialEq, Eq)]
enum Urgency {
    Ask,
    Wait,
    Insist,
}

impl Stops {
    fn urgency(&self, uid: &str, patience: Duration) -> Urgency {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match since.get(uid) {
            Some(asked) if asked.elapsed() > patience => Urgency::Insist,
            Some(_) => Urgency::Wait,
            None => {
                since.insert(uid.to_owned(), Instant::now());
                Urgency::Ask
            }
        }
    }

    fn forget(&self, uid: &str) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_is_asked_once_then_waited_for_then_killed() {
        let stops = Stops::default();
        assert_eq!(stops.urgency("a", Duration::MAX), Urgency::Ask);
        assert_eq!(stops.urgency("a", Duration::MAX), Urgency::Wait);
        assert_eq!(stops.urgency("a", Duration::ZERO), Urgency::Insist);
        assert_eq!(stops.urgency("b", Duration::ZERO), Urgency::Ask);
        stops.forget("a");
        assert_eq!(stops.urgency("a", Duration::MAX), Urgency::Ask);
    }
}
