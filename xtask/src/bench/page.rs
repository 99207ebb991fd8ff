//! The page `docs/benchmarks/README.md` and its charts, made of figures alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::catalogue::{Section, sections};
use super::chart::{Chart, Line};
use super::figures::Figures;
use super::growth::{GROWTH, Growth, exponent, points, steepest};
use super::row::{Row, Verdict, short};

/// A chart of rates over a number that is the last part of the ids.
struct Rates {
    file: &'static str,
    title: &'static str,
    across: &'static str,
    up: &'static str,
    /// Name, and the ids with `*` in the place of the number.
    lines: &'static [(&'static str, &'static str)],
}

const RATES: &[Rates] = &[
    Rates {
        file: "watchers.svg",
        title: "Events delivered by one hub",
        across: "watchers",
        up: "events per second",
        lines: &[
            ("raw log", "watch/deliver/raw-log/*"),
            ("ROA, lent", "watch/deliver/roa-lent/*"),
            ("raw log, cloned", "watch/deliver/raw-log-cloned/*"),
            ("ROA, shared", "watch/deliver/roa-shared/*"),
            ("tokio broadcast", "watch/deliver/tokio-broadcast/*"),
            ("kube-rs", "peers/deliver/kube/*"),
        ],
    },
    Rates {
        file: "backends.svg",
        title: "From 64 writers to watchers, by backend",
        across: "watchers",
        up: "events per second",
        lines: &[
            ("memory", "deliver/memory/roa/*"),
            ("SQLite", "deliver/sqlite/roa/*"),
            ("Redis", "deliver/redis/roa/*"),
        ],
    },
    Rates {
        file: "commits.svg",
        title: "Commits, compare-and-swap of 1 KiB",
        across: "in flight",
        up: "commits per second",
        lines: &[
            ("memory", "store/commit/*/roa"),
            ("SQLite", "sqlite/commit/*/roa"),
            ("raw rusqlite", "sqlite/commit/*/raw"),
            ("Redis", "redis/commit/*/roa"),
            ("raw script", "redis/commit/*/raw"),
            ("etcd", "peers/put/etcd/*"),
            ("NATS JetStream", "peers/put/nats/*"),
        ],
    },
];

/// Writes the page and the charts into `folder`.
///
/// # Errors
/// A file can't be written.
pub(super) fn write(folder: &Path, figures: &Figures) -> Result<(), String> {
    let put = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("failed to write {}: {error}", path.display()))
    };
    let mut shown = Vec::new();
    let rates = RATES.iter().map(|rates| (rates.file, rates.chart(figures)));
    let growth = GROWTH.iter().map(|growth| (growth.file, growth.chart(figures)));
    for (file, chart) in rates.chain(growth).filter(|(_, chart)| !chart.is_empty()) {
        put(file, &chart.svg())?;
        shown.push(file);
    }
    put("README.md", &page(figures, &shown))
}

/// How many budgets are met, and which are not.
pub(super) fn summary(figures: &Figures) -> String {
    let rows: Vec<_> = sections().into_iter().flat_map(|section| section.rows).collect();
    let count = |wanted: Verdict| rows.iter().filter(|row| row.verdict(figures) == wanted).count();
    let mut text = format!(
        "{} budgets met, {} missed, {} rows not measured",
        count(Verdict::Met),
        count(Verdict::Missed),
        count(Verdict::NotMeasured)
    );
    for row in rows.iter().filter(|row| row.verdict(figures) == Verdict::Missed) {
        let [work, _, roa, ratio, budget, _] = row.cells(figures);
        let _ = write!(text, "\n  missed: {work}: {roa}, ratio {ratio}, budget {budget}");
    }
    text
}

fn page(figures: &Figures, charts: &[&str]) -> String {
    let mut page = "# How fast ROA is\n\n".to_owned();
    page.push_str(INTRODUCTION);
    for fact in &figures.machine.facts {
        let _ = writeln!(page, "- {fact}");
    }
    let missed = summary(figures);
    let _ = writeln!(page, "\n{}.\n", missed.lines().next().unwrap_or_default());
    for chart in charts.iter().filter(|file| RATES.iter().any(|rates| rates.file == **file)) {
        let _ = writeln!(page, "![{}]({chart})\n", title_of(chart));
    }
    for section in sections() {
        table(&mut page, &section, figures);
    }
    grown(&mut page, figures, charts);
    not_measured(&mut page, figures);
    page.truncate(page.trim_end().len());
    page + "\n"
}

const INTRODUCTION: &str = "\
Every figure on this page was made by `cargo xtask bench`, which also wrote the page; `cargo xtask bench --only BENCH` measures one
part anew, and `--render` writes the page again from `figures.json`. Each row is measured in several rounds; in each round ROA and what stands
beside it run right after one another in one process, and the ratio is the median of the rounds' ratios. A raw limit is a program of a few
lines that does the least that can be done with the same guarantees (`benches/src`). Rates compare as rates, more than 1 is faster; times as
times, less than 1 is faster. Objects are of about 1 KiB.

Measured on:

";

fn title_of(file: &str) -> &'static str {
    let rates = RATES.iter().find(|rates| rates.file == file).map(|rates| rates.title);
    let growth = GROWTH.iter().find(|growth| growth.file == file).map(|growth| growth.title);
    rates.or(growth).unwrap_or_default()
}

