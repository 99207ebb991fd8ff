//! [`Options`]: what `cargo xtask bench` was asked for.

/// The options of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Short measurements, few rounds: minutes instead of half an hour.
    pub(super) quick: bool,
    /// How often what is compared is measured.
    pub(super) rounds: usize,
    /// The benches to run; all, if none is named.
    pub(super) only: Vec<String>,
    /// Only ids that contain this.
    pub(super) filter: Option<String>,
    /// The program to measure with, built before; without it, it is built.
    pub(super) program: Option<String>,
    /// Whether peers are built and measured.
    pub(super) peers: bool,
    /// Write the pages from what was measured before.
    pub(super) render: bool,
    /// Compare allocations and instructions instead.
    pub(super) regressions: bool,
    /// Record them as they are.
    pub(super) update: bool,
}

const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 1;

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that is not known, or that lacks its value.
    pub(super) fn parse(arguments: &[&str]) -> Result<Self, String> {
        let quick = arguments.contains(&"--quick");
        let rounds = if quick { QUICK_ROUNDS } else { ROUNDS };
        let (only, filter, program) = (Vec::new(), None, None);
        let (render, regressions, update) = (false, false, false);
        let mut options = Self { quick, rounds, only, filter, program, peers: !quick, render, regressions, update };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().map(|value| (*value).to_owned()).ok_or(format!("{argument} has no value"));
            match *argument {
                "--quick" => {}
                "--rounds" => options.rounds = value()?.parse().map_err(|_| "--rounds expects a number, 1 or more")?,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--filter" => options.filter = Some(value()?),
                "--program" => options.program = Some(value()?),
                "--peers" => options.peers = true,
                "--no-peers" => options.peers = false,
                "--render" => options.render = true,
                "--regressions" => options.regressions = true,
                "--update" => options.update = true,
                unknown => return Err(format!("unknown option {unknown}; see `cargo xtask help`")),
            }
        }
        if options.rounds == 0 { Err("--rounds expects a number, 1 or more".to_owned()) } else { Ok(options) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_has_fewer_rounds_and_no_peers_unless_it_is_told_otherwise() {
        let quick = Options::parse(&["--quick"]).unwrap();
        assert_eq!((quick.rounds, quick.peers), (QUICK_ROUNDS, false));
        let told = Options::parse(&["--rounds", "7", "--peers", "--quick", "--only", "redis"]).unwrap();
        assert_eq!((told.rounds, told.peers, told.only), (7, true, vec!["redis".to_owned()]));
        assert!(Options::parse(&[]).unwrap().peers);
    }

    #[test]
    fn several_benches_are_named_one_after_the_other_or_with_commas() {
        let told = Options::parse(&["--only", "watch,store", "--only", "redis"]).unwrap();
        assert_eq!(told.only, ["watch", "store", "redis"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [&["--fast"][..], &["--rounds"], &["--rounds", "many"], &["--rounds", "0"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
