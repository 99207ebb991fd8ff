//! Labs that are processes of this machine.
//!
//! Each lab has one directory and one shim, a small process that outlives `roa`, runs the lab's command and writes down
//! how it ends. What is true is always read from the directory and from `/proc`; memory holds nothing that a restart of
//! `roa` would miss. A process is known by pid, start time and the lab's uid in its environment, never by pid alone.

mod blocking;
mod config;
mod directory;
mod follow;
mod launch;
mod logs;
mod probe;
mod procfs;
mod provisioner;
mod record;
mod shims;
mod sight;
mod stop;

pub use config::ProcessConfig;
pub(super) use directory::LabDirectory;
pub use logs::{LabLogs, LogError, LogStream};
pub(super) use procfs::{LAB_UID, Process, ProcessId, SHIM_UID, every_process, this_process};
pub use provisioner::ProcessProvisioner;
pub(super) use record::{Exit, LabRecord, RunningChild, ShimState, wall_clock};
