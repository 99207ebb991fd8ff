//! Runs the binary in an empty directory and an empty environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A place to run `roa` in: nothing of the machine's configuration shows in it.
pub struct Place {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a run left behind.
#[derive(Debug, PartialEq, Eq)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// With a `roa.toml` of that text.
    pub fn with_config(text: &str) -> Self {
        Self::empty().file("roa.toml", text)
    }

    pub fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.path().join(name), text).unwrap();
        self
    }

    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn roa(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roa"));
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Runs `config check`, which must refuse, and gives its stderr.
    #[track_caller]
    pub fn refusal(&self) -> String {
        let ran = self.roa(&["config", "check"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        ran.stderr
    }
}