fn table(page: &mut String, section: &Section, figures: &Figures) {
    let measured: Vec<&Row> = section.rows.iter().filter(|row| row.verdict(figures) != Verdict::NotMeasured).collect();
    if measured.is_empty() {
        return;
    }
    let _ = writeln!(page, "## {}\n", section.title);
    let commands: Vec<_> = section.benches.iter().map(|bench| format!("`cargo xtask bench --only {bench}`")).collect();
    let _ =
        writeln!(page, "{}{}{}\n", section.note, if section.note.is_empty() { "" } else { " " }, commands.join(", "));
    let beside = if section.beside.is_empty() { "-" } else { section.beside };
    let _ = writeln!(page, "| work | {beside} | ROA | ratio | budget | |\n|---|---:|---:|---:|---:|---|");
    for row in measured {
        let _ = writeln!(page, "| {} |", row.cells(figures).join(" | "));
    }
    page.push('\n');
}

fn grown(page: &mut String, figures: &Figures, charts: &[&str]) {
    let shown = GROWTH.iter().filter(|growth| charts.contains(&growth.file));
    let mut text = String::new();
    for growth in shown {
        let _ = writeln!(
            text,
            "![{}]({})\n\n| {} | exponent | steepest step |\n|---|---:|---|",
            growth.title, growth.file, growth.title
        );
        for curve in growth.curves {
            let points = points(figures, curve.group);
            let Some((slope, (from, to, wall))) = exponent(&points).zip(steepest(&points)) else { continue };
            let _ =
                writeln!(text, "| {} | {slope:.2} | {wall:.2}, from {} to {} |", curve.name, short(from), short(to));
        }
        let _ = writeln!(text, "\n{}\n", growth.first_wall(figures).unwrap_or_default());
    }
    if !text.is_empty() {
        let _ = write!(page, "## How cost grows\n\n{GROWN}\n\n{text}");
    }
}

/// Each reason once, with all that it is the reason for.
fn not_measured(page: &mut String, figures: &Figures) {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, reason) in figures.skipped.iter().chain(&figures.failed) {
        by_reason.entry(reason).or_default().push(format!("`{id}`"));
    }
    if by_reason.is_empty() {
        return;
    }
    page.push_str("## Not measured\n\n");
    for (reason, ids) in by_reason {
        let _ = writeln!(page, "- {reason}: {}", ids.join(", "));
    }
    page.push('\n');
}

const GROWN: &str = "\
Each exponent is the slope of a straight line through the logarithms of size and cost of one thing: 0 costs the same at every size, 1 costs
in proportion. The steepest step is where a wall would show first. `cargo xtask bench --only growth`";

impl Rates {
    fn chart(&self, figures: &Figures) -> Chart {
        let lines = self.lines.iter().map(|(name, pattern)| {
            let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
            let at = |(id, measured): (&String, &super::figures::Measured)| {
                let number: f64 = id.strip_prefix(before)?.strip_suffix(after)?.parse().ok()?;
                Some((number, measured.rate()))
            };
            let mut points: Vec<_> = figures.measured.iter().filter_map(at).collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            Line { name: (*name).to_owned(), points }
        });
        let lines = lines.collect();
        Chart { title: self.title.into(), across: self.across.into(), up: self.up.into(), lines }
    }
}

impl Growth {
    fn chart(&self, figures: &Figures) -> Chart {
        let line =
            |curve: &super::growth::Curve| Line { name: curve.name.to_owned(), points: points(figures, curve.group) };
        let lines = self.curves.iter().map(line).collect();
        Chart { title: self.title.into(), across: self.across.into(), up: self.up.into(), lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Measured;

    fn figures() -> Figures {
        let measured = |nanos| Measured { elements: Some(10), rounds: [(0, nanos)].into() };
        let ids =
            ["sqlite/commit/1/raw", "sqlite/commit/1/roa", "growth/objects/commit/1000", "growth/objects/commit/10000"];
        let measured = ids.iter().zip([90.0, 100.0, 5.0, 50.0]).map(|(id, nanos)| ((*id).to_owned(), measured(nanos)));
        Figures { measured: measured.collect(), ..Figures::default() }
    }

    #[test]
    fn what_was_measured_is_on_the_page_and_what_was_not_has_no_table() {
        let page = page(&figures(), &["growth-objects.svg"]);
        assert!(page.contains("| commits, 1 in flight |") && page.contains("| 0.90 | ≥ 0.95 | **missed** |"), "{page}");
        assert!(page.contains("| a commit | 1.00 | 1.00, from 1000 to 10 k |"), "{page}");
        assert!(!page.contains("## Redis store"));
    }

    #[test]
    fn why_something_was_not_measured_stands_once_with_all_that_was_not() {
        let mut figures = figures();
        for id in ["peers/put/nats/1", "peers/put/nats/64"] {
            figures.skipped.insert(id.to_owned(), "nats-server is not installed".to_owned());
        }
        let page = page(&figures, &[]);
        let expected = "- nats-server is not installed: `peers/put/nats/1`, `peers/put/nats/64`\n";
        assert!(page.ends_with(expected) && page.matches("not installed").count() == 1, "{page}");
    }

    #[test]
    fn the_summary_names_what_was_missed() {
        let summary = summary(&figures());
        assert!(summary.starts_with("0 budgets met, 1 missed"), "{summary}");
        assert!(summary.contains("missed: commits, 1 in flight"), "{summary}");
    }
}
