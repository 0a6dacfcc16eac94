//! The results of a sweep: `results.csv`, with a line for every run that is finished or left out, and a table for the
//! console.

use super::Summary;
use super::metrics::{marked, number, quoted};
use super::summary::DetectorSummary;
use std::collections::{BTreeMap, BTreeSet};

/// The last column of a table, and a key of other files; the value names the option that wrote the file.
pub const MARK_COLUMN: &str = "written_by";
/// Its value in a sweep's table.
pub const MARK: &str = "fedgan sweep";

/// A completed run of a sweep.
#[derive(Clone, Debug)]
pub struct CellRow {
    /// The cell's name.
    pub cell: String,
    /// The name of its value on every axis.
    pub labels: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a run of a sweep.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Finished.
    Finished(Box<Summary>),
    /// Left out, for this reason.
    LeftOut(String),
}

impl CellRow {
    fn summary(&self) -> Option<&Summary> {
        match &self.outcome {
            Outcome::Finished(summary) => Some(summary),
            Outcome::LeftOut(_) => None,
        }
    }
}

/// `results.csv` of `rows`, in order: cell, one column per axis, seed, rounds, seconds, device, program version, then
/// every metric and floor that any run has (empty if a run has none, `NaN` or `inf` if it is non-finite), the
/// detector's columns (empty without detection), diverged client-rounds, the reason why a run is left out (its other
/// columns are empty), and the mark of the file.
pub fn csv(axes: &[String], rows: &[CellRow]) -> String {
    let names = |of: fn(&Summary) -> &BTreeMap<String, f64>| -> BTreeSet<&String> {
        rows.iter().filter_map(CellRow::summary).flat_map(|summary| of(summary).keys()).collect()
    };
    let (metrics, floors) = (names(|s| &s.metrics), names(|s| &s.floors));
    let mut header: Vec<String> = vec!["cell".into()];
    header.extend(axes.iter().cloned());
    header.extend(["seed", "rounds", "seconds", "device", "version"].map(String::from));
    header.extend(metrics.iter().chain(&floors).map(|name| name.to_string()));
    header.extend(DETECTOR.map(|(name, _)| name.to_string()));
    header.extend(["diverged", "left_out", MARK_COLUMN].map(String::from));
    let mut lines = vec![header.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")];
    for CellRow { cell, labels, seed, outcome } in rows {
        let mut cells = vec![quoted(cell)];
        cells.extend(labels.iter().map(|label| quoted(label)));
        cells.push(seed.to_string());
        match outcome {
            Outcome::Finished(summary) => cells.extend(finished(summary, &metrics, &floors)),
            Outcome::LeftOut(why) => {
                // All columns except those before and the two at the end.
                cells.resize(header.len() - 2, String::new());
                cells.push(quoted(&why.replace(['\n', '\r'], "; ")));
            }
        }
        cells.push(MARK.into());
        lines.push(cells.join(","));
    }
    lines.join("\n") + "\n"
}

/// The columns of a finished run from `rounds` to `left_out`.
fn finished(summary: &Summary, metrics: &BTreeSet<&String>, floors: &BTreeSet<&String>) -> Vec<String> {
    let device = format!("{}/{}", summary.device.engine, summary.device.adapter);
    let mut cells = vec![summary.rounds.to_string(), number(summary.timing.seconds), quoted(&device)];
    cells.push(quoted(&summary.version));
    let value = |of: &BTreeMap<String, f64>, name: &String| of.get(name).map_or(String::new(), |v| marked(*v));
    cells.extend(metrics.iter().map(|name| value(&summary.metrics, name)));
    cells.extend(floors.iter().map(|name| value(&summary.floors, name)));
    cells.extend(DETECTOR.map(|(_, cell)| summary.detector.as_ref().map_or(String::new(), cell)));
    cells.extend([summary.diverged.to_string(), String::new()]);
    cells
}

type Column = (&'static str, fn(&DetectorSummary) -> String);

const DETECTOR: [Column; 6] = [
    ("false_flags", |d| d.false_flags.to_string()),
    ("honest_rounds", |d| d.honest_rounds.to_string()),
    ("true_flags", |d| d.true_flags.to_string()),
    ("malicious_rounds", |d| d.malicious_rounds.to_string()),
    ("suppressed_after", |d| d.suppressed_after.map_or(String::new(), |rounds| rounds.to_string())),
    ("malicious_weight_last", |d| number(d.malicious_weight_last)),
];

/// One line per cell: number of runs, mean (and standard deviation, from two runs on) of the headline values, flags,
/// and the runs left out.
pub fn table(rows: &[CellRow]) -> String {
    let mut cells: Vec<&str> = Vec::new();
    for row in rows {
        if !cells.contains(&row.cell.as_str()) {
            cells.push(&row.cell);
        }
    }
    let mut shorts: Vec<&str> = Vec::new();
    for (short, _) in rows.iter().filter_map(CellRow::summary).flat_map(Summary::headline) {
        if !shorts.contains(&short) {
            shorts.push(short);
        }
    }
    let detected = rows.iter().filter_map(CellRow::summary).any(|summary| summary.detector.is_some());
    let left_out = rows.iter().any(|row| row.summary().is_none());
    let mut header: Vec<String> = ["cell", "runs"].iter().chain(&shorts).map(|s| s.to_string()).collect();
    if detected {
        header.extend(["false flags", "true flags", "suppressed"].map(String::from));
    }
    if left_out {
        header.push("left out".into());
    }
    let mut lines = vec![header];
    for cell in cells {
        let all = rows.iter().filter(|row| row.cell == cell);
        let of_cell: Vec<&Summary> = all.clone().filter_map(CellRow::summary).collect();
        let mut line = vec![cell.to_string(), of_cell.len().to_string()];
        for short in &shorts {
            let headlines = of_cell.iter().flat_map(|summary| summary.headline());
            line.push(spread(&headlines.filter(|(s, _)| s == short).map(|(_, v)| v).collect::<Vec<_>>()));
        }
        if detected {
            line.extend(flags(&of_cell));
        }
        if left_out {
            line.push((all.count() - of_cell.len()).to_string());
        }
        lines.push(line);
    }
    aligned(&lines)
}

/// Flags of all runs of a cell, and the number of attacked runs that were suppressed.
fn flags(runs: &[&Summary]) -> [String; 3] {
    let found: Vec<&DetectorSummary> = runs.iter().filter_map(|summary| summary.detector.as_ref()).collect();
    let share = |part: u64, all: u64| if all == 0 { "-".to_string() } else { format!("{part}/{all}") };
    let sum = |of: fn(&DetectorSummary) -> u64| found.iter().map(|d| of(d)).sum();
    let attacked = found.iter().filter(|d| d.malicious_rounds > 0);
    let suppressed = attacked.clone().filter(|d| d.suppressed_after.is_some()).count() as u64;
    [
        share(sum(|d| d.false_flags), sum(|d| d.honest_rounds)),
        share(sum(|d| d.true_flags), sum(|d| d.malicious_rounds)),
        share(suppressed, attacked.count() as u64),
    ]
}

/// Mean and sample standard deviation of the finite values, and the number of others; "-" for none.
fn spread(values: &[f64]) -> String {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let n = finite.len() as f64;
    let mean = finite.iter().sum::<f64>() / n;
    let text = match finite.len() {
        0 if values.is_empty() => return "-".into(),
        0 => return "not finite".into(),
        1 => short(mean),
        _ => {
            let variance = finite.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
            format!("{} +- {}", short(mean), short(variance.sqrt()))
        }
    };
    match values.len() - finite.len() {
        0 => text,
        others => format!("{text} ({others} of {} not finite)", values.len()),
    }
}

/// A number with about four digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| lines.iter().filter_map(|l| l.get(c)).map(|t| t.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, &w)| format!("{cell:w$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::tests::example;

    fn rows() -> Vec<CellRow> {
        let row = |cell: &str, label: &str, seed, summary| CellRow {
            cell: cell.into(),
            labels: vec![label.into(), "a,b".into()],
            seed,
            outcome: Outcome::Finished(Box::new(summary)),
        };
        let mut second = example();
        second.metrics.insert("fd_lite0_n8".into(), 118.25);
        let mut bare = Summary { detector: None, ..example() };
        bare.metrics.remove("leakage_n8");
        bare.metrics.insert("kid_lite0_n8".into(), f64::NAN);
        vec![row("one", "x", 1, example()), row("one", "x", 2, second), row("two", "y", 1, bare)]
    }

    #[test]
    fn csv_is_the_union_of_columns() {
        let text = csv(&["first".into(), "second".into()], &rows());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "cell,first,second,seed,rounds,seconds,device,version,fd_lite0_n8,fd_lite0_n8_std,kid_lite0_n8,leakage_correlation_n8,\
             leakage_n8,sliced_wasserstein_px16_n8_r4,floor_fd_lite0,false_flags,honest_rounds,true_flags,malicious_rounds,\
             suppressed_after,malicious_weight_last,diverged,left_out,written_by"
        );
        let device = &example().device;
        let device = format!("{}/{},{}", device.engine, device.adapter, example().version);
        assert_eq!(
            lines[1],
            format!(
                "one,x,\"a,b\",1,3,41.25,{device},116.25,3.0,,0.5,0.125,0.0811,50.0,1,6,2,2,1,0.01,0,,fedgan sweep"
            )
        );
        assert_eq!(
            lines[3],
            format!("two,y,\"a,b\",1,3,41.25,{device},116.25,3.0,NaN,0.5,,0.0811,50.0,,,,,,,0,,fedgan sweep")
        );
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn runs_that_are_left_out_have_a_line_with_the_reason() {
        let mut rows = rows();
        let outcome = Outcome::LeftOut("train.batch 32: client 0, say, holds 3\nand more".into());
        rows.insert(2, CellRow { cell: "one".into(), labels: vec!["x".into(), "y".into()], seed: 3, outcome });
        let text = csv(&["first".into(), "second".into()], &rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        let reason = "\"train.batch 32: client 0, say, holds 3; and more\"";
        let commas = |line: &str| line.matches(',').count();
        assert_eq!(lines[3], format!("one,x,y,3{}{reason},fedgan sweep", ",".repeat(commas(lines[0]) - 4)));
        assert!(lines.iter().all(|l| l.ends_with(",fedgan sweep") || l.ends_with(",written_by")));
        let table = table(&rows);
        assert!(table.lines().next().is_some_and(|head| head.ends_with("left out")), "{table}");
        let last: Vec<&str> = table.lines().map(|l| l.split_whitespace().last().unwrap()).collect();
        assert_eq!(last[1..], ["1", "0"], "{table}");
    }

    #[test]
    fn the_table_averages_the_runs_of_a_cell() {
        let text = table(&rows());
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split("  ").filter(|c| !c.is_empty()).collect()).collect();
        let trimmed = |line: &Vec<&str>| line.iter().map(|c| c.trim().to_string()).collect::<Vec<_>>();
        assert_eq!(
            trimmed(&lines[0]),
            ["cell", "runs", "fd", "sw", "leakage", "kid", "false flags", "true flags", "suppressed"]
        );
        assert_eq!(
            trimmed(&lines[1]),
            ["one", "2", "117.2 +- 1.41", "0.0811 +- 0.0000", "0.1250 +- 0.0000", "-", "2/12", "4/4", "2/2"]
        );
        assert_eq!(trimmed(&lines[2])[..2], ["two", "1"]);
        assert_eq!(trimmed(&lines[2])[5..], ["not finite", "-", "-", "-"]);
    }

    #[test]
    fn non_finite_values_enter_no_mean() {
        assert_eq!(spread(&[1.0, f64::NAN, 3.0, f64::INFINITY]), "2.00 +- 1.41 (2 of 4 not finite)");
        assert_eq!(spread(&[f64::NAN, 2.0]), "2.00 (1 of 2 not finite)");
        assert_eq!((spread(&[f64::NAN]), spread(&[])), ("not finite".to_string(), "-".to_string()));
    }
}
