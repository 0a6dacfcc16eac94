//! A line chart as inline SVG. Colours are classes of the page's style sheet and follow its light and dark themes.

use super::text::escape;

/// Width and height of the drawing in its own units, about pixels.
const SIZE: (f64, f64) = (440.0, 270.0);
const TOP: f64 = 12.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// Width of a character of the tick labels.
const CHARACTER: f64 = 6.8;
/// Colours of the style sheet (Okabe-Ito without yellow, and one blue): c0 to c5.
pub const COLOURS: usize = 6;
/// Maximum characters of a vertical label beside the axis.
const LABEL: usize = 32;
/// Values beyond this come from divergence and would make the axis unreadable.
const LARGEST: f64 = 1e30;
/// A smaller span counts as zero: its steps would be subnormal or 0.
const SMALLEST: f64 = 1e-300;

/// Style of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Style {
    /// Class of the colour, modulo [`COLOURS`].
    pub colour: usize,
    /// Shape of the points: circle, square, triangle, diamond; `None` for lines with many points.
    pub mark: Option<usize>,
    /// Broken instead of solid.
    pub dashed: bool,
}

/// A line with its spread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// The style.
    pub style: Style,
    /// x and y; a non-finite value breaks the line.
    pub points: Vec<(f64, f64)>,
    /// x, lowest and highest.
    pub band: Vec<(f64, f64, f64)>,
}

/// A dashed line at one height over the whole width; without a colour it has that of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Height.
    pub y: f64,
    /// Class of the colour.
    pub colour: Option<usize>,
}

/// A chart over rounds.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Read by screen readers instead of the picture.
    pub title: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Drawn in order.
    pub lines: Vec<Line>,
    /// Drawn below the lines.
    pub levels: Vec<Level>,
    /// Dotted vertical line.
    pub upright: Option<f64>,
    /// Ends of the axes if they are shared with other charts.
    pub x: Option<(f64, f64)>,
    /// As `x`.
    pub y: Option<(f64, f64)>,
}

/// Whether an axis can show the value.
pub fn shown(v: f64) -> bool {
    v.abs() < LARGEST
}

/// Minimum and maximum of the displayable values.
pub fn span(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| shown(*v)).fold(None, |s, v| match s {
        None => Some((v, v)),
        Some((a, b)) => Some((a.min(v), b.max(v))),
    })
}

/// The combined value.
pub fn join(a: Option<(f64, f64)>, b: Option<(f64, f64)>) -> Option<(f64, f64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Chart {
    /// Range of the data on the vertical axis.
    pub fn y_span(&self) -> Option<(f64, f64)> {
        let lines =
            self.lines.iter().flat_map(|l| l.points.iter().map(|p| p.1).chain(l.band.iter().flat_map(|b| [b.1, b.2])));
        span(lines.chain(self.levels.iter().map(|l| l.y)))
    }

    /// Range of the data on the horizontal axis.
    pub fn x_span(&self) -> Option<(f64, f64)> {
        span(self.lines.iter().flat_map(|l| l.points.iter().map(|p| p.0)))
    }

    /// The SVG element; empty if there is nothing to draw.
    pub fn svg(&self) -> String {
        let (Some(x), Some(y)) = (self.x.or(self.x_span()), self.y.or(self.y_span())) else { return String::new() };
        let (x_ticks, y_ticks) = (Ticks::of(x, 6, true), Ticks::of(y, 5, false));
        let longest = y_ticks.labels().iter().map(|l| l.chars().count()).max().unwrap_or(1);
        let frame = Frame { left: 26.0 + CHARACTER * longest as f64, x, y: (y_ticks.low(), y_ticks.high()) };
        let title = escape(&self.title);
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\">\n",
            SIZE.0, SIZE.1
        );
        out += &frame.axes(&x_ticks, &y_ticks, &self.y_label);
        if let Some(at) = self.upright.filter(|at| (x.0..=x.1).contains(at)) {
            let at = frame.x(at);
            out += &format!("<path class=\"upright\" d=\"M{at:.1} {TOP}V{:.1}\"/>\n", SIZE.1 - BOTTOM);
        }
        for level in self.levels.iter().filter(|l| shown(l.y)) {
            let class = level.colour.map_or(String::new(), |c| format!(" c{}", c % COLOURS));
            let d = format!("M{:.1} {:.1}H{:.1}", frame.left, frame.y(level.y), SIZE.0 - RIGHT);
            out += &format!("<path class=\"level{class}\" d=\"{d}\"/>\n");
        }
        self.lines.iter().for_each(|l| out += &frame.band(l));
        self.lines.iter().for_each(|l| out += &frame.line(l));
        out + "</svg>\n"
    }
}

