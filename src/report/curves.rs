//! Loss curves over the rounds in one picture: generator loss, discriminator loss, and the aggregation weights unless
//! they are all equal; one line per client, malicious ones marked.

use image::RgbImage;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::collections::BTreeMap;
use std::fmt::Display;

use super::metrics::RoundRecord;
use super::{ClientRecord, font};
use crate::{Error, Result};

/// Everything is drawn at twice its size and averaged down, because the drawing library has no anti-aliased thick
/// lines.
const SCALE: u32 = 2;
const WIDTH: u32 = 1000;
const TITLE_HEIGHT: u32 = 46;
const PANEL_HEIGHT: u32 = 280;
const LEGEND_WIDTH: u32 = 190;
/// With more clients than this the legend names two groups instead of each client, and the lines are thin.
const MOST_LEGEND_LINES: usize = 20;
/// Maximum points per line, about its width in pixels; longer lines are averaged down.
const MOST_POINTS: usize = 1000;
/// A diverged loss beyond this would make the axis unreadable; it is skipped like NaN.
const LARGEST_VALUE: f64 = 1e30;

const INK: RGBColor = RGBColor(40, 40, 46);
const FAINT: RGBColor = RGBColor(226, 226, 230);
/// Honest clients: the Okabe-Ito palette (distinguishable with any colour vision), without yellow, which is too pale on
/// white, and vermilion, which marks malicious clients.
const HONEST: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(80, 80, 80),
];
const MALICIOUS: RGBColor = RGBColor(200, 30, 0);

type Canvas<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, BitMapBackend<'b>, Cartesian2d<Rounds, RangedCoordf64>>;
/// The value of a client's round that a panel shows.
type Value = fn(&ClientRecord) -> f64;
/// Points to be connected.
type Piece = Vec<(f64, f64)>;

/// One client's line through all panels.
struct Line {
    name: String,
    malicious: bool,
    colour: RGBColor,
    /// How often the palette has been used up before; dashes distinguish lines of the same colour.
    pass: usize,
    /// (round, record) of the rounds in which the client took part.
    rounds: Vec<(usize, ClientRecord)>,
}

/// Draws the curves.
///
/// `records` are the rounds so far in order (possibly none), `names` the clients' names by index; a client without a
/// name is called "client N". Non-finite values are skipped and interrupt their line.
///
/// # Errors
/// [`Error::Internal`] if the drawing library fails.
pub fn loss_curves(title: &str, records: &[RoundRecord], names: &[String]) -> Result<RgbImage> {
    let lines = collect(records, names);
    let mut panels: Vec<(&str, Value)> = vec![
        ("Generator loss", |c| c.loss_g),
        ("Discriminator loss: mean of real and generated", ClientRecord::loss_d),
    ];
    if weights_vary(&lines) {
        panels.push(("Aggregation weight", |c| c.weight));
    }
    let size = (WIDTH * SCALE, (TITLE_HEIGHT + PANEL_HEIGHT * panels.len() as u32) * SCALE);
    let mut picture = RgbImage::new(size.0, size.1);
    {
        let root = BitMapBackend::with_buffer(&mut picture, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        let (head, body) = root.split_vertically(px(TITLE_HEIGHT));
        head.draw_text(title, &text(21.0, INK, HPos::Left)?, (px(16), px(26))).map_err(failed)?;
        let (plots, legend) = body.split_horizontally(px(WIDTH - LEGEND_WIDTH));
        let rounds = records.iter().map(|r| r.round);
        let span = (rounds.clone().min().unwrap_or(0), rounds.max().unwrap_or(0));
        for (area, (caption, value)) in plots.split_evenly((panels.len(), 1)).iter().zip(&panels) {
            draw_panel(area, caption, span, &lines, *value)?;
        }
        draw_legend(&legend, &lines)?;
        root.present().map_err(failed)?;
    }
    Ok(image::imageops::thumbnail(&picture, size.0 / SCALE, size.1 / SCALE))
}

fn failed(why: impl Display) -> Error {
    Error::internal(format!("loss curves: {why}"))
}

/// Pixels of the finished picture to pixels of the canvas.
fn px(pixels: u32) -> i32 {
    (pixels * SCALE) as i32
}

fn text(size: f64, colour: RGBColor, horizontal: HPos) -> Result<TextStyle<'static>> {
    let font = (font::family()?, size * f64::from(SCALE)).into_font();
    let mut style = TextStyle::from(font).pos(Pos::new(horizontal, VPos::Center));
    style.color = colour.to_backend_color();
    Ok(style)
}

