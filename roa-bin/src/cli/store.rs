//! The commands that look after the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ConfigArgs;

/// What to do with the store. A control plane may run meanwhile.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Print which store it is, where its history stands and how large it is
    Info(StoreArgs),
    /// Look through all of it: pages, log and entries, and whether they agree
    Check(StoreArgs),
    /// Forget the log up to a revision; what lives stays
    Compact {
        /// The last revision to forget; without it, as much as the store may
        #[arg(long, value_name = "REVISION")]
        to: Option<u64>,
        #[command(flatten)]
        args: StoreArgs,
    },
    /// Copy a store into another one of any backend. If it is cut off, run it again: it goes on
    Copy(CopyArgs),
    /// Write a copy of the store to a new file
    Backup {
        /// The file to write, which does not exist yet
        #[arg(value_name = "FILE")]
        to: PathBuf,
        #[command(flatten)]
        args: StoreArgs,
    },
    /// Put a copy in the place of the store: watches and resumes of before are answered with `Expired`
    Restore {
        /// What `roa store backup` wrote
        #[arg(value_name = "FILE")]
        from: PathBuf,
        #[command(flatten)]
        args: StoreArgs,
    },
}

/// What `roa store copy` takes.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = COPY_HELP)]
pub(crate) struct CopyArgs {
    /// The store to copy; without it, the one that is configured
    #[arg(long, value_name = "STORE", required_unless_present = "to")]
    pub(crate) from: Option<String>,
    /// The store to copy into; without it, the one that is configured
    #[arg(long, value_name = "STORE", required_unless_present = "from")]
    pub(crate) to: Option<String>,
    /// Make a store that holds something else equal to the source: what else it holds is lost
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) args: StoreArgs,
}

const COPY_HELP: &str = "\
A STORE is sqlite:PATH or just a path, redis://HOST[:PORT][/DATABASE], rediss://... for TLS or unix:///PATH; a Redis \
takes ?name=NAME for the name of the store. Passwords, certificates and bounds are taken from the configuration: \
ROA_STORE__REDIS__PASSWORD keeps a password out of the list of processes.

Every object is copied as it is, with its uid, generation, times and finalizers, and with who wrote it last. Leases and \
heartbeats stay behind. Stop what writes to either store before: what is written meanwhile is not in the copy. At the \
end both are compared, and watches of the target begin anew.";

/// Which store.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}
