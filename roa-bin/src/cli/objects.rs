//! The commands that show and change objects.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use roa_core::HumanDuration;

use super::ConfigArgs;
use crate::config::{KUBECONFIG_VARIABLE, SERVER_VARIABLE};

/// Where the API is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct AccessArgs {
    /// The server: http://HOST:PORT, https://HOST:PORT or unix:PATH; without it, the one that the configuration names, or
    /// else the store itself
    #[arg(long, value_name = "URL", env = SERVER_VARIABLE)]
    pub(crate) server: Option<String>,
    /// A kubeconfig that says where the server is and who we are, as `roa kubeconfig` prints it
    #[arg(long, value_name = "FILE", env = KUBECONFIG_VARIABLE)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// How long an answer may take
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) request_timeout: HumanDuration,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

impl AccessArgs {
    /// Whether a server is named: then no other will do.
    pub(crate) const fn names_server(&self) -> bool {
        self.server.is_some() || self.kubeconfig.is_some()
    }
}

/// In which namespace.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlaceArgs {
    /// The namespace; without it, that of the kubeconfig, or `default`
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
}

/// In which namespaces.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlacesArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
}

/// Which objects of a kind.
#[derive(Debug, Clone, Args)]
pub(crate) struct SelectArgs {
    /// Only those with these labels, such as `team=a,tier!=b`
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Only those with these fields, such as `status.state=Ready`
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) field_selector: Option<String>,
}

/// How objects are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line each
    #[default]
    Table,
    /// The same, with all columns
    Wide,
    /// As JSON
    Json,
    /// As YAML
    Yaml,
    /// KIND/NAME alone
    Name,
}

/// What `roa get` takes.
#[derive(Debug, Args)]
#[command(after_long_help = GET_HELP)]
pub(crate) struct GetArgs {
    /// Which objects
    #[arg(value_name = "KIND [NAME] | KIND/NAME", required_unless_present = "kinds")]
    pub(crate) objects: Vec<String>,
    /// Name the kinds that the server has
    #[arg(long, conflicts_with_all = ["objects", "watch", "watch_only"])]
    pub(crate) kinds: bool,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// How to print them
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) output: Format,
    /// Print them again whenever they change, over restarts of the server
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Print only what changes from now on
    #[arg(long)]
    pub(crate) watch_only: bool,
    /// In the order of this field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH")]
    pub(crate) sort_by: Option<String>,
    /// Show also who has set which fields, in JSON and YAML
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
    /// No line of headings
    #[arg(long)]
    pub(crate) no_headers: bool,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

const GET_HELP: &str = "\
KIND is a plural, singular or short name, several with commas between, or a category such as `all`; KIND.GROUP where two \
kinds share a name.

  roa get labinstances -A              all labs
  roa get labs/python-basics-lab -o yaml
  roa get labs -w                      and what becomes of them";

/// What `roa describe` takes.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// Which objects
    #[arg(value_name = "KIND NAME | KIND/NAME", required = true)]
    pub(crate) objects: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What a write would do, or does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// Write
    #[default]
    None,
    /// Let the server check everything, and write nothing
    Server,
}

/// What `roa apply` takes.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The manifests of this file, of this directory's *.yaml, *.yml and *.json, or of stdin (-); may be repeated
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-", required = true)]
    pub(crate) manifests: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Take over fields that others have set
    #[arg(long)]
    pub(crate) force_conflicts: bool,
    /// Whether to write
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server")]
    pub(crate) dry_run: DryRun,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What becomes of what a deleted object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cascade {
    /// It is deleted afterwards
    Background,
    /// It is deleted before
    Foreground,
    /// It stays
    Orphan,
}

/// What `roa delete` takes.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Which objects
    #[arg(value_name = "KIND NAME | KIND/NAME", required_unless_present = "manifests", conflicts_with = "manifests")]
    pub(crate) objects: Vec<String>,
    /// Those that these manifests declare
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|-")]
    pub(crate) manifests: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// All of the kind in the namespace
    #[arg(long)]
    pub(crate) all: bool,
    /// What becomes of what they own
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) cascade: Option<Cascade>,
    /// Wait until they are gone
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
          default_missing_value = "true")]
    pub(crate) wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    pub(crate) timeout: HumanDuration,
    /// It is no failure if one is not there
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Whether to delete
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, num_args = 0..=1, default_missing_value = "server")]
    pub(crate) dry_run: DryRun,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `roa watch` takes.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Which objects
    #[arg(value_name = "KIND [NAME] | KIND/NAME", required = true)]
    pub(crate) objects: Vec<String>,
    #[command(flatten)]
    pub(crate) places: PlacesArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `roa wait` takes.
#[derive(Debug, Args)]
#[command(after_long_help = WAIT_HELP)]
pub(crate) struct WaitArgs {
    /// Which objects
    #[arg(value_name = "KIND NAME | KIND/NAME", required = true)]
    pub(crate) objects: Vec<String>,
    /// What to wait for
    #[arg(long = "for", value_name = "WHAT")]
    pub(crate) condition: String,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) timeout: HumanDuration,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

const WAIT_HELP: &str = "\
WHAT is one of
  condition=TYPE[=STATUS]     such as condition=Ready
  jsonpath=PATH=VALUE         such as jsonpath=.status.state=Ready
  create                      the object is there
  delete                      it is gone";

/// What `roa history` takes.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Which object
    #[arg(value_name = "KIND NAME | KIND/NAME", required = true)]
    pub(crate) object: Vec<String>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `roa explain` takes.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A kind, or a field of it, such as labinstance.spec.duration
    #[arg(value_name = "KIND[.PATH]")]
    pub(crate) field: String,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// What `roa completions` takes.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