/// Collects each client's rounds and assigns names and colours, in the order of the client indices.
fn collect(records: &[RoundRecord], names: &[String]) -> Vec<Line> {
    let mut clients: BTreeMap<usize, Vec<(usize, ClientRecord)>> = BTreeMap::new();
    for record in records {
        for client in &record.clients {
            clients.entry(client.client).or_default().push((record.round, client.clone()));
        }
    }
    let grouped = clients.len() > MOST_LEGEND_LINES;
    let mut used = [0usize; 2];
    let line = |(index, rounds): (usize, Vec<(usize, ClientRecord)>)| {
        let malicious = rounds.iter().any(|(_, client)| client.malicious);
        let place = used[usize::from(malicious)];
        // With many clients nobody can follow a single line: each group keeps its first colour.
        used[usize::from(malicious)] += usize::from(!grouped);
        let palette: &[RGBColor] = if malicious { &[MALICIOUS] } else { &HONEST };
        let (colour, pass) = (palette[place % palette.len()], place / palette.len());
        let name = names.get(index).cloned().unwrap_or_else(|| format!("client {index}"));
        Line { name, malicious, colour, pass, rounds }
    };
    clients.into_iter().map(line).collect()
}

fn weights_vary(lines: &[Line]) -> bool {
    let mut weights = lines.iter().flat_map(|line| &line.rounds).map(|(_, client)| client.weight);
    weights.next().is_some_and(|first| weights.any(|weight| weight != first))
}

