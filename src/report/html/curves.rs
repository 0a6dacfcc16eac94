//! The charts over rounds: losses and weights of each cell, metrics of all cells.

use super::cells::Cell;
use super::load::Run;
use super::names::Name;
use super::svg::{COLOURS, Chart, Level, Line, Style, join, plain_swatch, shown, swatch};
use super::table::{columns, floor};
use super::text::{count, escape};
use super::thin::thin;
use crate::report::rates::SUPPRESSED;
use crate::report::{ClientRecord, RoundRecord};
use std::collections::BTreeSet;

/// Colours by meaning: G and honest clients, D and malicious clients.
const FIRST: usize = 0;
const SECOND: usize = 1;
/// Bands of more cells than this in one chart hide each other.
const MOST_BANDS: usize = 4;
/// Points of a line: about one per pixel of a chart, fewer where a page has many charts.
const MOST_POINTS: usize = 480;
const LEAST_POINTS: usize = 60;
/// Points of one line in each cell's chart, over all cells of a page.
const POINTS: usize = 12_000;

/// A chart with its caption.
struct Figure {
    caption: String,
    chart: Chart,
    /// Whether it shows unfinished runs.
    unfinished: bool,
    /// Number of values that no axis can show.
    left_out: usize,
}

impl Figure {
    fn new(caption: &str, chart: Chart, spreads: Vec<Spread>, unfinished: bool) -> Figure {
        let left_out = spreads.iter().map(|s| s.left_out).sum();
        let lines = spreads.into_iter().map(|s| s.line).collect();
        Figure { caption: caption.into(), chart: Chart { lines, ..chart }, unfinished, left_out }
    }

    fn html(&self) -> String {
        let tag = |text: &str| format!(" <span class=\"tag warn\">{text}</span>");
        let unfinished = if self.unfinished { tag("unfinished runs") } else { String::new() };
        let left_out = match self.left_out {
            0 => String::new(),
            n => tag(&format!("{} left out: not finite, or huge", count(n, "value"))),
        };
        let svg = self.chart.svg();
        let inside = if svg.is_empty() { "<p>Nothing to draw.</p>".to_string() } else { svg };
        format!("<figure><figcaption>{}{unfinished}{left_out}</figcaption>{inside}</figure>\n", escape(&self.caption))
    }
}

/// A line, and the number of values that it omits.
struct Spread {
    line: Line,
    left_out: usize,
}

/// Mean, minimum and maximum of the displayable values at each x.
fn spread(x_values: impl Iterator<Item = (f64, Vec<f64>)>, style: Style) -> Spread {
    let (mut line, mut left_out) = (Line { style, ..Default::default() }, 0);
    for (x, values) in x_values {
        let finite: Vec<f64> = values.iter().copied().filter(|v| shown(*v)).collect();
        left_out += values.len() - finite.len();
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        line.points.push((x, mean));
        if finite.len() > 1 {
            let end = |pick: fn(f64, f64) -> f64| finite.iter().copied().fold(f64::NAN, pick);
            line.band.push((x, end(f64::min), end(f64::max)));
        }
    }
    Spread { line, left_out }
}

fn is_unfinished(cell: &Cell) -> bool {
    cell.runs.iter().any(|r| !r.is_finished())
}

/// A line over rounds: the values of `pick` for each round, over all runs of the cell.
fn over_rounds(cell: &Cell, style: Style, pick: impl Fn(&RoundRecord) -> Vec<f64>) -> Spread {
    let last = cell.runs.iter().map(|r| r.done()).max().unwrap_or(0);
    let at = |round: usize| cell.runs.iter().filter_map(|r| r.records.get(round)).flat_map(&pick).collect();
    spread((0..last).map(|round| ((round + 1) as f64, at(round))), style)
}

fn losses(cell: &Cell) -> Figure {
    let style = |colour, dashed| Style { colour, dashed, mark: None };
    let lines = vec![
        over_rounds(cell, style(FIRST, false), |r| vec![r.mean_losses().0]),
        over_rounds(cell, style(SECOND, true), |r| vec![r.mean_losses().1]),
    ];
    let title = format!("generator and discriminator loss per round, {}", cell.label);
    let chart = Chart { title, y_label: "loss".into(), ..Default::default() };
    Figure::new(&cell.label, chart, lines, is_unfinished(cell))
}

