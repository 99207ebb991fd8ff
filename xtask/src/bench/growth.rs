//! How cost grows with size: the exponent of each line, and where the first wall is.

use super::figures::Figures;
use super::row::{duration, short};

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
    /// A step from one size to the next with a larger exponent is a wall.
    pub(super) wall: f64,
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
        wall: 0.5,
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
        wall: 0.5,
        curves: &[curve("in bulk", "growth/watchers/bulk"), curve("one event at a time", "growth/watchers/single")],
    },
    Growth {
        file: "growth-values.svg",
        title: "Size of a value",
        across: "bytes",
        up: "nanoseconds per commit",
        // In proportion is no wall: bytes have to be moved.
        wall: 1.2,
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

impl Growth {
    /// Where cost first rises more steeply than it should, in words; nothing if nothing was measured.
    pub(super) fn first_wall(&self, figures: &Figures) -> Option<String> {
        let curves = self.curves.iter().map(|curve| (curve.name, points(figures, curve.group)));
        let curves: Vec<_> = curves.filter(|(_, points)| points.len() > 1).collect();
        let steps = curves.iter().flat_map(|(name, points)| {
            let steep = |pair: &&[(f64, f64)]| exponent(pair).is_some_and(|slope| slope > self.wall);
            points.windows(2).find(steep).map(|pair| (name, pair[0], pair[1]))
        });
        let first = steps.min_by(|one, other| one.1.0.total_cmp(&other.1.0));
        let largest =
            curves.iter().filter_map(|(_, points)| points.last()).map(|point| point.0).max_by(f64::total_cmp)?;
        Some(match first {
            Some((name, (from, before), (to, after))) => format!(
                "First wall: {name}, from {} to {} {}: {} become {} (exponent {:.2}, more than {}).",
                short(from),
                short(to),
                self.across,
                duration(before),
                duration(after),
                exponent(&[(from, before), (to, after)]).unwrap_or_default(),
                self.wall
            ),
            None => format!(
                "No wall up to {} {}: from no size to the next does the exponent exceed {}.",
                short(largest),
                self.across,
                self.wall
            ),
        })
    }
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
    fn the_first_wall_is_told_in_words() {
        const GROUP: Growth =
            Growth { file: "", title: "", across: "objects", up: "", wall: 0.5, curves: &[curve("a get", "g")] };
        let of = |costs: [f64; 3]| {
            let ids = ["g/10", "g/100", "g/1000"].map(str::to_owned);
            let measured = costs.map(|cost| Measured { elements: None, rounds: [(0, cost)].into() });
            Figures { measured: ids.into_iter().zip(measured).collect(), ..Figures::default() }
        };
        let told = GROUP.first_wall(&of([100.0, 110.0, 1_100.0])).unwrap();
        assert_eq!(
            told,
            "First wall: a get, from 100 to 1000 objects: 110 ns become 1.1 us (exponent 1.00, more than 0.5)."
        );
        let told = GROUP.first_wall(&of([100.0, 110.0, 120.0])).unwrap();
        assert!(told.starts_with("No wall up to 1000 objects"), "{told}");
        assert_eq!(GROUP.first_wall(&Figures::default()), None);
    }

    #[test]
    fn points_are_sorted_by_size_and_per_thing() {
        let measured = |elements| Measured { elements: Some(elements), rounds: [(0, 1_000.0)].into() };
        let all =
            [("g/1000".to_owned(), measured(10)), ("g/20".to_owned(), measured(1)), ("gg/1".to_owned(), measured(1))];
        let figures = Figures { measured: all.into(), ..Figures::default() };
        assert_eq!(points(&figures, "g"), [(20.0, 1_000.0), (1_000.0, 100.0)]);
    }
}
