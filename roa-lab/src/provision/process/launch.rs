//! Beginning a lab: what is recorded, and in which order, before anything runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::LabDirectory;
use super::procfs::{SHIM_UID, residents};
use super::provisioner::Labs;
use super::record::LabRecord;
use super::sight::{Sight, intact};
use crate::provision::{LabIdentity, ProvisionError, ProvisionRequest};

/// What became of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Launch {
    /// A shim was started.
    Begun,
    /// A shim runs the lab already.
    Runs,
    /// A shim is just ending, or another start or a stop is at this very place: try again soon.
    Busy,
}

impl Labs {
    /// Sees to it that a shim runs what is asked for.
    pub(super) fn launch(&self, request: &ProvisionRequest) -> Result<Launch, ProvisionError> {
        self.shims.reap();
        let directory = self.directory(&request.lab.uid)?;
        let record = LabRecord::of(request, &self.config)?;
        let files = request.process.as_ref().map(|process| &process.files);
        self.admit(&directory, &request.lab)?;
        if !self.prepare(&directory, &record, files.unwrap_or(&BTreeMap::new()))? {
            return self.who_is_there(&directory, &request.lab.uid);
        }
        let mut command = self.shim_command(&directory, &request.lab)?;
        self.shims.spawn(&request.lab, &mut command)?;
        tracing::info!(lab = %request.lab, uid = request.lab.uid, attempt = request.attempt, "lab started");
        Ok(Launch::Begun)
    }

    /// Who holds the lock.
    fn who_is_there(&self, directory: &LabDirectory, uid: &str) -> Result<Launch, ProvisionError> {
        match self.look(directory, uid)? {
            Sight::Starting | Sight::Running(_) => Ok(Launch::Runs),
            Sight::Absent | Sight::Ended(_) => Ok(Launch::Busy),
        }
    }

    /// Makes the lab's directory, if there is a place for one more.
    fn admit(&self, directory: &LabDirectory, lab: &LabIdentity) -> Result<(), ProvisionError> {
        // Counting and making are one step, or two starts would take the last place.
        let _one_at_a_time = self.one_admission_at_a_time();
        if directory.exists() {
            return Ok(());
        }
        let taken = fs::read_dir(&self.path).map_or(0, Iterator::count);
        if taken >= self.config.max_labs {
            return Err(ProvisionError::AtCapacity { lab: lab.clone(), limit: self.config.max_labs });
        }
        directory.create().map_err(ProvisionError::io("create", directory.path()))
    }

    /// Makes everything ready for a shim; `false` if somebody else holds the lock.
    fn prepare(
        &self,
        directory: &LabDirectory,
        record: &LabRecord,
        files: &BTreeMap<String, String>,
    ) -> Result<bool, ProvisionError> {
        let Some(lock) = directory.try_lock().map_err(ProvisionError::io("lock", directory.path()))? else {
            return Ok(false);
        };
        kill_processes(directory, &record.lab.uid)?;
        directory.renew(record, files).map_err(ProvisionError::io("prepare", directory.path()))?;
        // Not only dropped: a process that another thread is just starting may hold a copy of the file for a moment.
        lock.unlock().map_err(ProvisionError::io("unlock", directory.path()))?;
        Ok(true)
    }

    fn shim_command(&self, directory: &LabDirectory, lab: &LabIdentity) -> Result<Command, ProvisionError> {
        let complaints =
            directory.shim_log().map_err(ProvisionError::io("open the shim's log in", directory.path()))?;
        let mut command = Command::new(&self.config.roa_binary);
        command.arg("lab-shim").arg("--dir").arg(directory.path()).current_dir("/");
        command.env_clear().envs(self.inherited_environment()).env(SHIM_UID, &lab.uid);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints);
        Ok(command)
    }

    fn inherited_environment(&self) -> impl Iterator<Item = (&String, OsString)> {
        let names = self.config.inherited_environment.iter();
        names.filter_map(|name| std::env::var_os(name).map(|value| (name, value)))
    }
}

/// Kills the processes of a lab that has no shim to do it, and says how many processes that were.
pub(super) fn kill_processes(directory: &LabDirectory, uid: &str) -> Result<usize, ProvisionError> {
    let kill = || {
        let shim = intact(directory, directory.state())?.map(|state| state.shim);
        let processes = residents(uid, shim)?;
        processes.iter().try_for_each(|process| process.signal(Signal::SIGKILL))?;
        Ok(processes.len())
    };
    let killed = kill().map_err(ProvisionError::io("end the processes of", directory.path()))?;
    if killed > 0 {
        tracing::warn!(uid, killed, "killed what a shim left behind");
    }
    Ok(killed)
}
