//! The command line: what can be typed, and nothing of what it does.

mod objects;
mod store;
mod told;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::objects::{
    AccessArgs, ApplyArgs, Cascade, CompletionsArgs, DeleteArgs, DescribeArgs, DryRun, ExplainArgs, Format, GetArgs,
    HistoryArgs, WaitArgs, WatchArgs,
};
pub(crate) use self::store::{CopyArgs, StoreArgs, StoreCommand};
pub(crate) use self::told::{CrdArgs, LogsArgs, Output, WhyArgs};
use crate::config::{CONFIG_VARIABLE, ConfigFile, Flags};

/// Declare, watch, reconcile: a Kubernetes-style control plane in one binary, without Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "roa", version, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogArgs {
    /// How lines of the log look: text or json
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// What is logged, such as `info` or `info,roa=debug`
    #[arg(long, global = true, value_name = "DIRECTIVES")]
    pub(crate) log_filter: Option<String>,
    /// Log more; twice: trace; three times: also what libraries trace
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "log_filter")]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole lab story on this machine in under a minute
    Demo(DemoArgs),
    /// Run the control plane until it is told to stop
    Run(RunArgs),
    /// Show objects: in a table, or as they are
    Get(GetArgs),
    /// Show all about objects: what they are, what they own, what happened to them
    Describe(DescribeArgs),
    /// Make objects as manifests declare them
    Apply(ApplyArgs),
    /// Delete objects, and wait until they are gone
    Delete(DeleteArgs),
    /// Print what changes, a line each
    Watch(WatchArgs),
    /// Wait until objects are as they should be
    Wait(WaitArgs),
    /// Print what happened to an object, by time
    History(HistoryArgs),
    /// Describe the fields of a kind
    Explain(ExplainArgs),
    /// Explain why an object is as it is: who acted last, what it waits for, when it is handled next
    Why(WhyArgs),
    /// Print what a lab's process wrote
    Logs(LogsArgs),
    /// Print kinds of this program as CustomResourceDefinitions, for another API server
    Crd(CrdArgs),
    /// Measure how fast the configured store is
    Bench(BenchArgs),
    /// Serve the API alone, without controllers
    Serve(ServeArgs),
    /// Print a kubeconfig for kubectl and other clients
    Kubeconfig(KubeconfigArgs),
    /// Make a token for a user of the API: the token on stdout, the line of server.auth.tokens_file on stderr
    Token(TokenArgs),
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look after the store: what it holds, whether it is whole, copies of it
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Print what completes commands in a shell
    Completions(CompletionsArgs),
    /// The process that keeps one lab's process
    #[command(hide = true)]
    LabShim(LabShimArgs),
    /// A small HTTP server over one directory
    #[command(hide = true)]
    StaticSite(StaticSiteArgs),
}

/// What `roa demo` takes.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Tell the story of a pool of workers instead: it grows with its labs, drains, shrinks and goes
    #[arg(long)]
    pub(crate) workers: bool,
    /// Which store holds the demo's labs: memory, sqlite (if not said) or redis
    #[arg(long, value_name = "STORE")]
    pub(crate) backend: Option<String>,
    /// Where Redis is; without it, as the configuration says
    #[arg(long, value_name = "URL")]
    pub(crate) redis_url: Option<String>,
    /// The configuration file that says how Redis is reached; without it, roa.toml in the current directory
    #[arg(short, long, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// Keep the demo's directory, and say where it is
    #[arg(long)]
    pub(crate) keep: bool,
    /// Seconds of the labs' time that pass in one real second, 1 to 1000
    #[arg(long, value_name = "FACTOR", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) speed: Option<u16>,
}

/// What `roa run` takes.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Apply the manifests of this file, of this directory's *.yaml, *.yml and *.json, or of stdin (-); may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) manifests: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What `roa serve` takes.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What `roa bench` takes.
#[derive(Debug, Args)]
#[command(after_long_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    /// How many watchers see everything
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=16_384))]
    pub(crate) watchers: u16,
    /// How long the writers write
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// How many writers write at once
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    pub(crate) writers: u16,
    /// Bytes of each value
    #[arg(long, value_name = "BYTES", default_value_t = 1_024, value_parser = parse_value_size)]
    pub(crate) value_size: usize,
    /// Measure also on a store that holds something: whoever works on it is slowed down meanwhile
    #[arg(long)]
    pub(crate) in_use: bool,
    /// How the result looks
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: BenchOutput,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What `roa kubeconfig` takes.
#[derive(Debug, Args)]
pub(crate) struct KubeconfigArgs {
    /// Where clients reach the API; without it, where it listens
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// The namespace that commands are about
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// A file with a token to show
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A certificate to show
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// The key of the certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    pub(crate) client_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What `roa token` takes.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The user whom the token is for
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// A group that the user is in; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub(crate) groups: Vec<String>,
}

