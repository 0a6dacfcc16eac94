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

/// The values of a metric for the seeds of a cell, or for the pairs of seeds of two cells.
struct Values {
    /// Over the finite values.
    estimate: Option<Estimate>,
    /// Number of seeds, and number of seeds without the metric.
    seeds: usize,
    absent: usize,
}

impl Values {
    fn of(values: &[Option<f64>]) -> Values {
        let present: Vec<f64> = values.iter().flatten().copied().collect();
        Values { estimate: Estimate::of(&present), seeds: values.len(), absent: values.len() - present.len() }
    }

    /// Values of the finished runs of a cell.
    fn of_cell(cell: &Cell, name: &str) -> Values {
        Values::of(&cell.finished().map(|r| value(r, name)).collect::<Vec<_>>())
    }

    /// Whether no seed has the metric, finite or not.
    fn is_absent(&self) -> bool {
        self.absent == self.seeds
    }

    /// The estimate if no seed is missing from it: after excluding failures the comparison would not be fair.
    fn whole(&self) -> Option<&Estimate> {
        self.estimate.as_ref().filter(|e| e.n == self.seeds)
    }

    /// The number of seeds that the estimate excludes.
    fn left_out(&self) -> String {
        let finite = self.estimate.map_or(0, |e| e.n);
        let not_finite = self.seeds - self.absent - finite;
        let note = |n: usize, what: &str| match n {
            0 => String::new(),
            n => format!("<span class=\"note\">{what} in {n} of {}</span>", self.seeds),
        };
        note(not_finite, "not finite") + &note(self.absent, "absent")
    }

    /// The contents of a table cell; `signed` for differences.
    fn html(&self, signed: bool) -> String {
        if self.is_absent() {
            return "\u{2013}".into();
        }
        self.estimate.map_or(String::new(), |e| estimate(&e, signed)) + &self.left_out()
    }
}

/// A metric of the finished runs of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfCell {
    /// The mean over the finite values; `None` without one.
    pub mean: Option<f64>,
    /// Number of runs with a non-finite value, and of runs.
    pub nonfinite: [usize; 2],
}

/// A metric of the finished runs of a cell; `None` if no run has it.
pub fn of_cell(cell: &Cell, name: &str) -> Option<OfCell> {
    let values = Values::of_cell(cell, name);
    let finite = values.estimate.map_or(0, |e| e.n);
    let nonfinite = values.seeds - values.absent - finite;
    (!values.is_absent())
        .then(|| OfCell { mean: values.estimate.map(|e| e.mean), nonfinite: [nonfinite, values.seeds] })
}

/// A value to compare a metric with, such as real images against real ones: mean over the cell's seeds, with label and note.
pub struct Floor {
    /// Mean over seeds (each has its own split of the real images); NaN if none is finite.
    pub value: f64,
    /// `floor`, `threshold`, `real images` or `attacked real images`.
    pub word: &'static str,
    /// Numbers of images, if they differ from the metric's.
    pub note: String,
    /// The number of seeds that the mean excludes, as HTML.
    left_out: String,
}

/// The first floor of a metric, if the runs have one.
pub fn floor(cell: &Cell, name: &Name) -> Option<Floor> {
    floors(cell, name).into_iter().next()
}

/// The floors of a metric; from the finished runs, as for the metric's mean, unless there are none. Seeds may hold out other numbers of
/// images: a distance is compared at the numbers of the first seed that has it, a share at each seed's own.
pub fn floors(cell: &Cell, name: &Name) -> Vec<Floor> {
    let finished: Vec<&Run> = cell.finished().collect();
    let runs = if finished.is_empty() { &cell.runs } else { &finished };
    let found = |word: &str, run: &Run| {
        let (_, values) = run.last_evaluation()?;
        values.iter().find_map(|(key, value)| Some((name.floor(key).filter(|f| f.0 == word)?.1, *value)))
    };
    let of_word = |word: &'static str| {
        let own: Vec<Option<(String, f64)>> = runs.iter().map(|run| found(word, run)).collect();
        let (note, _) = own.iter().flatten().next()?.clone();
        let same = own.iter().map(|own| own.as_ref().filter(|(other, _)| *other == note).map(|own| own.1));
        let values = Values::of(&same.collect::<Vec<_>>());
        let left_out = values.left_out();
        Some(Floor { value: values.estimate.map_or(f64::NAN, |e| e.mean), word, note, left_out })
    };
    name.floors().into_iter().filter_map(of_word).collect()
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
    let faults = cell.finished().flat_map(|run| &run.records).flat_map(|r| &r.clients);
    match faults.filter(|c| c.nonfinite.is_some()).count() {
        0 => {}
        n => text += &format!(" <span class=\"tag warn\">{} not finite</span>", count(n, "client-round")),
    }
    text
}

fn estimate(e: &Estimate, signed: bool) -> String {
    let plus = |value: f64, text: String| if signed && value > 0.0 { format!("+{text}") } else { text };
    match e.interval {
        None => {
            let mean = plus(e.mean, number(e.mean));
            format!("<span class=\"mean\">{mean}</span><span class=\"note\">1 seed, no interval</span>")
        }
        Some((low, high)) => {
            let [mean, l, h] = numbers([e.mean, low, high]);
            let (mean, l, h) = (plus(e.mean, mean), plus(low, l), plus(high, h));
            let few = if e.is_few() { "\u{2020}" } else { "" };
            format!("<span class=\"mean\">{mean}</span><span class=\"ci\">[{l}, {h}]{few}</span>")
        }
    }
}

