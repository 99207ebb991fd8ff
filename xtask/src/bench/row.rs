//! [`Row`]: one line of a table, and whether it is as fast as it is to be.

use super::figures::{Figures, Measured};

/// One thing that is measured, and what it is compared with.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) work: String,
    pub(super) unit: Unit,
    /// The raw limit, or a peer.
    pub(super) beside: Option<String>,
    pub(super) roa: String,
    pub(super) budget: Budget,
}

/// How a figure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// So many of these per second.
    PerSecond(&'static str),
    /// How long one takes, in nanoseconds.
    Time,
    /// How many bytes.
    Bytes,
    /// A part of a whole.
    Share,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Budget {
    /// Nothing was set.
    None,
    /// So many times what it stands beside, at least.
    AtLeast(f64),
    /// So many times what it stands beside, at most.
    AtMost(f64),
    /// So much at most, whatever it stands beside.
    UpTo(f64),
    /// So much more at most than what it stands beside.
    Beyond(f64),
}

/// Whether it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// There is no budget.
    Open,
    NotMeasured,
}

impl Row {
    pub(super) fn new(work: impl Into<String>, unit: Unit, roa: impl Into<String>) -> Self {
        Self { work: work.into(), unit, beside: None, roa: roa.into(), budget: Budget::None }
    }

    pub(super) fn beside(mut self, id: impl Into<String>) -> Self {
        self.beside = Some(id.into());
        self
    }

    pub(super) fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// How it compares: a rate as a ratio of rates, a time as a ratio of times.
    pub(super) fn ratio(&self, figures: &Figures) -> Option<f64> {
        let times = figures.times(&self.roa, self.beside.as_deref()?)?;
        Some(if matches!(self.unit, Unit::PerSecond(_)) { 1.0 / times } else { times })
    }

    pub(super) fn verdict(&self, figures: &Figures) -> Verdict {
        let Some(roa) = figures.measured.get(&self.roa) else { return Verdict::NotMeasured };
        let beside = self.beside.as_ref().and_then(|id| figures.measured.get(id));
        let met = match (self.budget, self.ratio(figures), beside) {
            (Budget::None, _, _) => return Verdict::Open,
            (Budget::UpTo(limit), _, _) => roa.median() <= limit,
            (Budget::AtLeast(least), Some(ratio), _) => ratio >= least,
            (Budget::AtMost(most), Some(ratio), _) => ratio <= most,
            (Budget::Beyond(more), _, Some(beside)) => roa.median() <= beside.median() + more,
            (Budget::AtLeast(_) | Budget::AtMost(_) | Budget::Beyond(_), _, _) => return Verdict::NotMeasured,
        };
        if met { Verdict::Met } else { Verdict::Missed }
    }

    /// The cells of a table. Why something was skipped stands elsewhere, once.
    pub(super) fn cells(&self, figures: &Figures) -> [String; 6] {
        let told = |id: &String| match figures.measured.get(id) {
            Some(measured) => self.unit.told(measured),
            None if figures.skipped.contains_key(id) => "skipped".to_owned(),
            None => String::new(),
        };
        let ratio = self.ratio(figures).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let verdict = match self.verdict(figures) {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::Open => "",
            Verdict::NotMeasured => "not measured",
        };
        [
            self.work.clone(),
            self.beside.as_ref().map(told).unwrap_or_default(),
            told(&self.roa),
            ratio,
            self.budget.told(self.unit),
            verdict.to_owned(),
        ]
    }
}

impl Unit {
    pub(super) fn told(self, measured: &Measured) -> String {
        match self {
            Self::PerSecond(what) => format!("{} {what}/s", short(measured.rate())),
            other => other.amount(measured.median()),
        }
    }

    /// So much of it.
    fn amount(self, value: f64) -> String {
        match self {
            Self::PerSecond(what) => format!("{} {what}/s", short(value)),
            Self::Time => duration(value),
            Self::Bytes if value >= f64::from(1 << 20) => format!("{} MiB", three(value / f64::from(1 << 20))),
            Self::Bytes => format!("{value:.0} bytes"),
            Self::Share => format!("{}%", three(value * 100.0)),
        }
    }
}

impl Budget {
    fn told(self, unit: Unit) -> String {
        match self {
            Self::None => String::new(),
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
            Self::UpTo(limit) => format!("≤ {}", unit.amount(limit)),
            Self::Beyond(more) => format!("≤ + {}", unit.amount(more)),
        }
    }
}

