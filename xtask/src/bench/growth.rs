//! How cost grows with size: the exponent of each line, and where the first wall is.

use super::figures::Figures;

/// One thing whose cost is watched while something grows.
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// The ids are `group/SIZE`.
    pub(super) group: &'static str,
}

/// A chart's worth of curves.
pub(super) struct Growth {
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    pub(super) across: &'static str,
    pub(super) up: &'static str,
    pub(super) curves: &'static [Curve],
}

const fn curve(name: &'static str, group: &'static str) -> Curve {
    Curve { name, group }
}

/// All that is looked at.
pub(super) const GROWTH: &[Growth] = &[
    Growth {
        file: "growth-objects.svg",
        title: "Objects in the memory store",
        across: "objects",
        up: "nanoseconds each",
        curves: &[
            curve("a commit", "growth/objects/commit"),
            curve("a get", "growth/objects/get"),
            curve("a row of a list", "growth/objects/list"),
            curve("a row of a page of 500", "growth/objects/page"),
        ],
    },
    Growth {
        file: "growth-watchers.svg",
        title: "Watchers of one hub",
        across: "watchers",
        up: "nanoseconds per event delivered",
        curves: &[curve("in bulk", "growth/watchers/bulk"), curve("one event at a time", "growth/watchers/single")],
    },
    Growth {
        file: "growth-values.svg",
        title: "Size of a value",
        across: "bytes",
        up: "nanoseconds per commit",
        curves: &[
            curve("memory", "growth/value/memory"),
            curve("SQLite, 64 in flight", "growth/value/sqlite"),
            curve("Redis, 64 in flight", "growth/value/redis"),
        ],
    },
];

/// The sizes that were measured, and what one thing cost at each, in nanoseconds.
pub(super) fn points(figures: &Figures, group: &str) -> Vec<(f64, f64)> {
    let prefix = format!("{group}/");
    let sized = figures.measured.iter().filter_map(|(id, measured)| {
        let size: f64 = id.strip_prefix(&prefix)?.parse().ok()?;
        Some((size, 1e9 / measured.rate()))
    });
    let mut points: Vec<_> = sized.collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
}

/// The exponent `b` of `cost = a * size^b` that fits best: the slope of a straight line through the logarithms.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 2 {
        return None;
    }
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), log| (x + log.0 / count, y + log.1 / count));
    let over: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    let under: f64 = logs.iter().map(|log| (log.0 - x) * (log.0 - x)).sum();
    (under > 0.0).then(|| over / under)
}

/// Where the cost rises most steeply from one size to the next, and with which exponent.
pub(super) fn steepest(points: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let steps = points.windows(2).filter_map(|pair| Some((pair[0].0, pair[1].0, exponent(pair)?)));
    steps.max_by(|one, other| one.2.total_cmp(&other.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Measured;

    #[test]
    fn exponents_of_powers_are_found() {
        let of = |power: f64| [1.0, 10.0, 100.0].map(|x: f64| (x, 3.0 * x.powf(power)));
        for power in [0.0, 0.5, 1.0, 2.0] {
            assert!((exponent(&of(power)).unwrap() - power).abs() < 1e-9, "{power}");
        }
        assert_eq!(exponent(&[(1.0, 1.0)]), None);
    }

    #[test]
    fn the_steepest_step_is_the_wall() {
        let points = [(1.0, 1.0), (10.0, 1.1), (100.0, 50.0), (1_000.0, 60.0)];
        let (from, to, _) = steepest(&points).unwrap();
        assert_eq!((from, to), (10.0, 100.0));
    }

    #[test]
    fn points_are_sorted_by_size_and_per_thing() {
        let measured = |elements| Measured { elements: Some(elements), nanos: vec![1_000.0] };
        let all =
            [("g/1000".to_owned(), measured(10)), ("g/20".to_owned(), measured(1)), ("gg/1".to_owned(), measured(1))];
        let figures = Figures { measured: all.into(), ..Figures::default() };
        assert_eq!(points(&figures, "g"), [(20.0, 1_000.0), (1_000.0, 100.0)]);
    }
}