fn weights(cell: &Cell) -> Figure {
    let style = |colour, dashed| Style { colour, dashed, mark: None };
    let of = |malicious: bool| {
        move |r: &RoundRecord| {
            let clients = r.clients.iter().filter(|c: &&ClientRecord| c.malicious == malicious);
            clients.map(|c| c.weight).collect::<Vec<f64>>()
        }
    };
    let mut lines = vec![over_rounds(cell, style(FIRST, false), of(false))];
    let plan = &cell.first().plan;
    if cell.runs.iter().flat_map(|r| r.records.first()).flat_map(|r| &r.clients).any(|c| c.malicious) {
        lines.push(over_rounds(cell, style(SECOND, true), of(true)));
    }
    let limit = SUPPRESSED / plan.clients.max(1) as f64;
    let levels = plan.warmup.map(|_| Level { y: limit, colour: None }).into_iter().collect();
    let title = format!("weights of honest and malicious clients per round, {}", cell.label);
    // Verdicts start after round `warmup`, counted from 0: after warmup + 1 rounds.
    let upright = plan.warmup.map(|w| f64::from(w) + 1.0);
    let chart = Chart { title, y_label: "weight".into(), levels, upright, ..Default::default() };
    Figure::new(&cell.label, chart, lines, is_unfinished(cell))
}

/// The malicious clients, if clients have names.
fn malicious_names(cells: &[Cell]) -> String {
    let named = |c: &ClientRecord| Some(format!("{} {}", c.client, c.name.as_ref()?));
    let of = |cell: &Cell| {
        let first = cell.runs.iter().find_map(|r| r.records.first())?;
        let names: Vec<String> = first.clients.iter().filter(|c| c.malicious).filter_map(named).collect();
        (!names.is_empty())
            .then(|| format!("<p>Malicious in {}: {}</p>\n", escape(&cell.label), escape(&names.join(", "))))
    };
    cells.iter().filter_map(of).collect()
}

/// Charts to be compared share their axes: x for all of them, y within a `group`.
fn share(figures: &mut [Figure], groups: &[String], from_zero: bool) {
    let x = figures.iter().map(|f| f.chart.x_span()).fold(None, join);
    let span = |group: &String| {
        let members = figures.iter().zip(groups).filter(|(_, g)| *g == group);
        let y = members.map(|(f, _)| f.chart.y_span()).fold(None, join);
        if from_zero { join(y, Some((0.0, 0.0))) } else { y }
    };
    let spans: Vec<_> = groups.iter().map(span).collect();
    for (figure, y) in figures.iter_mut().zip(spans) {
        (figure.chart.x, figure.chart.y) = (x, y);
    }
}

/// Style of a cell's line in charts of all cells; lines are dashed when colours repeat.
fn style(cell: usize) -> Style {
    Style { colour: cell, mark: Some(cell), dashed: (cell / COLOURS) % 2 == 1 }
}

/// One metric over evaluation rounds, one line per cell.
fn distance(cells: &[Cell], name: &Name) -> Figure {
    let mut floors: Vec<(usize, f64)> = Vec::new();
    let mut lines = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let of_run = |run: &&Run| {
            let value = |(i, r): (usize, &RoundRecord)| Some((i + 1, *r.extra.get(&name.full)?));
            run.records.iter().enumerate().filter_map(value).collect::<Vec<(usize, f64)>>()
        };
        let values: Vec<(usize, f64)> = cell.runs.iter().flat_map(of_run).collect();
        let rounds: BTreeSet<usize> = values.iter().map(|v| v.0).collect();
        let at = |round: usize| values.iter().filter(|v| v.0 == round).map(|v| v.1).collect();
        lines.push(spread(rounds.iter().map(|r| (*r as f64, at(*r))), style(index)));
        floors.extend(floor(cell, name).filter(|_| !rounds.is_empty()).map(|f| (index, f.value)));
    }
    if cells.len() > MOST_BANDS {
        lines.iter_mut().for_each(|s| s.line.band.clear());
    }
    // Cells with the same images have the same floor, which is then drawn in neutral colour.
    let one = floors.iter().all(|f| f.1 == floors[0].1);
    let level = |(index, y): &(usize, f64)| Level { y: *y, colour: Some(*index).filter(|_| !one) };
    let levels = floors.iter().take(if one { 1 } else { floors.len() }).map(level).collect();
    let (detail, short) = (name.detail(), name.short());
    let caption = if detail.is_empty() { short.clone() } else { format!("{short} ({detail})") };
    let chart =
        Chart { title: format!("{caption} over evaluation rounds"), y_label: short, levels, ..Default::default() };
    let has = |run: &&Run| run.records.iter().any(|r| r.extra.contains_key(&name.full));
    let unfinished = cells.iter().flat_map(|c| &c.runs).any(|run| !run.is_finished() && has(run));
    Figure::new(&caption, chart, lines, unfinished)
}

