//! [`Chart`]: lines over logarithmic axes, as SVG that reads well on light and dark pages.

use std::fmt::Write as _;

use super::row::short;

/// A chart of some lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What the axes are, with units.
    pub(super) across: String,
    pub(super) up: String,
    pub(super) lines: Vec<Line>,
}

/// One line: a name and its points, from left to right.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// The drawing's edges: left, top, right, bottom.
const EDGES: [f64; 4] = [84.0, 56.0, 560.0, 360.0];
const LEGEND: f64 = 580.0;
const LEGEND_STEP: f64 = 24.0;
/// Told apart by most eyes, on white and on black.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];
/// The marks of the points, so that colour is not needed to tell lines apart.
const STYLE: &str = "\
  text { font-family: system-ui, -apple-system, 'Segoe UI', sans-serif; font-size: 13px; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .faint { fill: #59636e; font-size: 12px }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .page { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .page { fill: #0d1117 }
  }";

/// A logarithmic axis: from which power of ten to which, and where that is drawn.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone, (from, to): (f64, f64)) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10();
        let (low, high) = ((low + 1e-9).floor(), (high - 1e-9).ceil());
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The powers of ten.
    fn ticks(&self) -> Vec<f64> {
        std::iter::successors(Some(self.low), |tick| Some(tick + 1.0))
            .take_while(|tick| *tick <= self.high + 1e-9)
            .map(|tick| 10_f64.powf(tick))
            .collect()
    }
}

impl Chart {
    /// The lines of it that have something to show.
    fn drawn(&self) -> Vec<&Line> {
        self.lines.iter().filter(|line| !line.points.is_empty()).collect()
    }

    /// Whether there is anything to draw.
    pub(super) fn is_empty(&self) -> bool {
        self.drawn().is_empty()
    }

    /// As SVG.
    pub(super) fn svg(&self) -> String {
        let [left, top, right, bottom] = EDGES;
        let lines = self.drawn();
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let across = Axis::of(points().map(|(x, _)| *x), (left, right));
        let up = Axis::of(points().map(|(_, y)| *y), (bottom, top));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style>\n<rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>\n<text class=\"title\" x=\"{left}\" y=\"30\">{title}</text>\n",
            title = escaped(&self.title)
        );
        self.axes(&mut svg, &across, &up);
        for (number, line) in lines.iter().enumerate() {
            draw(&mut svg, line, number, (&across, &up));
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn axes(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let [left, top, right, bottom] = EDGES;
        for tick in across.ticks() {
            let x = across.at(tick);
            put(svg, format_args!("<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"));
            let y = bottom + 20.0;
            put(
                svg,
                format_args!(
                    "<text class=\"faint\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                    short(tick)
                ),
            );
        }
        for tick in up.ticks() {
            let y = up.at(tick);
            put(svg, format_args!("<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"));
            let (x, y) = (left - 8.0, y + 4.0);
            put(
                svg,
                format_args!("<text class=\"faint\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", short(tick)),
            );
        }
        let (x, y) = (f64::midpoint(left, right), bottom + 44.0);
        put(svg, format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escaped(&self.across)));
        let y = f64::midpoint(top, bottom);
        put(
            svg,
            format_args!(
                "<text transform=\"translate(22 {y}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
                escaped(&self.up)
            ),
        );
    }
}

fn draw(svg: &mut String, line: &Line, number: usize, (across, up): (&Axis, &Axis)) {
    let colour = COLOURS[number % COLOURS.len()];
    let dash = if number >= COLOURS.len() { " stroke-dasharray=\"6 4\"" } else { "" };
    let places: Vec<_> = line.points.iter().map(|(x, y)| (across.at(*x), up.at(*y))).collect();
    let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    put(
        svg,
        format_args!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.2\"{dash} points=\"{}\"/>",
            path.join(" ")
        ),
    );
    for place in places {
        mark(svg, place, number, colour);
    }
    let y = EDGES[1] + 10.0 + LEGEND_STEP * number as f64;
    put(
        svg,
        format_args!(
            "<line x1=\"{LEGEND}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2.2\"{dash}/>",
            LEGEND + 26.0
        ),
    );
    mark(svg, (LEGEND + 13.0, y), number, colour);
    put(svg, format_args!("<text x=\"{}\" y=\"{}\">{}</text>", LEGEND + 34.0, y + 4.5, escaped(&line.name)));
}

fn mark(svg: &mut String, (x, y): (f64, f64), number: usize, colour: &str) {
    match number % 3 {
        0 => put(svg, format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>")),
        1 => put(
            svg,
            format_args!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7.6\" height=\"7.6\" fill=\"{colour}\"/>",
                x - 3.8,
                y - 3.8
            ),
        ),
        _ => put(svg, format_args!("<path d=\"M{x:.1} {:.1} l5 9 h-10 z\" fill=\"{colour}\"/>", y - 5.5)),
    }
}

fn put(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _ = writeln!(svg, "{what}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let line = |name: &str, points: &[(f64, f64)]| Line { name: name.to_owned(), points: points.to_vec() };
        Chart {
            title: "Events & watchers".to_owned(),
            across: "watchers".to_owned(),
            up: "events/s".to_owned(),
            lines: vec![line("raw", &[(1.0, 10.0), (1_000.0, 1e6)]), line("empty", &[]), line("roa", &[(10.0, 500.0)])],
        }
    }

    #[test]
    fn points_stand_where_their_logarithms_are() {
        let axis = Axis::of([1.0, 1_000.0].into_iter(), (0.0, 300.0));
        assert_eq!([axis.at(1.0), axis.at(10.0), axis.at(1_000.0)], [0.0, 100.0, 300.0]);
        assert_eq!(axis.ticks().len(), 4);
        let one_value = Axis::of([5.0].into_iter(), (0.0, 100.0));
        assert!((0.0..=100.0).contains(&one_value.at(5.0)));
    }

    #[test]
    fn a_chart_has_its_title_axes_and_a_legend_of_what_it_draws() {
        let svg = chart().svg();
        for text in ["Events &amp; watchers", ">watchers</text>", ">events/s</text>", ">raw</text>", ">roa</text>"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains(">empty</text>"));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn nothing_to_draw_is_an_empty_chart() {
        assert!(Chart::default().is_empty());
        assert!(!chart().is_empty());
    }
}
