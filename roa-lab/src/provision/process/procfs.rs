//! Which processes run, from `/proc`, and how one is signalled without ever hitting another.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// In the environment of each process of a lab: the lab's uid.
pub(in crate::provision) const LAB_UID: &str = "ROA_LAB_UID";
/// In the environment of a lab's shim, and not of the lab: the lab's uid.
pub(in crate::provision) const SHIM_UID: &str = "ROA_LAB_SHIM";

const PROC: &str = "/proc";
/// The flag of the kernel's own threads.
const KERNEL_THREAD: u64 = 0x0020_0000;
const LOOKS_AT_EMPTY_ENVIRONMENT: usize = 10;

/// A process, told apart from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::provision) struct ProcessId {
    pub(in crate::provision) pid: i32,
    /// In clock ticks since the machine started.
    pub(in crate::provision) start_time: u64,
}

/// A process that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provision) struct Process {
    pub(in crate::provision) id: ProcessId,
    pub(in crate::provision) session: i32,
    /// The kernel's own have no environment.
    is_kernel: bool,
}

impl Process {
    /// The living process with this pid.
    pub(in crate::provision) fn find(pid: i32) -> Option<Self> {
        // A process may vanish between any two steps: that is an answer, not an error.
        parse_stat(pid, &fs::read_to_string(format!("{PROC}/{pid}/stat")).ok()?)
    }

    /// Whether its environment said so when it began. That of another user's process is not to be read: `false`.
    pub(in crate::provision) fn is_marked(&self, variable: &str, uid: &str) -> bool {
        let expected = format!("{variable}={uid}");
        self.environment().split(|byte| *byte == 0).any(|entry| entry == expected.as_bytes())
    }