/// How the result of `roa bench` looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchOutput {
    /// Lines for people
    #[default]
    Table,
    /// One JSON object
    Json,
}

const BENCH_HELP: &str = "\
Each writer updates an object of its own, as fast as it is answered; each watcher sees the writes of all. They are in a \
place of their own, which no kind and no other watch sees, and which is cleared at the end, with what an earlier bench \
left that was cut off. Run one bench at a time.

A store that holds something is refused without --in-use: its users are slowed down, and its log forgets sooner what \
their watches resume from.";

/// A value has room for when it was written, and fits into every store.
fn parse_value_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size @ 20..=1_048_576) => Ok(size),
        _ => Err("expected a number of bytes from 20 to 1048576".to_owned()),
    }
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the effective configuration as TOML, and where each value comes from
    Show(ConfigArgs),
    /// Print `ok`, or all that is wrong
    Check(ConfigArgs),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct ConfigArgs {
    /// The configuration file; without it, roa.toml in the current directory is read if it is there
    #[arg(short, long, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub(crate) config: Option<PathBuf>,
    /// Where roa keeps what outlives it
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which store holds the resources
    #[arg(long, value_name = "STORE")]
    pub(crate) store_backend: Option<String>,
}

impl ConfigArgs {
    /// The file to read.
    pub(crate) fn file(&self) -> ConfigFile {
        ConfigFile::named_or_default(self.config.clone())
    }

    /// The keys that these flags and those of the log set.
    pub(crate) fn flags(&self, log: &LogArgs) -> Flags {
        Flags {
            data_dir: self.data_dir.clone(),
            store_backend: self.store_backend.clone(),
            log_format: log.log_format.clone(),
            log_filter: log.log_filter.clone(),
            verbose: log.verbose,
        }
    }
}

/// What the hidden `roa lab-shim` takes.
#[derive(Debug, Args)]
pub(crate) struct LabShimArgs {
    /// The lab's directory
    #[arg(long)]
    pub(crate) dir: PathBuf,
}

/// What the hidden `roa static-site` takes.
#[derive(Debug, Args)]
pub(crate) struct StaticSiteArgs {
    /// What it serves
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The port on the loopback address
    #[arg(long)]
    pub(crate) port: u16,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for arguments in [["roa", "-vv", "config", "check"], ["roa", "config", "check", "-vv"]] {
            assert_eq!(Cli::try_parse_from(arguments).unwrap().log.verbose, 2);
        }
    }

    #[test]
    fn run_takes_several_manifests() {
        let cli = Cli::try_parse_from(["roa", "run", "--config", "c.toml", "-f", "a", "-f", "-"]).unwrap();
        let Command::Run(run) = cli.command else { panic!("{cli:?}") };
        assert_eq!(run.manifests, [PathBuf::from("a"), PathBuf::from("-")]);
        assert_eq!(run.config.file(), ConfigFile::Named("c.toml".into()));
    }

    #[test]
    fn a_copy_names_one_store_at_least() {
        assert!(Cli::try_parse_from(["roa", "store", "copy"]).is_err());
        for side in ["--from", "--to"] {
            assert!(Cli::try_parse_from(["roa", "store", "copy", side, "a.db"]).is_ok(), "{side}");
        }
    }

    #[test]
    fn the_demo_cannot_be_slowed_down_or_sped_up_without_bound() {
        for speed in ["0", "1001", "x", "-1"] {
            assert!(Cli::try_parse_from(["roa", "demo", &format!("--speed={speed}")]).is_err(), "{speed}");
        }
        assert!(Cli::try_parse_from(["roa", "demo", "--keep", "--speed=1000"]).is_ok());
    }
}
