//! `cargo xtask bench`: measures ROA beside its limits and peers, several times over, and writes `docs/benchmarks`.
//!
//! Criterion takes the times; this runs it for as many rounds as are asked for, reads the files it leaves, and compares.
//! In each round what is compared runs right after one another, so a ratio is that of one round, and what is reported
//! is the median of the rounds.

mod catalogue;
mod chart;
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
use machine::Machine;
use options::Options;

/// Where the tables and charts are.
const PAGES: &str = "docs/benchmarks";

/// Measures, and writes the pages.
///
/// # Errors
/// What failed, or which option is wrong.
pub(crate) fn run(root: &Path, options: &[&str]) -> Result<(), String> {
    let options = Options::parse(options)?;
    if options.regressions {
        return regressions::run(root, options.update);
    }
    let pages = root.join(PAGES);
    let mut figures = Figures::read(&pages)?;
    if !options.render {
        measure::run(root, &options, &mut figures)?;
        figures.machine = Machine::look(root);
        figures.write(&pages)?;
    }
    page::write(&pages, &figures)?;
    println!("{}", page::summary(&figures));
    Ok(())
}