/// The mapping from data to the drawing.
struct Frame {
    left: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn x(&self, v: f64) -> f64 {
        let width = SIZE.0 - RIGHT - self.left;
        if self.x.1 > self.x.0 {
            self.left + width * (v - self.x.0) / (self.x.1 - self.x.0)
        } else {
            self.left + width / 2.0
        }
    }

    fn y(&self, v: f64) -> f64 {
        let height = SIZE.1 - TOP - BOTTOM;
        TOP + height * (self.y.1 - v) / (self.y.1 - self.y.0)
    }

    fn axes(&self, x: &Ticks, y: &Ticks, y_label: &str) -> String {
        let (foot, right) = (SIZE.1 - BOTTOM, SIZE.0 - RIGHT);
        let mut out = String::new();
        for (v, label) in y.values().iter().zip(y.labels()) {
            let at = self.y(*v);
            out += &format!("<path class=\"grid\" d=\"M{:.1} {at:.1}H{right:.1}\"/>", self.left);
            out += &format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
                self.left - 6.0,
                at + 4.0
            );
        }
        for (v, label) in x.values().iter().zip(x.labels()).filter(|(v, _)| (self.x.0..=self.x.1).contains(*v)) {
            let at = self.x(*v);
            out += &format!("<path class=\"axis\" d=\"M{at:.1} {foot:.1}v4\"/>");
            out += &format!("<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\n", foot + 17.0);
        }
        let (middle, height) = ((self.left + right) / 2.0, (TOP + foot) / 2.0);
        out += &format!("<path class=\"axis\" d=\"M{:.1} {foot:.1}H{right:.1}\"/>\n", self.left);
        out += &format!("<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">rounds</text>\n", SIZE.1 - 8.0);
        let y_label = escape(&cut(y_label, LABEL));
        out + &format!(
            "<text transform=\"translate(14 {height:.1}) rotate(-90)\" text-anchor=\"middle\">{y_label}</text>\n"
        )
    }

    fn band(&self, line: &Line) -> String {
        let band: Vec<&(f64, f64, f64)> = line.band.iter().filter(|b| shown(b.1) && shown(b.2)).collect();
        if band.len() < 2 {
            return String::new();
        }
        let there = band.iter().map(|b| format!("{:.1} {:.1}", self.x(b.0), self.y(b.2)));
        let back = band.iter().rev().map(|b| format!("{:.1} {:.1}", self.x(b.0), self.y(b.1)));
        let d = there.chain(back).collect::<Vec<_>>().join("L");
        format!("<path class=\"band c{}\" d=\"M{d}Z\"/>\n", line.style.colour % COLOURS)
    }

    fn line(&self, line: &Line) -> String {
        let (mut d, mut marks, mut pen) = (String::new(), String::new(), 'M');
        for (x, y) in &line.points {
            if !shown(*y) {
                pen = 'M';
                continue;
            }
            let (x, y) = (self.x(*x), self.y(*y));
            d += &format!("{pen}{x:.1} {y:.1}");
            pen = 'L';
            marks += &line.style.mark.map_or(String::new(), |m| mark(m, x, y));
        }
        let (colour, dashed) = (line.style.colour % COLOURS, if line.style.dashed { " dashed" } else { "" });
        format!("<path class=\"line c{colour}{dashed}\" d=\"{d}\"/>\n<path class=\"mark c{colour}\" d=\"{marks}\"/>\n")
    }
}

