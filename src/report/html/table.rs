//! The tables of values: per cell over seeds, paired differences, per run.

use super::bootstrap::Estimate;
use super::cells::Cell;
use super::load::Run;
use super::names::{Better, Name};
use super::text::{count, escape, number, numbers};
use std::collections::BTreeSet;

/// The metrics of the last evaluations of these runs, in the order of columns.
pub fn columns<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Name> {
    let values = runs.filter_map(|r| r.last_evaluation()).flat_map(|(_, values)| values.keys());
    values.filter_map(|name| Name::of(name)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn value(run: &Run, name: &str) -> Option<f64> {
    run.last_evaluation()?.1.get(name).copied()
}

/// Of the finished runs of a cell.
fn over_seeds(cell: &Cell, name: &str) -> Option<Estimate> {
    Estimate::of(&cell.finished().filter_map(|r| value(r, name)).collect::<Vec<_>>())
}

/// Real images against real ones: mean over the cell's seeds, its word and note.
pub struct Floor {
    /// Mean over seeds (each has its own split of the real images).
    pub value: f64,
    /// `floor`, `threshold` or `real images`.
    pub word: &'static str,
    /// Numbers of images, where they are not the metric's.
    pub note: String,
}

/// The floor that belongs to a metric, where the runs have one; of the finished runs, as the metric's mean, unless there is none.
pub fn floor(cell: &Cell, name: &Name) -> Option<Floor> {
    let finished: Vec<&Run> = cell.finished().collect();
    let runs = if finished.is_empty() { &cell.runs } else { &finished };
    let (full, word, note) = runs.iter().filter_map(|r| r.last_evaluation()).find_map(|(_, values)| {
        values.keys().find_map(|key| name.floor(key).map(|(word, note)| (key.clone(), word, note)))
    })?;
    let values: Vec<f64> = runs.iter().filter_map(|r| value(r, &full)).collect();
    Some(Floor { value: Estimate::of(&values)?.mean, word, note })
}

fn heads(names: &[Name]) -> String {
    let head = |n: &Name| {
        let (full, meaning, short, detail) = (escape(&n.full), escape(&n.meaning()), escape(&n.short()), n.detail());
        let arrow = match n.better() {
            Better::Lower => "<span class=\"dir\">lower is better</span>",
            Better::Higher => "<span class=\"dir\">higher is better</span>",
            Better::Neither => "",
        };
        format!(
            "<th scope=\"col\" title=\"{full}: {meaning}\">{short}<span class=\"detail\">{}</span>{arrow}</th>",
            escape(&detail)
        )
    };
    names.iter().map(head).collect()
}

fn seeds(cell: &Cell) -> String {
    let (n, all) = (cell.finished().count(), cell.runs.len());
    let mut text = n.to_string();
    if (2..super::bootstrap::FEW).contains(&n) {
        text += " <span class=\"tag\">few</span>";
    }
    if all > n {
        text += &format!(" <span class=\"tag warn\">+{} unfinished</span>", all - n);
    }
    text
}

/// An estimate as the inside of a table cell; `signed` for differences.
fn estimate(e: &Estimate, signed: bool, seeds: usize) -> String {
    let plus = |value: f64, text: String| if signed && value > 0.0 { format!("+{text}") } else { text };
    // A metric that was not finite in some run says over how many seeds it stands.
    let fewer =
        if e.n < seeds { format!("<span class=\"note\">{} of {seeds} finite</span>", e.n) } else { String::new() };
    match e.interval {
        None => {
            let mean = plus(e.mean, number(e.mean));
            format!("<span class=\"mean\">{mean}</span><span class=\"note\">1 seed, no interval</span>")
        }
        Some((low, high)) => {
            let [mean, l, h] = numbers([e.mean, low, high]);
            let (mean, l, h) = (plus(e.mean, mean), plus(low, l), plus(high, h));
            let few = if e.is_few() { "\u{2020}" } else { "" };
            format!("<span class=\"mean\">{mean}</span><span class=\"ci\">[{l}, {h}]{few}</span>{fewer}")
        }
    }
}

/// Index of the cell that is better than every other, intervals apart; none with a single value.
fn best(name: &Name, estimates: &[Option<Estimate>]) -> Option<usize> {
    let present: Vec<(usize, &Estimate)> =
        estimates.iter().enumerate().filter_map(|(i, e)| Some((i, e.as_ref()?))).collect();
    let better = |a: f64, b: f64| match name.better() {
        Better::Lower => a < b,
        Better::Higher => a > b,
        Better::Neither => false,
    };
    let wins =
        |(i, e): &(usize, &Estimate)| present.iter().all(|(j, o)| i == j || (better(e.mean, o.mean) && e.is_apart(o)));
    present.iter().find(|p| present.len() > 1 && wins(p)).map(|(i, _)| *i)
}

/// A row a cell, a column a metric of the last evaluation.
pub fn main(cells: &[Cell]) -> String {
    let names = columns(cells.iter().flat_map(|c| c.finished()));
    if names.is_empty() {
        return "<p>No finished run has an evaluation.</p>".into();
    }
    let of_name = |n: &Name| cells.iter().map(|c| over_seeds(c, &n.full)).collect::<Vec<_>>();
    let all: Vec<Vec<Option<Estimate>>> = names.iter().map(of_name).collect();
    let bests: Vec<Option<usize>> = names.iter().zip(&all).map(|(n, e)| best(n, e)).collect();
    let mut rows = String::new();
    for (i, cell) in cells.iter().enumerate() {
        rows += &format!("<tr><th scope=\"row\">{}</th><td>{}</td>", escape(&cell.label), seeds(cell));
        for (column, name) in names.iter().enumerate() {
            let class = if bests[column] == Some(i) { " class=\"best\"" } else { "" };
            let inside = all[column][i].map_or("\u{2013}".into(), |e| {
                let seeds = cell.finished().count();
                estimate(&e, false, seeds) + &floor(cell, name).map_or(String::new(), |f| floor_line(&f))
            });
            rows += &format!("<td{class} title=\"{}\">{inside}</td>", escape(&name.full));
        }
        rows += "</tr>\n";
    }
    let head = format!("<tr><th scope=\"col\">cell</th><th scope=\"col\">seeds</th>{}</tr>", heads(&names));
    format!("{}{}", scroll(&head, &rows), legend(&names))
}

fn floor_line(floor: &Floor) -> String {
    let note = if floor.note.is_empty() { String::new() } else { format!(" at {}", escape(&floor.note)) };
    format!("<span class=\"floor\">{} {}{note}</span>", floor.word, number(floor.value))
}

fn legend(names: &[Name]) -> String {
    let item = |n: &Name| {
        format!(
            "<div><dt>{} <code>{}</code></dt><dd>{}</dd></div>",
            escape(&n.short()),
            escape(&n.full),
            escape(&n.meaning())
        )
    };
    format!("<dl class=\"names\">{}</dl>\n", names.iter().map(item).collect::<String>())
}

/// Per seed, cell minus reference: what the seed brings to both goes away.
pub fn differences(cells: &[Cell], reference: usize) -> String {
    let base = &cells[reference];
    let names = columns(base.finished());
    if cells.len() < 2 || names.is_empty() {
        return "<p>Nothing to compare: there is one cell, or the reference has no finished run with an evaluation.</p>".into();
    }
    let mut rows = String::new();
    for (_, cell) in cells.iter().enumerate().filter(|(i, _)| *i != reference) {
        let pairs =
            cell.finished().filter_map(|run| base.finished().find(|b| b.plan.seed == run.plan.seed).map(|b| (run, b)));
        let pairs: Vec<(&Run, &Run)> = pairs.collect();
        rows += &format!("<tr><th scope=\"row\">{}</th><td>{}</td>", escape(&cell.label), pairs.len());
        for name in &names {
            let difference = |(a, b): &(&Run, &Run)| Some(value(a, &name.full)? - value(b, &name.full)?);
            let values: Vec<f64> = pairs.iter().filter_map(difference).collect();
            let e = Estimate::of(&values);
            let apart = e.is_some_and(|e| !e.is_few() && e.interval.is_some_and(|(l, h)| l > 0.0 || h < 0.0));
            let class = if apart { " class=\"best\"" } else { "" };
            let inside = e.map_or("\u{2013}".into(), |e| estimate(&e, true, pairs.len()));
            rows += &format!("<td{class} title=\"{}\">{inside}</td>", escape(&name.full));
        }
        rows += "</tr>\n";
    }
    let head = format!("<tr><th scope=\"col\">cell</th><th scope=\"col\">common seeds</th>{}</tr>", heads(&names));
    scroll(&head, &rows)
}

/// Every run with its last values, unfinished ones too.
pub fn runs(cells: &[Cell]) -> String {
    let names = columns(cells.iter().flat_map(|c| c.runs.iter().copied()));
    let mut rows = String::new();
    for (cell, run) in cells.iter().flat_map(|c| c.runs.iter().map(move |r| (c, *r))) {
        rows += &format!("<tr><th scope=\"row\">{}</th>", escape(&cell.label));
        rows += &format!("<td>{}</td><td>{}</td><td>{}</td>", run.plan.seed, rounds(run), time(run));
        rows +=
            &format!("<td>{}</td>", run.last_evaluation().map_or("\u{2013}".into(), |(round, _)| round.to_string()));
        for name in &names {
            let text = value(run, &name.full).map_or("\u{2013}".into(), number);
            let spread = value(run, &format!("{}_std", name.full));
            let spread = spread.map_or(String::new(), |s| format!("<span class=\"note\">\u{b1} {}</span>", number(s)));
            rows += &format!("<td>{text}{spread}</td>");
        }
        rows += &format!("<td class=\"path\">{}</td></tr>\n", escape(&run.dir.display().to_string()));
    }
    let fixed =
        ["cell", "seed", "rounds", "training time", "evaluated after"].map(|h| format!("<th scope=\"col\">{h}</th>"));
    scroll(&format!("<tr>{}{}<th scope=\"col\">directory</th></tr>", fixed.concat(), heads(&names)), &rows)
}

fn rounds(run: &Run) -> String {
    match run.is_finished() {
        true => run.done().to_string(),
        false => format!("{} of {} <span class=\"tag warn\">unfinished</span>", run.done(), run.plan.rounds),
    }
}

fn time(run: &Run) -> String {
    let seconds: f64 = run.timing.iter().map(|t| t.seconds).filter(|s| s.is_finite()).sum();
    match seconds {
        _ if run.timing.is_empty() => "\u{2013}".into(),
        s if s < 60.0 => format!("{s:.1} s"),
        s => crate::report::progress::duration(s),
    }
}

/// A table that scrolls inside itself where the page is narrow.
pub fn scroll(head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// `3 runs in 2 cells`.
pub fn counts(cells: &[Cell]) -> String {
    let runs = cells.iter().map(|c| c.runs.len()).sum();
    format!("{} in {}", count(runs, "run"), count(cells.len(), "cell"))
}
