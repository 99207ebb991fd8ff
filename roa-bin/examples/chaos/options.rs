//! What can be chosen.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use roa_runtime::SHARDS;

pub(crate) const USAGE: &str =
    "usage: cargo xtask chaos [--time SECONDS] [--labs COUNT] [--members COUNT] [--seed NUMBER]
                         [--backend sqlite|redis] [--mode leader|sharded] [--slack SECONDS]";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) labs: usize,
    pub(crate) members: usize,
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    pub(crate) mode: Division,
    /// What a busy machine may add to each bound.
    pub(crate) slack: Duration,
    /// The `roa` to run: by default the one that was built beside this program.
    pub(crate) roa: PathBuf,
}

/// Which store the members share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Redis,
}

/// How the members divide the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Division {
    Leader,
    Sharded,
}

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = [Self::Sqlite, Self::Redis].into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| format!("--backend: expected sqlite or redis, found {text:?}"))
    }
}

impl Division {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Sharded => "sharded",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = [Self::Leader, Self::Sharded].into_iter().find(|known| known.name() == text);
        known.ok_or_else(|| format!("--mode: expected leader or sharded, found {text:?}"))
    }

    /// How many ownerships there are.
    pub(crate) const fn ownerships(self) -> usize {
        match self {
            Self::Leader => 1,
            Self::Sharded => SHARDS,
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
        let mut options = Self {
            time,
            labs: 2_000,
            members: 3,
            seed,
            backend: Backend::Sqlite,
            mode: Division::Sharded,
            slack: Duration::ZERO,
            roa,
        };
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
            "--backend" => self.backend = Backend::parse(value)?,
            "--mode" => self.mode = Division::parse(value)?,
            "--slack" => self.slack = Duration::from_secs(number()?),
            "--roa" => self.roa = value.into(),
            _ => return Err(format!("{name}: there is no such option")),
        }
        Ok(())
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, labs, members, seed, backend, mode, slack, .. } = self;
        let (time, backend, mode, slack) = (time.as_secs(), backend.name(), mode.name(), slack.as_secs());
        write!(
            f,
            "--time {time} --labs {labs} --members {members} --seed {seed} --backend {backend} --mode {mode} --slack {slack}"
        )
    }
}
