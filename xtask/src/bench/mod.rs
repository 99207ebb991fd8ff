//! `cargo xtask bench`: measures ROA beside its limits and peers, several times over, and writes `docs/benchmarks`.
//!
//! Criterion takes the times; this runs it for as many rounds as are asked for, reads the files it leaves, and compares.
//! In each round what is compared runs right after one another, so a ratio is that of one round, and what is reported
//! is the median of the rounds.

mod catalogue;
mod chart;
mod criterion;
mod figures;
mod growth;
mod machine;
mod measure;
mod options;
mod page;
mod regressions;
mod row;

use std::path::Path;

use figures::Figures;
use options::Options;

pub(crate) use regressions::compare as regressions;

/// Where the tables and charts are.
const PAGES: &str = "docs/benchmarks";

/// Measures, and writes the pages.
///
/// # Errors
/// What failed, or which option is wrong. What was measured all the same is on the pages.
pub(crate) fn run(root: &Path, options: &[&str]) -> Result<(), String> {
    let options = Options::parse(options)?;
    if options.regressions {
        return if options.update { regressions::record(root) } else { regressions::compare(root) };
    }
    let pages = root.join(PAGES);
    let mut figures = Figures::read(&pages)?;
    let keep = |figures: &Figures| figures.write(&pages);
    let failed = if options.render { Vec::new() } else { measure::run(root, &options, &mut figures, keep)? };
    page::write(&pages, &figures)?;
    println!("{}", page::summary(&figures));
    if failed.is_empty() { Ok(()) } else { Err(format!("not all could be measured:\n  {}", failed.join("\n  "))) }
}
