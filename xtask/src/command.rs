//! [`Run`]: other programs, run in the workspace.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// One run of a program.
pub(crate) struct Run {
    command: Command,
    /// As it would be typed.
    shown: String,
}

impl Run {
    /// `cargo` itself, the one that runs this.
    pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(tells_of_this_program)) {
            command.env_remove(name);
        }
        Self::new(root, command, "cargo", arguments)
    }

    /// Any other program.
    pub(crate) fn program(root: &Path, name: &str, arguments: &[&str]) -> Self {
        Self::new(root, Command::new(name), name, arguments)
    }

    fn new(root: &Path, mut command: Command, name: &str, arguments: &[&str]) -> Self {
        command.args(arguments).current_dir(root).stdin(Stdio::null());
        Self { command, shown: format!("{name} {}", arguments.join(" ")) }
    }

    /// With a variable set.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self.shown = format!("{name}={value:?} {}", self.shown);
        self
    }

    /// Runs it to its end, its output to the terminal.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let status = self.command.status().map_err(|error| format!("failed to run `{}`: {error}", self.shown))?;
        self.judge(status)
    }

    /// Runs it to its end and gives its output.
    pub(crate) fn output(mut self) -> Result<String, String> {
        let mut lines = Vec::new();
        let status = self.lines(|line| lines.push(line.to_owned()))?;
        self.judge(status).map(|()| lines.join("\n"))
    }

    /// Runs it to its end, with each line of its output to `each`; the same with an end that is a failure.
    pub(crate) fn each_line(mut self, each: impl FnMut(&str)) -> Result<(), String> {
        let status = self.lines(each)?;
        self.judge(status)
    }

    fn lines(&mut self, mut each: impl FnMut(&str)) -> Result<ExitStatus, String> {
        let failed = |error: std::io::Error| format!("failed to run `{}`: {error}", self.shown);
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut output = child.stdout.take().map(BufReader::new).ok_or("a piped program has no output")?;
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
            line.clear();
        }
        child.wait().map_err(failed)
    }

    fn judge(&self, status: ExitStatus) -> Result<(), String> {
        if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", self.shown)) }
    }
}

/// Whether cargo sets a variable to say whom it runs: this program. Some build scripts are run again when such a variable
/// changes, and with them all is built again that needs what they make.
fn tells_of_this_program(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix))
        || name == "OUT_DIR"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Run {
        Run::program(Path::new("."), "sh", &["-c", script])
    }

    #[test]
    fn lines_arrive_whole_whatever_bytes_they_hold() {
        let mut lines = Vec::new();
        shell("printf 'a\\nb\\377\\nc'").each_line(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["a", "b\u{fffd}", "c"]);
    }

    #[test]
    fn a_failure_says_what_was_run_and_how_it_ended() {
        assert_eq!(shell("exit 3").run().unwrap_err(), "`sh -c exit 3` ended with exit status: 3");
        assert_eq!(shell("exit 3").output().unwrap_err(), "`sh -c exit 3` ended with exit status: 3");
        let missing = Run::program(Path::new("."), "no-such-program-at-all", &[]).run().unwrap_err();
        assert!(missing.starts_with("failed to run `no-such-program-at-all `: "), "{missing}");
    }

    #[test]
    fn what_cargo_says_of_this_program_is_not_passed_on_and_what_people_tell_cargo_is() {
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_LINKS"] {
            assert!(tells_of_this_program(name), "{name}");
        }
        for name in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "CARGO_INCREMENTAL", "CC"] {
            assert!(!tells_of_this_program(name), "{name}");
        }
    }

    #[test]
    fn variables_reach_the_program() {
        assert_eq!(shell("echo $X").variable("X", "a b").output().unwrap(), "a b");
    }
}