/// At most `most` characters, with an ellipsis if the text is longer.
fn cut(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['\u{2026}']).collect(),
        false => text.into(),
    }
}

/// A mark around a point, as a path.
fn mark(kind: usize, x: f64, y: f64) -> String {
    match kind % 4 {
        0 => format!("M{:.1} {y:.1}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z", x - 3.0),
        1 => format!("M{:.1} {:.1}h5.4v5.4h-5.4Z", x - 2.7, y - 2.7),
        2 => format!("M{x:.1} {:.1}l3.8 6.6h-7.6Z", y - 4.2),
        _ => format!("M{x:.1} {:.1}l4 4l-4 4l-4 -4Z", y - 4.0),
    }
}

/// A line segment for a legend.
pub fn swatch(style: Style) -> String {
    let mark = style.mark.map_or(String::new(), |m| mark(m, 14.0, 6.0));
    let (colour, dashed) = (style.colour % COLOURS, if style.dashed { " dashed" } else { "" });
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 28 12\" aria-hidden=\"true\"><path class=\"line c{colour}{dashed}\" d=\"M1 6H27\"/>\
         <path class=\"mark c{colour}\" d=\"{mark}\"/></svg>"
    )
}

/// A segment of a level or of the upright line (by class) for a legend.
pub fn plain_swatch(class: &str) -> String {
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 28 12\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M1 6H27\"/></svg>"
    )
}

/// Round numbers along an axis: `first` to `last` times `step`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ticks {
    step: f64,
    first: i64,
    last: i64,
}

impl Ticks {
    /// At most about `most` ticks, the outer ones enclosing the span; `whole`: no fractions.
    fn of((low, high): (f64, f64), most: usize, whole: bool) -> Ticks {
        let (low, high) = if shown(low) && shown(high) { (low, high) } else { (0.0, 0.0) };
        let size = low.abs().max(high.abs());
        // A span of zero width, or one below the resolution of f64, is widened.
        let width = match high - low {
            width if width >= SMALLEST && width > 1e-9 * size => width,
            _ if size >= SMALLEST => 0.1 * size,
            _ => 1.0,
        };
        let raw = width / most as f64;
        let power = 10f64.powf(raw.log10().floor());
        let factor = [1.0, 2.0, 5.0].into_iter().find(|f| f * power >= raw * 0.999).unwrap_or(10.0);
        let step = if whole { (factor * power).max(1.0) } else { factor * power };
        let (first, mut last) = ((low / step + 1e-6).floor() as i64, (high / step - 1e-6).ceil() as i64);
        if last <= first {
            last = first + 1;
        }
        Ticks { step, first, last }
    }

    fn low(&self) -> f64 {
        self.first as f64 * self.step
    }

    fn high(&self) -> f64 {
        self.last as f64 * self.step
    }

    fn values(&self) -> Vec<f64> {
        (self.first..=self.last).map(|i| i as f64 * self.step).collect()
    }