/// A number in three digits.
pub(super) fn short(value: f64) -> String {
    match value {
        value if value >= 1e9 => format!("{} G", three(value / 1e9)),
        value if value >= 1e6 => format!("{} M", three(value / 1e6)),
        value if value >= 1e4 => format!("{} k", three(value / 1e3)),
        value => three(value),
    }
}

/// Nanoseconds, as people say them.
pub(super) fn duration(nanos: f64) -> String {
    match nanos {
        nanos if nanos >= 1e9 => format!("{} s", three(nanos / 1e9)),
        nanos if nanos >= 1e6 => format!("{} ms", three(nanos / 1e6)),
        nanos if nanos >= 1e3 => format!("{} us", three(nanos / 1e3)),
        nanos => format!("{} ns", three(nanos)),
    }
}

fn three(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => trimmed(&format!("{value:.1}")),
        value => trimmed(&format!("{value:.2}")),
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(roa: f64, raw: f64) -> Figures {
        let measured = |figure| Measured { elements: None, rounds: [(0, figure)].into() };
        let measured = [("roa".to_owned(), measured(roa)), ("raw".to_owned(), measured(raw))].into();
        Figures { measured, ..Figures::default() }
    }

    #[test]
    fn each_budget_is_met_at_its_edge_and_missed_beyond() {
        for (unit, budget, met, missed) in [
            (Unit::PerSecond("events"), Budget::AtLeast(0.5), (2e3, 1e3), (2.1e3, 1e3)),
            (Unit::Share, Budget::AtLeast(0.8), (0.4, 0.5), (0.39, 0.5)),
            (Unit::Time, Budget::AtMost(1.5), (1.5e3, 1e3), (1.6e3, 1e3)),
            (Unit::Time, Budget::UpTo(5e3), (5e3, 1e3), (5.1e3, 9e3)),
            (Unit::Time, Budget::Beyond(50e3), (150e3, 100e3), (151e3, 100e3)),
        ] {
            let row = Row::new("work", unit, "roa").beside("raw").budget(budget);
            assert_eq!(row.verdict(&figures(met.0, met.1)), Verdict::Met, "{budget:?}");
            assert_eq!(row.verdict(&figures(missed.0, missed.1)), Verdict::Missed, "{budget:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let row = Row::new("work", Unit::Time, "roa").beside("raw").budget(Budget::AtMost(1.5));
        assert_eq!(row.verdict(&Figures::default()), Verdict::NotMeasured);
        let mut only_roa = figures(1.0, 1.0);
        only_roa.measured.remove("raw");
        assert_eq!(row.verdict(&only_roa), Verdict::NotMeasured);
    }

    #[test]
    fn what_was_skipped_says_so_and_not_why() {
        let mut figures = figures(1.0, 1.0);
        figures.measured.remove("raw");
        let row = Row::new("work", Unit::Time, "roa").beside("raw");
        assert_eq!(row.cells(&figures)[1], "");
        figures.skipped.insert("raw".to_owned(), "raw is not installed".to_owned());
        assert_eq!(row.cells(&figures)[1], "skipped");
    }

    #[test]
    fn a_rate_that_is_half_is_a_half_and_a_time_that_is_twice_is_two() {
        let figures = figures(2e3, 1e3);
        let row = |unit| Row::new("work", unit, "roa").beside("raw");
        assert_eq!(row(Unit::PerSecond("events")).ratio(&figures), Some(0.5));
        assert_eq!(row(Unit::Time).ratio(&figures), Some(2.0));
    }

    #[test]
    fn numbers_have_three_digits() {
        let told = |values: &[f64]| values.iter().map(|value| short(*value)).collect::<Vec<_>>();
        assert_eq!(
            told(&[1.0, 12.34, 999.4, 9_876.0, 43_210.0, 2.5e6, 1.25e9]),
            ["1", "12.3", "999", "9876", "43.2 k", "2.5 M", "1.25 G"]
        );
        assert_eq!(
            [duration(5.0), duration(1_500.0), duration(2e6), duration(3.25e9)],
            ["5 ns", "1.5 us", "2 ms", "3.25 s"]
        );
        assert_eq!(
            [Unit::Bytes.amount(1_600.0), Unit::Bytes.amount(f64::from(30 << 20)), Unit::Share.amount(0.005)],
            ["1600 bytes", "30 MiB", "0.5%"]
        );
    }
}