/// Index of the cell that is better than every other, with disjoint intervals and all seeds finite; none with a single
/// value.
fn best(name: &Name, values: &[Values]) -> Option<usize> {
    let present: Vec<(usize, &Values)> = values.iter().enumerate().filter(|(_, v)| !v.is_absent()).collect();
    let whole = present.iter().map(|(i, v)| Some((*i, v.whole()?))).collect::<Option<Vec<_>>>()?;
    let better = |a: f64, b: f64| match name.better() {
        Better::Lower => a < b,
        Better::Higher => a > b,
        Better::Neither => false,
    };
    let wins = |(i, e): &(usize, &Estimate)| {
        whole.iter().all(|(j, other)| i == j || (better(e.mean, other.mean) && e.is_apart(other)))
    };
    whole.iter().find(|p| whole.len() > 1 && wins(p)).map(|(i, _)| *i)
}

/// One row per cell, one column per metric of the last evaluation.
pub fn main(cells: &[Cell]) -> String {
    let names = columns(cells.iter().flat_map(|c| c.finished()));
    if names.is_empty() {
        return "<p>No finished run has an evaluation.</p>".into();
    }
    let of_name = |n: &Name| cells.iter().map(|c| Values::of_cell(c, &n.full)).collect::<Vec<_>>();
    let all: Vec<Vec<Values>> = names.iter().map(of_name).collect();
    let bests: Vec<Option<usize>> = names.iter().zip(&all).map(|(n, e)| best(n, e)).collect();
    let mut rows = String::new();
    for (i, cell) in cells.iter().enumerate() {
        rows += &format!("<tr><th scope=\"row\">{}</th><td>{}</td>", escape(&cell.label), seeds(cell));
        for (column, name) in names.iter().enumerate() {
            let class = if bests[column] == Some(i) { " class=\"best\"" } else { "" };
            let values = &all[column][i];
            let floors = if values.is_absent() { Vec::new() } else { floors(cell, name) };
            let inside = values.html(false) + &floors.iter().map(floor_line).collect::<String>();
            rows += &format!("<td{class} title=\"{}\">{inside}</td>", escape(&name.full));
        }
        rows += "</tr>\n";
    }
    let head = format!("<tr><th scope=\"col\">cell</th><th scope=\"col\">seeds</th>{}</tr>", heads(&names));
    format!("{}{}", scroll("Results by cell", &head, &rows), legend(&names))
}

fn floor_line(floor: &Floor) -> String {
    let note = if floor.note.is_empty() { String::new() } else { format!(" at {}", escape(&floor.note)) };
    format!("<span class=\"floor\">{} {}{note}</span>{}", floor.word, number(floor.value), floor.left_out)
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

/// Cell minus reference per seed: effects that the seed has on both cancel.
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
            let values = Values::of(&pairs.iter().map(difference).collect::<Vec<_>>());
            let excludes_0 = |e: &Estimate| !e.is_few() && e.interval.is_some_and(|(l, h)| l > 0.0 || h < 0.0);
            let class = if values.whole().is_some_and(excludes_0) { " class=\"best\"" } else { "" };
            rows += &format!("<td{class} title=\"{}\">{}</td>", escape(&name.full), values.html(true));
        }
        rows += "</tr>\n";
    }
    let head = format!("<tr><th scope=\"col\">cell</th><th scope=\"col\">common seeds</th>{}</tr>", heads(&names));
    scroll("Differences from the reference", &head, &rows)
}

/// Every run with its last values, including unfinished runs.
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
    scroll(
        "Values of each run",
        &format!("<tr>{}{}<th scope=\"col\">directory</th></tr>", fixed.concat(), heads(&names)),
        &rows,
    )
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

/// A table that scrolls horizontally on narrow pages, also with the keyboard; screen readers announce its `label`.
pub fn scroll(label: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// `3 runs in 2 cells`.
pub fn counts(cells: &[Cell]) -> String {
    let runs: usize = cells.iter().map(|c| c.runs.len()).sum();
    format!("{} in {}", count(runs, "run"), count(cells.len(), "cell"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[f64]) -> Values {
        Values::of(&values.iter().map(|v| Some(*v)).collect::<Vec<_>>())
    }

    #[test]
    fn excluded_seeds_are_reported() {
        let some = values(&[0.5, f64::NAN, f64::INFINITY]).html(false);
        assert!(some.contains("0.5000") && some.contains(">not finite in 2 of 3<"), "{some}");
        assert_eq!(values(&[f64::NAN; 4]).html(true), "<span class=\"note\">not finite in 4 of 4</span>");
        let absent = Values::of(&[Some(1.0), Some(2.0), None]).html(false);
        assert!(absent.contains("absent in 1 of 3") && !absent.contains("not finite"), "{absent}");
        assert_eq!(Values::of(&[None, None]).html(false), "\u{2013}");
        assert!(!values(&[1.0, 2.0]).html(false).contains("note"));
    }

    #[test]
    fn only_cells_whose_seeds_are_all_finite_are_shaded() {
        let kid = Name::of("kid_x").unwrap();
        let low: Vec<f64> = (0..10).map(|i| 0.01 * f64::from(i)).collect();
        let high: Vec<f64> = low.iter().map(|v| v + 1.0).collect();
        let with_nan = |v: &[f64]| values(&[v, &[f64::NAN]].concat());
        assert_eq!(best(&kid, &[values(&high), values(&low)]), Some(1));
        assert_eq!(best(&kid, &[values(&high), with_nan(&low)]), None);
        assert_eq!(best(&kid, &[with_nan(&high), values(&low)]), None);
        assert_eq!(best(&kid, &[values(&[f64::NAN; 10]), values(&low), values(&high)]), None, "a cell that diverged");
        assert_eq!(best(&kid, &[Values::of(&[None]), values(&low), values(&high)]), Some(1), "a missing metric");
        assert_eq!(best(&kid, &[values(&high[1..]), values(&low)]), None, "nine seeds are few");
    }
}