    /// With as many digits as the step needs, so that all labels differ.
    fn labels(&self) -> Vec<String> {
        let size = self.high().abs().max(self.low().abs());
        let place = self.step.log10().floor();
        let decimals = (-place).max(0.0) as usize;
        let digits = (size.log10().floor() - place).clamp(1.0, 16.0) as usize;
        let plain = (1e-4..1e6).contains(&size);
        let text = |v: &f64| if plain { format!("{v:.decimals$}") } else { format!("{v:.digits$e}") };
        self.values().iter().map(|v| text(v).replace('-', "\u{2212}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose() {
        let ticks = Ticks::of((0.03, 0.71), 5, false);
        assert_eq!((ticks.low(), ticks.high(), ticks.labels()[1].as_str()), (0.0, 0.8, "0.2"));
        assert_eq!(Ticks::of((1.0, 10.0), 6, true).labels(), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(Ticks::of((1.0, 2.0), 6, true).labels(), ["1", "2"]);
        assert_eq!(Ticks::of((-0.3, 0.3), 5, false).labels()[0], "\u{2212}0.4");
        let flat = Ticks::of((0.25, 0.25), 5, false);
        assert!(flat.low() <= 0.25 && flat.high() >= 0.25 && flat.values().len() <= 8, "{flat:?}");
    }

    #[test]
    fn any_span_has_ticks_that_differ() {
        let tiny = f64::from_bits(1);
        for span in [
            (0.0, 0.0),
            (1e20, 1e20),
            (-1e29, 1e29),
            (1e-12, 2e-12),
            (5.0, 5.0 + 1e-15),
            (5.0, 5.0 + 1e-7),
            (1e6, 1e6 + 10.0),
            (123_456_789.0, 123_456_790.0),
            (1e29, 1.000_001e29),
            (0.0, tiny),
            (tiny, 2.0 * tiny),
            (-1e-308, 1e-308),
            (1e-301, 1e-301),
            (2e-300, 3e-300),
            (0.0, f64::INFINITY),
            (f64::NAN, 1.0),
            (f64::MIN, f64::MAX),
        ] {
            for whole in [false, true] {
                let ticks = Ticks::of(span, 5, whole);
                let (n, width, mut labels) = (ticks.values().len(), ticks.high() - ticks.low(), ticks.labels());
                assert!((2..=8).contains(&n) && width > 0.0, "{span:?}: {ticks:?}");
                labels.dedup();
                assert_eq!(labels.len(), n, "{span:?}: {labels:?}");
                if shown(span.0) && shown(span.1) {
                    // Up to the rounding of the outer ticks.
                    let near = 1e-5 * ticks.step;
                    assert!(ticks.low() <= span.0 + near && span.1 <= ticks.high() + near, "{span:?}: {ticks:?}");
                }
            }
        }
        assert_eq!(Ticks::of((1e6, 1e6 + 10.0), 5, false).labels()[..2], ["1.000000e6", "1.000002e6"]);
        assert_eq!(Ticks::of((1e6, 2e6), 5, false).labels()[1], "1.2e6");
    }

    #[test]
    fn subnormal_values_are_drawn() {
        let line = Line { points: vec![(1.0, 0.0), (2.0, f64::from_bits(1))], ..Default::default() };
        let svg = Chart { lines: vec![line], ..Default::default() }.svg();
        assert!(svg.contains("class=\"line") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn lines_break_where_values_are_missing() {
        let points = vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 1e40), (4.0, 2.0), (5.0, 3.0)];
        let line = Line { points, band: vec![(1.0, 0.5, 1.5), (4.0, 1.0, f64::NAN)], ..Default::default() };
        let chart = Chart { title: "a \"b\" <c>".into(), lines: vec![line], ..Default::default() };
        let svg = chart.svg();
        assert!(svg.contains("aria-label=\"a &quot;b&quot; &lt;c&gt;\""), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("class=\"band"), "{svg}");
        let d = svg.split("class=\"line c0\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((d.matches('M').count(), d.matches('L').count()), (2, 1), "{d}");
        assert_eq!(Chart::default().svg(), "");
        assert_eq!([cut("KID, half", 9), cut("KID, half", 8)], ["KID, half", "KID, ha\u{2026}"]);
    }

    #[test]
    fn all_points_are_inside_the_drawing() {
        let points: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i), f64::from(i * i) - 30.0)).collect();
        let band = points.iter().map(|(x, y)| (*x, y - 5.0, y + 5.0)).collect();
        let levels = vec![Level { y: -60.0, colour: None }];
        let style = Style { mark: Some(3), ..Default::default() };
        let chart = Chart { lines: vec![Line { style, points, band }], levels, ..Default::default() };
        let (x, y) = (chart.x_span().unwrap(), chart.y_span().unwrap());
        assert_eq!((x, y), ((0.0, 19.0), (-60.0, 336.0)));
        let ticks = Ticks::of(y, 5, false);
        let frame = Frame { left: 60.0, x, y: (ticks.low(), ticks.high()) };
        for v in [y.0, y.1] {
            assert!((TOP..=SIZE.1 - BOTTOM).contains(&frame.y(v)), "{v}");
        }
        assert_eq!((frame.x(0.0), frame.x(19.0)), (60.0, SIZE.0 - RIGHT));
    }
}