    /// Of which lab it is, if that is one below this directory; it need not be there any more.
    fn marked_below(&self, path: &Path) -> Option<String> {
        let place = format!("{PROC}/{}", self.id.pid);
        let works_there = || fs::read_link(format!("{place}/cwd")).is_ok_and(|cwd| cwd.starts_with(path));
        let is_told_it = || {
            let words = fs::read(format!("{place}/cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|word| Path::new(OsStr::from_bytes(word)).starts_with(path))
        };
        // The cheap questions first: most processes are none of ours.
        if !works_there() && !is_told_it() {
            return None;
        }
        let environment = self.environment();
        let mut entries = environment.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
        entries.find_map(|entry| {
            let (variable, uid) = entry.split_once('=')?;
            [LAB_UID, SHIM_UID].contains(&variable).then(|| uid.to_owned())
        })
    }

    /// It is empty for a moment while a program takes the place of another, so that is looked at more than once.
    fn environment(&self) -> Vec<u8> {
        for _ in 0..LOOKS_AT_EMPTY_ENVIRONMENT {
            match fs::read(format!("{PROC}/{}/environ", self.id.pid)) {
                Ok(environment) if environment.is_empty() && !self.is_kernel => thread::yield_now(),
                environment => return environment.unwrap_or_default(),
            }
        }
        Vec::new()
    }

    /// Sends it a signal. That it has gone meanwhile is fine.
    pub(in crate::provision) fn signal(&self, signal: Signal) -> io::Result<()> {
        gone_is_fine(kill(Pid::from_raw(self.id.pid), signal))
    }
}

impl ProcessId {
    /// This very process, if it lives.
    pub(in crate::provision) fn alive(self) -> Option<Process> {
        Process::find(self.pid).filter(|process| process.id == self)
    }

    /// This very process, if it lives and is the lab's.
    pub(in crate::provision) fn alive_and_marked(self, variable: &str, uid: &str) -> Option<Process> {
        self.alive().filter(|process| process.is_marked(variable, uid))
    }
}

/// All processes that live now.
pub(in crate::provision) fn every_process() -> io::Result<impl Iterator<Item = Process>> {
    let pids = fs::read_dir(PROC)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(Process::find))
}

/// All living shims of a lab.
pub(in crate::provision) fn shims(uid: &str) -> io::Result<Vec<Process>> {
    Ok(every_process()?.filter(|process| process.is_marked(SHIM_UID, uid)).collect())
}

/// All living processes of a lab, without its shim: those with its mark, and those in a session that is certainly the
/// lab's, because one with the mark is in it and the shim or such a process began it.
pub(in crate::provision) fn residents(uid: &str, shim: Option<ProcessId>) -> io::Result<Vec<Process>> {
    let every: Vec<Process> = every_process()?.collect();
    let is_marked = |process: &&Process| process.is_marked(LAB_UID, uid);
    let marked: Vec<&Process> = every.iter().filter(is_marked).collect();
    let began_here = |session: i32| {
        shim.is_some_and(|shim| shim.pid == session) || marked.iter().any(|process| process.id.pid == session)
    };
    let sessions: BTreeSet<i32> = marked.iter().map(|process| process.session).filter(|id| began_here(*id)).collect();
    let is_resident = |process: &&Process| {
        shim != Some(process.id) && (sessions.contains(&process.session) || marked.contains(process))
    };
    Ok(every.iter().filter(is_resident).copied().collect())
}

/// The uids of labs and shims that run for directories below `path`: a shim has it in its arguments, a lab works there.
pub(in crate::provision) fn marked_below(path: &Path) -> io::Result<BTreeSet<String>> {
    Ok(every_process()?.filter_map(|process| process.marked_below(path)).collect())
}

/// Whether this system says which processes run.
pub(in crate::provision) fn check_supported() -> io::Result<()> {
    fs::read_to_string(Path::new(PROC).join("self/stat")).map(drop)
}

/// The caller.
pub(in crate::provision) fn this_process() -> io::Result<Process> {
    let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    Process::find(pid).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this process is not in /proc"))
}

fn gone_is_fine(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Reads `/proc/PID/stat`; `None` for a zombie. The program's name may hold spaces and parentheses, so what follows
/// counts from the last one: state, parent, group, session, ..., flags and the start time as fields 9 and 22 of the
/// whole.
fn parse_stat(pid: i32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    let session = fields.get(3)?.parse().ok()?;
    let flags: u64 = fields.get(6)?.parse().ok()?;
    let start_time = fields.get(19)?.parse().ok()?;
    let process = Process { id: ProcessId { pid, start_time }, session, is_kernel: flags & KERNEL_THREAD != 0 };
    (!matches!(state, "Z" | "X" | "x")).then_some(process)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    /// No condition is awaited longer.
    const BOUND: Duration = Duration::from_secs(10);
    const STAT: &str = "7 (a) b (c)) S 1 7 5 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";

    #[test]
    fn a_name_with_parentheses_moves_no_field() {
        let expected = Process { id: ProcessId { pid: 7, start_time: 12345 }, session: 5, is_kernel: false };
        assert_eq!(parse_stat(7, STAT), Some(expected));
    }

    #[test]
    fn a_zombie_does_not_live() {
        assert_eq!(parse_stat(7, &STAT.replace(") S 1", ") Z 1")), None);
        assert_eq!(parse_stat(7, "7 (a"), None);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let this = this_process().unwrap().id;
        assert!(this.alive().is_some());
        assert!(ProcessId { start_time: this.start_time + 1, ..this }.alive().is_none());
    }

    #[test]
    fn a_mark_is_found_whole_and_only_in_its_own_variable() {
        let mut child = Command::new("sleep").arg("60").env("ROA_TEST_MARK", "mark-1").spawn().unwrap();
        let process = Process::find(i32::try_from(child.id()).unwrap()).unwrap();
        // A program that has just begun has no environment yet.
        let begun = Instant::now();
        while !process.is_marked("ROA_TEST_MARK", "mark-1") && begun.elapsed() < BOUND {
            thread::park_timeout(Duration::from_millis(1));
        }
        let seen = [("ROA_TEST_MARK", "mark-1"), ("ROA_TEST_MARK", "mark"), ("TEST_MARK", "mark-1")]
            .map(|(variable, uid)| process.is_marked(variable, uid));
        process.signal(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(seen, [true, false, false]);
        assert!(process.signal(Signal::SIGKILL).is_ok(), "a process that has gone needs no signal");
    }
}
