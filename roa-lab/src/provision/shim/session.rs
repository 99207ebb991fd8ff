//! [`end_session`]: nothing of a lab outlives its command.

use std::io;

use nix::sys::signal::Signal;

use crate::provision::process::{LAB_UID, Process, every_process};

/// A process may fork while it is being killed; its children are found in the next round.
const ROUNDS: usize = 3;

/// Kills what the command started and left behind: all processes of the shim's session, and those that began one of
/// their own but carry the lab's mark. While the shim lives, nobody else's session has its number.
///
/// # Errors
/// The first process that could not be killed; all were tried.
pub(super) fn end_session(shim: Process, uid: &str) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..ROUNDS {
        for process in every_process()?.filter(|process| is_of_the_lab(process, shim, uid)) {
            result = result.and(process.signal(Signal::SIGKILL));
        }
    }
    result
}

fn is_of_the_lab(process: &Process, shim: Process, uid: &str) -> bool {
    // A shim that was started by hand may be in the session of a terminal: what else is in there is not the lab's.
    let leads = shim.session == shim.id.pid;
    process.id != shim.id && ((leads && process.session == shim.session) || process.is_marked(LAB_UID, uid))
}