fn grid(figures: &[Figure]) -> String {
    let figures: String = figures.iter().map(Figure::html).collect();
    format!("<div class=\"charts\">\n{figures}</div>\n")
}

fn legend<T: AsRef<str>>(items: &[(String, T)]) -> String {
    let item = |(swatch, text): &(String, T)| format!("<li>{swatch} {}</li>", escape(text.as_ref()));
    format!("<ul class=\"legend\">{}</ul>\n", items.iter().map(item).collect::<String>())
}

fn solid(colour: usize) -> String {
    swatch(Style { colour, mark: None, dashed: false })
}

fn broken(colour: usize) -> String {
    swatch(Style { colour, mark: None, dashed: true })
}

/// All curves.
pub fn section(cells: &[Cell]) -> String {
    let kinds: Vec<String> =
        cells.iter().map(|c| c.first().plan.keys.get("train.loss").cloned().unwrap_or_default()).collect();
    let all = vec![String::new(); cells.len()];
    let mut loss: Vec<Figure> = cells.iter().map(losses).collect();
    share(&mut loss, &kinds, false);
    let mut weight: Vec<Figure> = cells.iter().map(weights).collect();
    share(&mut weight, &all, true);
    let most = (POINTS / cells.len().max(1)).clamp(LEAST_POINTS, MOST_POINTS);
    loss.iter_mut().chain(&mut weight).flat_map(|f| &mut f.chart.lines).for_each(|line| thin(line, most));
    let names = columns(cells.iter().flat_map(|c| c.runs.iter().copied()));
    let distances: Vec<Figure> = names.iter().map(|n| distance(cells, n)).collect();
    let label = |(i, c): (usize, &Cell)| {
        let unfinished = if is_unfinished(c) { " (with unfinished runs)" } else { "" };
        (swatch(style(i)), format!("{}{unfinished}", c.label))
    };
    let mut labels: Vec<(String, String)> = cells.iter().enumerate().map(label).collect();
    let floor = "floor: real images against real ones (or the threshold), mean over seeds";
    labels.push((plain_swatch("level"), floor.into()));
    let bands = match cells.len() > MOST_BANDS {
        true => format!("; no bands, because those of more than {MOST_BANDS} cells would hide each other"),
        false => "; bands span the seeds".into(),
    };
    let distances = if distances.is_empty() {
        "<p>No run has an evaluation.</p>".to_string()
    } else {
        legend(&labels) + &grid(&distances)
    };
    format!(
        "<h3>Losses</h3>\n<p>Mean over clients and seeds; bands span the means of the seeds. Charts of the same loss \
         share their axes.</p>\n{}{}<h3>Weights</h3>\n<p>Mean, minimum and maximum over clients and seeds.</p>\n{}{}\
         <h3>Metrics over evaluation rounds</h3>\n<p>Mean over seeds{bands}.</p>\n{distances}",
        legend(&[(solid(FIRST), "generator"), (broken(SECOND), "discriminator, mean over real and generated images")]),
        grid(&loss),
        legend(&[
            (solid(FIRST), "honest clients"),
            (broken(SECOND), "malicious clients"),
            (plain_swatch("level"), "suppression limit, 0.2 / clients"),
            (plain_swatch("upright"), "end of the warm-up"),
        ]) + &malicious_names(cells),
        grid(&weight),
    )
}

#[cfg(test)]
mod tests {
    use super::super::cells::group;
    use super::super::fixture::{Fixture, plan};
    use super::super::load::load;
    use super::*;

    #[test]
    fn lines_are_means_and_bands_extremes() {
        let values = [(1.0, vec![1.0, 3.0, f64::NAN]), (2.0, vec![4.0]), (3.0, vec![])];
        let Spread { line, left_out } = spread(values.into_iter(), Style::default());
        assert_eq!(left_out, 1);
        assert_eq!(line.points[..2], [(1.0, 2.0), (2.0, 4.0)]);
        assert!(line.points[2].1.is_nan());
        assert_eq!(line.band, [(1.0, 1.0, 3.0)]);
    }

