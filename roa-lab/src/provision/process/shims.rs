//! [`Shims`]: the shims that this program started, kept until they ended so that none stays a zombie.

use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::procfs::Process;
use crate::provision::{LabIdentity, ProvisionError};

/// A bounded set of children. Shims of an earlier `roa` are not among them: the system reaps those.
#[derive(Debug)]
pub(super) struct Shims {
    limit: usize,
    running: Mutex<Vec<(LabIdentity, Child)>>,
}

impl Shims {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, running: Mutex::default() }
    }

    /// Starts one more.
    pub(super) fn spawn(&self, lab: &LabIdentity, command: &mut Command) -> Result<(), ProvisionError> {
        let mut running = self.running();
        reap(&mut running);
        if running.len() >= self.limit {
            return Err(ProvisionError::AtCapacity { lab: lab.clone(), limit: self.limit });
        }
        let child = command.spawn().map_err(ProvisionError::io("run", command.get_program().as_ref()))?;
        running.push((lab.clone(), child));
        Ok(())
    }

    /// The lab's shim, if this program started it and it still runs. Nobody else can have its pid before it is reaped.
    pub(super) fn find(&self, uid: &str) -> Option<Process> {
        let running = self.running();
        let mut of_the_lab = running.iter().filter(|(lab, _)| lab.uid == uid);
        of_the_lab.find_map(|(_, child)| Process::find(i32::try_from(child.id()).ok()?))
    }

    /// Lets go of those that ended.
    pub(super) fn reap(&self) {
        reap(&mut self.running());
    }

    fn running(&self) -> MutexGuard<'_, Vec<(LabIdentity, Child)>> {
        // A panic here can't leave the vector between two states.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reap(running: &mut Vec<(LabIdentity, Child)>) {
    running.retain_mut(|(lab, child)| match child.try_wait() {
        Ok(None) => true,
        Ok(Some(status)) => {
            report(lab, status);
            false
        }
        Err(error) => {
            tracing::warn!(%lab, uid = lab.uid, %error, "failed to wait for a shim");
            false
        }
    });
}

fn report(lab: &LabIdentity, status: ExitStatus) {
    if status.success() {
        tracing::debug!(%lab, uid = lab.uid, "shim ended");
    } else {
        tracing::warn!(%lab, uid = lab.uid, %status, "shim failed");
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn lab() -> LabIdentity {
        LabIdentity { uid: "1".into(), namespace: "labs".into(), name: "a".into() }
    }

    #[test]
    fn the_set_is_bounded_and_has_room_again_when_a_shim_ends() {
        let shims = Shims::new(1);
        shims.spawn(&lab(), Command::new("sleep").arg("60")).unwrap();
        let refused = shims.spawn(&lab(), &mut Command::new("true")).unwrap_err();
        assert!(matches!(refused, ProvisionError::AtCapacity { limit: 1, .. }), "{refused}");

        assert!(shims.find(&lab().uid).is_some() && shims.find("2").is_none());
        shims.running()[0].1.kill().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while shims.find(&lab().uid).is_some() {
            assert!(Instant::now() < deadline, "the child never died");
            std::thread::yield_now();
        }
        shims.reap();
        assert!(shims.running().is_empty());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Shims::new(1).spawn(&lab(), &mut Command::new("/nowhere/roa")).unwrap_err();
        assert!(error.to_string().starts_with("run /nowhere/roa: "), "{error}");
    }
}
