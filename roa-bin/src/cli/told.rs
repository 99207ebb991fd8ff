//! The commands that tell what no object holds.

use clap::{Args, ValueEnum};

use super::AccessArgs;

/// What `roa why` takes.
#[derive(Debug, Args)]
#[command(after_long_help = WHY_HELP)]
pub(crate) struct WhyArgs {
    /// Which object: its kind, plural or short name, and its name
    #[arg(value_name = "KIND NAME | KIND/NAME", required = true, num_args = 1..=2)]
    pub(crate) object: Vec<String>,
    /// Its namespace; without it, that of the kubeconfig, or `default`
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// How to print it; without it, for people
    #[arg(short, long, value_name = "FORMAT")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `roa logs` takes.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The lab
    #[arg(value_name = "[KIND/]NAME", value_parser = lab_name)]
    pub(crate) name: String,
    /// Its namespace; without it, that of the kubeconfig, or `default`
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Go on with what it writes from now on, until it is gone
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last lines of what was kept
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<usize>,
    /// What it wrote in its run before this one: why it ended, if it was brought up again
    #[arg(short, long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

impl LogsArgs {
    /// The namespace, where nothing else says it.
    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

/// A lab's name, alone or behind its kind as other commands take it.
fn lab_name(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        None => Ok(text.to_owned()),
        Some(("lab" | "labs" | "labinstance" | "labinstances", name)) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) => Err("only labs have logs, expected NAME or lab/NAME".to_owned()),
    }
}

/// What `roa crd` takes.
#[derive(Debug, Args)]
#[command(after_long_help = CRD_HELP)]
pub(crate) struct CrdArgs {
    /// Which kinds, by any of their names; without any, all
    #[arg(value_name = "KIND")]
    pub(crate) kinds: Vec<String>,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One JSON object.
    Json,
}

const WHY_HELP: &str = "\
The API is asked. If none answers, the `roa run` on the configured admin socket is; if none does, the store is read. If \
another process handles the object, and is on the same machine, that one tells.";

const CRD_HELP: &str = "\
What is printed can be applied to any API server of Kubernetes, so that its clients find the same kinds there:

  roa crd | kubectl apply -f -";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn logs_are_of_one_run_at_a_time() {
        assert!(Cli::try_parse_from(["roa", "logs"]).is_err());
        assert!(Cli::try_parse_from(["roa", "logs", "a", "-f", "-p"]).is_err());
        let cli = Cli::try_parse_from(["roa", "logs", "a", "-n", "labs", "-f", "--tail", "3"]).unwrap();
        let Command::Logs(logs) = cli.command else { panic!("{cli:?}") };
        assert_eq!((logs.name.as_str(), logs.namespace(), logs.tail), ("a", "labs", Some(3)));
    }
}