    #[test]
    fn charts_hold_what_the_runs_measured() {
        let f = Fixture::new();
        let watched = "[attack]\nmalicious = [0]\n[detection]\nkind = \"isolation-forest\"\nwarmup = 1\n";
        [("a", 1, ""), ("b", 2, ""), ("c", 1, watched)].iter().for_each(|(n, s, m)| f.run(n, *s, m, 4));
        let inputs = load(&["a", "b", "c"].map(|n| f.path(n)), &plan).unwrap();
        let cells = group(&inputs, &mut Vec::new());
        let loss = losses(&cells[0]).chart;
        assert_eq!(loss.lines[0].points, [1.0, 2.0, 3.0, 4.0].map(|x| (x, 2.0)));
        assert_eq!(loss.lines[1].points[0], (1.0, 0.375));
        let weight = weights(&cells[1]).chart;
        assert_eq!((weight.lines[1].points[3], weight.upright), ((4.0, 0.01), Some(2.0)));
        assert_eq!(weights(&cells[0]).chart.lines.len(), 1, "nobody is malicious");
        assert!(!section(&cells).contains("Malicious in"), "these clients have no names");
        let names = columns(inputs.runs.iter());
        let kid = distance(&cells, &names[0]).chart;
        assert_eq!((kid.lines[0].points[0], kid.lines[0].band[0]), ((4.0, 0.1875), (4.0, 0.125, 0.25)));
        assert_eq!(kid.levels, [Level { y: 0.0625, colour: None }], "one floor for all");
    }
    #[test]
    fn malicious_clients_are_called_by_their_names() {
        let f = Fixture::new();
        f.run("a", 1, "", 4);
        f.run("b", 1, "[attack]\nmalicious = [0]\n", 4);
        let mut inputs = load(&["a", "b"].map(|n| f.path(n)), &plan).unwrap();
        for record in inputs.runs.iter_mut().flat_map(|run| &mut run.records) {
            for (client, name) in record.clients.iter_mut().zip(["<east>", "west", "north"]) {
                client.name = Some(name.into());
            }
        }
        let html = section(&group(&inputs, &mut Vec::new()));
        assert_eq!(html.matches("Malicious in").count(), 1, "{html}");
        assert!(html.contains(": 0 &lt;east&gt;</p>") && !html.contains("west"), "{html}");
    }

    #[test]
    fn charts_of_metrics_tell_of_unfinished_runs_and_missing_values() {
        let f = Fixture::new();
        f.run("a", 1, "", 4);
        f.run("b", 2, "", 4);
        std::fs::remove_file(f.path("b/summary.json")).unwrap();
        let mut inputs = load(&["a", "b"].map(|n| f.path(n)), &plan).unwrap();
        let tags = |inputs: &super::super::Inputs| {
            let cells = group(inputs, &mut Vec::new());
            let name = &columns(inputs.runs.iter())[0];
            (distance(&cells, name).html(), section(&cells))
        };
        let (html, all) = tags(&inputs);
        assert!(html.contains(">unfinished runs<") && !html.contains("left out"), "{html}");
        assert!(all.contains("test (with unfinished runs)"), "{all}");
        inputs.runs[1].saved = true;
        inputs.runs[1].records[3].extra.iter_mut().for_each(|(_, v)| *v = f64::NAN);
        let (html, all) = tags(&inputs);
        assert!(html.contains(">1 value left out: not finite, or huge<") && !html.contains("unfinished"), "{html}");
        assert!(!all.contains("unfinished"), "{all}");
    }
    #[test]
    fn many_cells_have_lines_that_differ_and_no_bands() {
        let looks: Vec<Style> = (0..10).map(style).collect();
        let alike = |(i, a): (usize, &Style)| {
            looks[..i].iter().any(|b| (a.colour % COLOURS, a.dashed) == (b.colour % COLOURS, b.dashed))
        };
        assert!(!looks.iter().enumerate().any(alike));
        let f = Fixture::new();
        for cell in 0..5u64 {
            (1..3).for_each(|seed| f.run(&format!("{cell}{seed}"), seed, &format!("[train]\nlr = {cell}\n"), 4));
        }
        let dirs: Vec<_> = (0..5).flat_map(|c| [1, 2].map(|s| f.path(&format!("{c}{s}")))).collect();
        let inputs = load(&dirs, &plan).unwrap();
        let cells = group(&inputs, &mut Vec::new());
        let name = &columns(inputs.runs.iter())[0];
        let bands = |n: usize| distance(&cells[..n], name).chart.lines.iter().map(|l| l.band.len()).sum::<usize>();
        assert_eq!((bands(4), bands(5)), (4, 0));
        assert!(section(&cells).contains("no bands") && !section(&cells[..4]).contains("no bands"));
    }
}
