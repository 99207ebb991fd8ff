//! [`describe`]: how a lab ended, in one line that says enough and no secret.

use std::io;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::child::End;
use crate::provision::environment::scrub;
use crate::provision::process::{Exit, LabDirectory, LabRecord, wall_clock};

/// How much of the end of the output is looked at, in bytes.
const TAIL_BYTES: usize = 8 << 10;
/// How many of its lines are told.
const TAIL_LINES: usize = 3;
/// How many characters of them.
const TAIL_CHARS: usize = 500;

pub(super) fn describe(
    lab: &LabDirectory,
    record: &LabRecord,
    end: &End,
    left_behind: Option<io::Error>,
) -> io::Result<Exit> {
    let (code, signal) = (end.status.code(), end.status.signal());
    let mut message = headline(end.requested, code, signal);
    let said = if end.requested { String::new() } else { last_lines(&lab.output()?, record) };
    if !said.is_empty() {
        message = format!("{message}: {said}");
    }
    if let Some(error) = left_behind {
        message = format!("{message} (a process of it could not be killed: {error})");
    }
    Ok(Exit { code, signal, at: wall_clock(), message })
}

fn headline(requested: bool, code: Option<i32>, signal: Option<i32>) -> String {
    match (requested, code, signal) {
        (true, _, _) => "stopped".to_owned(),
        (false, Some(code), _) => format!("exited with code {code}"),
        (false, None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (false, None, None) => "ended".to_owned(),
    }
}

/// The last lines of the output, fit for a table: in one line, without secrets and without control characters.
fn last_lines(output: &[u8], record: &LabRecord) -> String {
    // Secrets go before anything is cut, or half of one might stay.
    let tail = scrub(&String::from_utf8_lossy(whole_lines(output)), &record.environment);
    let mut lines: Vec<&str> = tail.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = lines.split_off(lines.len().saturating_sub(TAIL_LINES)).join(" / ");
    let printable: Vec<char> = told.chars().filter(|c| !c.is_control()).collect();
    let start = printable.len().saturating_sub(TAIL_CHARS);
    printable[start..].iter().collect()
}

/// The end of the output, from the begin of a line.
fn whole_lines(output: &[u8]) -> &[u8] {
    let Some(start) = output.len().checked_sub(TAIL_BYTES) else { return output };
    let tail = &output[start..];
    tail.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &tail[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::{LabIdentity, ProcessConfig, ProcessTemplate, ProvisionRequest};

    fn record() -> LabRecord {
        let request = ProvisionRequest {
            lab: LabIdentity { uid: "1".into(), namespace: "labs".into(), name: "a".into() },
            process: Some(ProcessTemplate { command: vec!["true".into()], ..ProcessTemplate::default() }),
            simulated: None,
            environment: [("A_TOKEN".to_owned(), "canary".to_owned())].into(),
            attempt: 0,
        };
        LabRecord::of(&request, &ProcessConfig::new("/data", "/bin/roa")).unwrap()
    }

    #[test]
    fn each_kind_of_end_has_its_words() {
        assert_eq!(headline(true, None, Some(15)), "stopped");
        assert_eq!(headline(false, Some(3), None), "exited with code 3");
        assert_eq!(headline(false, None, Some(9)), "killed by SIGKILL");
        assert_eq!(headline(false, None, Some(64)), "killed by signal 64");
    }

    #[test]
    fn the_last_lines_are_one_line_for_a_terminal() {
        let output = b"one\ntwo\n\n\x1b[31mthree\x07\n  four  \n";
        assert_eq!(last_lines(output, &record()), "two / [31mthree / four");
        assert_eq!(last_lines(b"", &record()), "");
        assert_eq!(last_lines(&[0xff, b'x'], &record()), "\u{fffd}x");
    }

    #[test]
    fn t14_no_secret_is_told_whole_or_in_part() {
        let mut output = vec![b'-'; TAIL_BYTES - 4];
        output.splice(0..0, *b"can");
        output.extend_from_slice(b"ary");
        assert_eq!(last_lines(&output, &record()), "", "a line that was cut is not told");
        assert_eq!(last_lines(b"token=canary", &record()), "token=<redacted>");
    }

    #[test]
    fn what_is_told_is_bounded() {
        let line = "x".repeat(TAIL_CHARS * 2);
        assert_eq!(last_lines(line.as_bytes(), &record()).len(), TAIL_CHARS);
    }
}
