//! What can be chosen.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str =
    "usage: cargo xtask chaos [--time SECONDS] [--labs COUNT] [--members COUNT] [--seed NUMBER]
                         [--store sqlite|redis://...]";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) labs: usize,
    pub(crate) members: usize,
    pub(crate) seed: u64,
    pub(crate) store: StoreChoice,
    /// The `roa` to run: by default the one that was built beside this program.
    pub(crate) roa: PathBuf,
}

/// Which store the members share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreChoice {
    /// A file in the directory of the run.
    Sqlite,
}

impl StoreChoice {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Self::Sqlite),
            url if url.starts_with("redis") => Err(format!("--store: this build has no redis store, found {url:?}")),
            other => Err(format!("--store: expected sqlite or a redis URL, found {other:?}")),
        }
    }

    /// What a member is told about it.
    pub(crate) const fn variables(&self) -> &[(&str, &str)] {
        match self {
            Self::Sqlite => &[("ROA_STORE__BACKEND", "sqlite"), ("ROA_STORE__SQLITE__PATH", "shared.db")],
        }
    }
}

impl Options {
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let here = std::env::current_exe().map_err(|error| format!("this program is nowhere: {error}"))?;
        let beside = here.parent().and_then(|examples| examples.parent()).map(|target| target.join("roa"));
        let seed = roa_core::Random::next_u64(&roa_core::SystemRandom);
        let roa = beside.unwrap_or_default();
        let time = Duration::from_secs(60);
        let mut options = Self { time, labs: 2_000, members: 3, seed, store: StoreChoice::Sqlite, roa };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name}: a value is missing"))?;
            options.set(&name, &value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: expected a number, found {value:?}"));
        let count = || number().map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        match name {
            "--time" => self.time = Duration::from_secs(number()?),
            "--labs" => self.labs = count()?,
            "--members" => self.members = count()?.max(1),
            "--seed" => self.seed = number()?,
            "--store" => self.store = StoreChoice::parse(value)?,
            "--roa" => self.roa = value.into(),
            _ => return Err(format!("{name}: there is no such option")),
        }
        Ok(())
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, labs, members, seed, .. } = self;
        write!(f, "--time {} --labs {labs} --members {members} --seed {seed} --store sqlite", time.as_secs())
    }
}