/// The runs of consecutive drawable points of a line, each connected.
fn pieces(line: &Line, value: Value) -> Vec<Piece> {
    let stride = line.rounds.len().div_ceil(MOST_POINTS).max(1);
    let mut pieces = vec![Piece::new()];
    for group in line.rounds.chunks(stride) {
        // One bad value in a group interrupts the line: a divergence must not vanish in an average.
        let n = group.len() as f64;
        let x = group.iter().map(|(round, _)| *round as f64).sum::<f64>() / n;
        let y = group.iter().map(|(_, client)| value(client)).sum::<f64>() / n;
        match pieces.last_mut() {
            Some(piece) if y.abs() <= LARGEST_VALUE => piece.push((x, y)),
            _ => pieces.push(Piece::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The range of the vertical axis: all values plus a margin, never empty.
fn vertical_range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let range = values
        .fold(None, |range: Option<(f64, f64)>, v| Some(range.map_or((v, v), |(low, high)| (low.min(v), high.max(v)))));
    range.map(|(low, high)| {
        let margin = (0.06 * (high - low)).max(1e-3 * low.abs().max(high.abs())).max(1e-6);
        // Losses and weights that stay positive have no axis below zero.
        let bottom = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
        (bottom, high + margin)
    })
}

/// A tick label with as many decimals as the range of its axis requires.
fn tick(value: f64, range: f64) -> String {
    let digits = 1 - range.log10().floor() as i32;
    if !(-4..=5).contains(&digits) { format!("{value:.2e}") } else { format!("{value:.*}", digits.max(0) as usize) }
}

fn draw_panel(area: &Canvas, caption: &str, span: (usize, usize), lines: &[Line], value: Value) -> Result<()> {
    let drawn: Vec<(&Line, Vec<Piece>)> = lines.iter().map(|line| (line, pieces(line, value))).collect();
    let values = drawn.iter().flat_map(|(_, pieces)| pieces.iter().flatten()).map(|(_, y)| *y);
    let found = vertical_range(values);
    let (low, high) = found.unwrap_or((0.0, 1.0));
    // A single round gets a margin on both sides; otherwise the axis ends with the data.
    let (first, last) = (span.0 as f64, span.1 as f64);
    let (left, right) = if last > first { (first, last) } else { ((first - 1.0).max(0.0), first + 1.0) };
    let (caption_area, plot) = area.split_vertically(px(28));
    caption_area.draw_text(caption, &text(16.0, INK, HPos::Left)?, (px(62), px(14))).map_err(failed)?;
    let mut chart = ChartBuilder::on(&plot)
        .margin_right(px(18))
        .margin_bottom(px(6))
        .margin_top(px(4))
        .set_label_area_size(LabelAreaPosition::Left, px(62))
        .set_label_area_size(LabelAreaPosition::Bottom, px(40))
        .build_cartesian_2d(Rounds { left, right }, low..high)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .bold_line_style(FAINT.stroke_width(SCALE))
        .axis_style(INK.stroke_width(SCALE))
        .label_style(text(13.0, INK, HPos::Left)?)
        .axis_desc_style(text(13.0, INK, HPos::Left)?)
        .x_desc("round")
        .y_labels(6)
        .y_label_formatter(&|y| tick(*y, high - low))
        .draw()
        .map_err(failed)?;
    if found.is_none() {
        let middle = chart.backend_coord(&((left + right) / 2.0, 0.5));
        let (x0, y0) = plot.get_base_pixel();
        let style = text(15.0, INK, HPos::Center)?;
        plot.draw_text("no finite values", &style, (middle.0 - x0, middle.1 - y0)).map_err(failed)?;
    }
    // Malicious clients last, on top of the others.
    let thin = lines.len() > MOST_LEGEND_LINES;
    for marked in [false, true] {
        for (line, pieces) in drawn.iter().filter(|(line, _)| line.malicious == marked) {
            for piece in pieces {
                draw_piece(&mut chart, line, piece, line_style(line, thin))?;
            }
        }
    }
    Ok(())
}

fn draw_piece(chart: &mut Chart, line: &Line, piece: &Piece, style: ShapeStyle) -> Result<()> {
    let points = piece.iter().copied();
    if piece.len() == 1 {
        let dot = points.map(|point| Circle::new(point, px(4), style.filled()));
        chart.draw_series(dot).map_err(failed)?;
    } else if let Some((dash, gap)) = dashes(line) {
        chart.draw_series(DashedLineSeries::new(points, dash, gap, style)).map_err(failed)?;
    } else {
        // Segment by segment: the library thins the steep parts of longer paths.
        let segments = piece.windows(2).map(|ends| PathElement::new(ends.to_vec(), style));
        chart.draw_series(segments).map_err(failed)?;
    }
    Ok(())
}

/// Integer rounds in steps of 1, 2 or 5 times a power of ten, about ten at most.
fn round_ticks(left: f64, right: f64) -> Vec<f64> {
    let rough = ((right - left) / 10.0).max(1.0);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let start = (left / step).ceil();
    (0..=11).map(|i| (start + f64::from(i)) * step).filter(|x| (left..=right).contains(x)).collect()
}

/// The horizontal axis, with labels at integer rounds only.
#[derive(Clone)]
struct Rounds {
    left: f64,
    right: f64,
}

impl Ranged for Rounds {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, round: &f64, (low, high): (i32, i32)) -> i32 {
        low + ((round - self.left) / (self.right - self.left) * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        round_ticks(self.left, self.right)
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.left..self.right
    }
}

impl ValueFormatter<f64> for Rounds {
    fn format(round: &f64) -> String {
        format!("{round:.0}")
    }
}

fn line_style(line: &Line, thin: bool) -> ShapeStyle {
    let width = match (thin, line.malicious) {
        (true, false) => 1,
        (true, true) => 2 * SCALE,
        (false, false) => 2 * SCALE,
        (false, true) => 3 * SCALE,
    };
    line.colour.stroke_width(width)
}

/// Length of dash and gap; `None` for a solid line.
fn dashes(line: &Line) -> Option<(i32, i32)> {
    match line.pass % 4 {
        0 => None,
        1 => Some((px(8), px(4))),
        2 => Some((px(3), px(3))),
        _ => Some((px(14), px(3))),
    }
}

fn draw_legend(area: &Canvas, lines: &[Line]) -> Result<()> {
    let grouped = lines.len() > MOST_LEGEND_LINES;
    let mut entries: Vec<(String, &Line)> = Vec::new();
    if grouped {
        for (what, marked) in [("honest", false), ("malicious", true)] {
            let mut group = lines.iter().filter(|line| line.malicious == marked);
            if let Some(first) = group.next() {
                entries.push((format!("{} {what} clients", 1 + group.count()), first));
            }
        }
    } else {
        entries.extend(lines.iter().map(|line| (label(line), line)));
    }
    // The legend is aligned with the top of the first plot.
    for (index, (name, line)) in entries.iter().enumerate() {
        let y = px(42 + 24 * index as u32);
        let style = line_style(line, false);
        let ends = [(px(4), y), (px(30), y)];
        match dashes(line) {
            Some((dash, gap)) => area.draw(&DashedPathElement::new(ends, dash, gap, style)),
            None => area.draw(&PathElement::new(ends, style)),
        }
        .map_err(failed)?;
        area.draw_text(name, &text(14.0, INK, HPos::Left)?, (px(38), y + px(2))).map_err(failed)?;
    }
    Ok(())
}

/// The legend's text: the name, shortened to fit.
fn label(line: &Line) -> String {
    let room = if line.malicious { 10 } else { 21 };
    let mut name = line.name.clone();
    if name.chars().count() > room {
        name = name.chars().take(room - 1).chain(['…']).collect();
    }
    if line.malicious { format!("{name} (malicious)") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(client: usize, malicious: bool, loss_g: f64, loss_d: f64, weight: f64) -> ClientRecord {
        ClientRecord {
            weight,
            loss_g,
            loss_d_real: loss_d,
            loss_d_fake: loss_d,
            ..ClientRecord::example(client, malicious)
        }
    }

    /// Curves like those of a GAN: a transient, then noise.
    fn run(rounds: usize, clients: usize, malicious: usize, weighted: bool) -> Vec<RoundRecord> {
        let noise = |a: usize, b: usize| ((a as f64 * 12.9898 + b as f64 * 78.233).sin() * 43758.547).fract();
        let of = |round: usize, c: usize| {
            let t = round as f64 / rounds as f64;
            let g = 1.2 + 2.5 * t.sqrt() + 0.15 * c as f64 + 0.5 * noise(round, c);
            let d = 0.7 - 0.4 * t.sqrt() + 0.02 * c as f64 + 0.06 * noise(c, round);
            client(c, c < malicious, g, d, if weighted { (1 + c) as f64 * (1.0 + 0.3 * t) / 20.0 } else { 0.25 })
        };
        (1..=rounds)
            .map(|r| RoundRecord {
                round: r,
                clients: (0..clients).map(|c| of(r, c)).collect(),
                aggregation: Vec::new(),
                extra: BTreeMap::new(),
            })
            .collect()
    }

    /// Pixels of approximately this colour.
    fn ink(picture: &RgbImage, colour: RGBColor) -> usize {
        let near = |p: &image::Rgb<u8>| p.0.iter().zip([colour.0, colour.1, colour.2]).all(|(a, b)| a.abs_diff(b) < 12);
        picture.pixels().filter(|p| near(p)).count()
    }

    #[test]
    fn lines_are_drawn_and_the_malicious_one_is_marked() {
        let picture = loss_curves("t", &run(60, 4, 1, false), &[]).unwrap();
        assert_eq!(picture.dimensions(), (WIDTH, TITLE_HEIGHT + 2 * PANEL_HEIGHT));
        assert!(ink(&picture, MALICIOUS) > 500, "{}", ink(&picture, MALICIOUS));
        for colour in &HONEST[..3] {
            assert!(ink(&picture, *colour) > 300, "{colour:?}: {}", ink(&picture, *colour));
        }
        let honest = loss_curves("t", &run(60, 4, 0, false), &[]).unwrap();
        assert_eq!(ink(&honest, MALICIOUS), 0);
        assert_eq!(loss_curves("t", &run(60, 4, 0, false), &[]).unwrap(), honest, "the same input, the same picture");
    }

    #[test]
    fn weights_get_a_panel_when_they_vary() {
        let picture = loss_curves("t", &run(5, 3, 1, true), &[]).unwrap();
        assert_eq!(picture.height(), TITLE_HEIGHT + 3 * PANEL_HEIGHT);
    }

    #[test]
    fn one_round_is_dots() {
        let picture = loss_curves("t", &run(1, 2, 1, false), &[]).unwrap();
        let empty = loss_curves("t", &[], &[]).unwrap();
        assert_eq!(ink(&empty, MALICIOUS), 0);
        // Two panels with a dot of 4 pixels radius, excluding the legend's line and text.
        let plots = image::imageops::crop_imm(&picture, 0, 0, WIDTH - LEGEND_WIDTH, picture.height()).to_image();
        assert!((60..140).contains(&ink(&plots, MALICIOUS)), "{}", ink(&plots, MALICIOUS));
    }

    #[test]
    fn non_finite_values_interrupt_the_line() {
        let mut records = run(10, 1, 0, false);
        records[3].clients[0].loss_g = f64::NAN;
        records[4].clients[0].loss_g = f64::INFINITY;
        records[8].clients[0].loss_g = 1e300;
        let lines = collect(&records, &[]);
        let lengths: Vec<usize> = pieces(&lines[0], |c| c.loss_g).iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 3, 1]);
        loss_curves("t", &records, &[]).unwrap();
        for record in &mut records {
            record.clients[0].loss_g = f64::NAN;
        }
        let picture = loss_curves("all diverged", &records, &[]).unwrap();
        assert_eq!(picture.height(), TITLE_HEIGHT + 2 * PANEL_HEIGHT);
    }

    #[test]
    fn long_runs_are_averaged_down_without_losing_rounds() {
        let lines = collect(&run(2500, 1, 0, false), &[]);
        let pieces = pieces(&lines[0], |_| 1.0);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].len(), 834);
        assert_eq!(pieces[0][0], (2.0, 1.0));
    }

    #[test]
    fn axes_and_labels_are_readable() {
        assert_eq!(round_ticks(1.0, 4.0), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(round_ticks(1.0, 120.0), [20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
        assert_eq!(round_ticks(0.0, 2.0), [0.0, 1.0, 2.0]);
        assert_eq!(tick(0.25, 1.0), "0.2");
        assert_eq!(tick(0.25, 0.9), "0.25");
        assert_eq!(tick(1234.5, 4000.0), "1234");
        assert_eq!(vertical_range([1.0, 1.0].into_iter()), Some((0.999, 1.001)));
        assert_eq!(vertical_range(std::iter::empty()), None);
        let line = |name: &str, malicious| {
            label(&Line { name: name.into(), malicious, colour: INK, pass: 0, rounds: Vec::new() })
        };
        assert_eq!(line("client 0", true), "client 0 (malicious)");
        assert_eq!(line("Universitätsklinikum Nord", false), "Universitätsklinikum…");
    }

    #[test]
    fn many_clients_and_repeated_colours_work() {
        for (clients, rounds) in [(8, 5), (20, 3), (40, 3)] {
            let picture = loss_curves("t", &run(rounds, clients, 2, false), &["a".into()]).unwrap();
            assert!(ink(&picture, MALICIOUS) > 50, "{clients} clients");
        }
    }
}
