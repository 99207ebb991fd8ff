//! [`Failure`]: how a command ends when it does not end well, and what is printed then.

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

use crate::admin::SocketError;
use crate::client::ClientError;
use crate::config::Problems;
use crate::engine::Rejected;
use crate::manifest::Broken;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration is wrong.
    Configuration(Problems),
    /// Files given to it are wrong.
    Manifests(Broken),
    /// Manifests are wrong, or the store did not take them.
    Rejected(Rejected),
    /// It began and failed.
    Run(anyhow::Error),
}

/// The exit status for a wrong command line, configuration or manifest: nothing has begun. clap uses the same.
const EXIT_USAGE: u8 = 2;

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Manifests(broken)
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

impl Failure {
    /// Prints it to stderr, an `error:` line for each problem and a `hint:` line where there is something to do, and
    /// answers with the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        // There is nowhere left to say that stderr can't be written.
        let _ = self.write(&mut anstream::stderr().lock());
        match self {
            Self::Configuration(_) | Self::Manifests(_) => ExitCode::from(EXIT_USAGE),
            Self::Rejected(rejected) if rejected.applied == 0 => ExitCode::from(EXIT_USAGE),
            Self::Run(error) if error.downcast_ref().is_some_and(ClientError::is_usage) => ExitCode::from(EXIT_USAGE),
            Self::Rejected(_) | Self::Run(_) => ExitCode::FAILURE,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Configuration(Problems(problems)) => problems.iter().try_for_each(|problem| {
                write_line(out, ERROR, "error", &problem.to_string())?;
                problem.hint.iter().try_for_each(|hint| write_line(out, HINT, "hint", hint))
            }),
            Self::Manifests(Broken(flaws)) => {
                flaws.iter().try_for_each(|flaw| write_line(out, ERROR, "error", &flaw.to_string()))?;
                write_line(out, HINT, "hint", "none of the manifests was applied")
            }
            Self::Rejected(Rejected { reasons, applied }) => {
                reasons.iter().try_for_each(|reason| write_line(out, ERROR, "error", reason))?;
                let done = match applied {
                    0 => "none of the manifests was applied".to_owned(),
                    count => format!("{count} manifests before it were applied"),
                };
                write_line(out, HINT, "hint", &done)
            }
            Self::Run(error) if matches!(error.downcast_ref(), Some(ClientError::Told)) => Ok(()),
            Self::Run(error) => write_chain(out, error),
        }
    }
}

/// The chain of causes on one line, then what can be done about them.
fn write_chain(out: &mut dyn Write, error: &anyhow::Error) -> io::Result<()> {
    let causes: Vec<_> = error.chain().map(ToString::to_string).collect();
    write_line(out, ERROR, "error", &causes.join(": "))?;
    let mut hints = error.chain().filter_map(|cause| cause.downcast_ref::<SocketError>()?.hint());
    hints.try_for_each(|hint| write_line(out, HINT, "hint", &hint))?;
    let mut hints = error.chain().filter_map(|cause| cause.downcast_ref::<ClientError>()?.hint());
    hints.try_for_each(|hint| write_line(out, HINT, "hint", &hint))
}

/// Prints an error of one of several objects to stderr, with what can be done about it; the others go on.
pub(crate) fn report_one(error: &anyhow::Error) {
    // There is nowhere left to say that stderr can't be written.
    let _ = write_chain(&mut anstream::stderr().lock(), error);
}

/// Whether whoever read the output has left.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe))
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

fn write_line(out: &mut dyn Write, style: Style, label: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{style}{label}:{style:#} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(failure: &Failure) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        failure.write(&mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn the_whole_chain_is_on_the_error_line_and_hints_stand_apart() {
        let cause = SocketError::NotASocket { path: "a.sock".into(), key: "admin.socket" };
        let error = anyhow::Error::new(cause).context("failed to start");
        let expected = "error: failed to start: failed to listen on a.sock: it exists and is not a socket\n\
                        hint: move it away, or set `admin.socket` to another path\n";
        assert_eq!(written(&Failure::Run(error)), expected);
    }
}
