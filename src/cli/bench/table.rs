//! Rows, steps, rounds and changes as text of at most 120 columns.

use super::device::Subject;
use crate::cli::units::time;
use crate::error::count as counted;
use crate::kernels::Class;
use crate::perf::Problem;
use crate::perf::baseline::{Change, count};
use crate::perf::ceilings::Bound;
use crate::perf::measure::Clock;
use crate::perf::round::RoundReport;
use crate::perf::row::{LaunchRow, Outcome, ShaderRow, Timed};
use crate::perf::step::StepReport;
use crate::perf::{Ceilings, Comparison, Document, SpeedChange, Summary};
use std::fmt::Write as _;

/// Width of the widest line, in columns.
const WIDTH: usize = 120;
/// Width of a row's figures.
const FIGURES: usize = 64;
/// Width of a problem's origin in a comparison of shaders.
const ORIGIN: usize = 44;
/// A spread above which a median means little.
const NOISY: f64 = 0.2;
/// Kernels of a step to list; the others are summed in one line.
const PARTS: usize = 14;

/// The device and the settings of the measurement.
pub(super) fn device(subject: &Subject, document: &Document) -> String {
    let mut out = format!("device: {}\n", subject.reason);
    let d = subject.descriptor();
    match document.checked {
        Some(checked) => {
            let checks = if checked { "on" } else { "off" };
            let _ =
                writeln!(out, "  {}, driver {}, variant {}, run-time checks {checks}", d.backend, d.driver, d.variant);
            if !subject.is_hardware() {
                out.push_str("  software adapter: all times and ceilings are those of this machine's CPU\n");
            }
        }
        None => {
            let _ = writeln!(out, "  {}", counted(document.threads.unwrap_or(1), "thread"));
        }
    }
    if cfg!(debug_assertions) {
        out.push_str("  debug build: host code is slow, do not quote these figures (cargo run --release)\n");
    }
    out
}

/// The ceilings, one line each.
pub(super) fn ceilings(ceilings: Option<&Ceilings>, reference: bool) -> String {
    let Some(c) = ceilings else {
        let none = "ceilings: none for the reference engine, which is not meant to be fast\n";
        return format!("{}\n", if reference { none } else { "" });
    };
    let largest = c.copies.last().map_or(String::new(), |l| {
        let read = l.read.map_or(String::new(), |r| format!(" and {:.1} GB/s read", r / 1e9));
        format!("{:.1} GB/s copied{read} at {:.0} MB", l.copy / 1e9, l.bytes / 1e6)
    });
    let best = c.copies.iter().max_by(|a, b| a.rate().total_cmp(&b.rate()));
    let best = best.map_or(String::new(), |b| format!("; at best {:.1}, at {:.1} MB", b.rate() / 1e9, b.bytes / 1e6));
    format!(
        "ceilings: {largest}{best}\n  {:.1} GFLOP/s ({}); a dispatch {} with submission and wait, {} each further\n\n",
        c.flops / 1e9,
        c.flops_by,
        time(c.submit),
        time(c.dispatch)
    )
}

/// Widths of the rows' columns.
pub(super) struct Layout {
    kernel: usize,
    origin: usize,
}

impl Layout {
    pub(super) fn new(problems: &[Problem]) -> Layout {
        let longest = |of: &dyn Fn(&Problem) -> usize, least: usize| problems.iter().map(of).fold(least, usize::max);
        let kernel = longest(&|p| p.kernel.name().len(), 6);
        Layout { kernel, origin: longest(&|p| p.origin.chars().count(), 7).min(WIDTH - FIGURES - kernel) }
    }

    pub(super) fn header(&self) -> String {
        let (a, b, c, d, e) = ("kernel", "problem", "median", "spread", "GFLOP/s");
        let (f, g, h) = ("GB/s", "ceiling", "first");
        let (name, origin) = (self.kernel, self.origin);
        format!("{a:name$} {b:origin$} {c:>8} {d:>6} {e:>7} {f:>7} {g:>10} {h:>8} err/bound\n")
    }

    pub(super) fn row(&self, row: &LaunchRow) -> String {
        let (name, origin) = (self.kernel, self.origin);
        let head = format!("{:name$} {:origin$}", row.kernel, cut(&row.origin, origin));
        match &row.outcome {
            Outcome::Timed(timed) => format!("{head} {}\n", figures(row, timed)),
            Outcome::Wrong { why } => {
                format!("{head} WRONG, not timed: {why}\n  repeat with: fedgan validate '{}'\n", row.shape)
            }
            Outcome::Skipped { why } => format!("{head} not run: {why}\n"),
        }
    }
}

fn figures(row: &LaunchRow, timed: &Timed) -> String {
    let s = timed.summary;
    let share = timed.roofline.map_or("-".into(), |r| {
        let bound = if r.bound == Bound::Compute { "flop" } else { "byte" };
        let fault = if r.fault { "!" } else { "" };
        format!("{}{fault} {bound}", percent(r.share, 0))
    });
    format!(
        "{:>8} {:>6} {:>7} {:>7} {share:>10} {:>8} {:>8.1}%",
        time(s.median),
        percent(s.spread(), 1),
        rate(row.flops / s.median),
        rate(row.bytes / s.median),
        time(timed.first),
        timed.verified.percent
    )
}

/// A share in a column of a table, with `decimals` below ten times the whole: a launch that was interrupted may have a
/// spread of ten thousand percent, and no column is that wide.
fn percent(share: f64, decimals: usize) -> String {
    match share {
        s if s.is_nan() => "-".into(),
        s if s >= 9.995 => ">999%".into(),
        s => format!("{:.decimals$}%", 100.0 * s),
    }
}

/// The heading of a comparison of shaders.
pub(super) fn shader_header(file: &str, edited: &[&str], class: Class) -> String {
    format!(
        "{} against the built-in {file} ({}), launches in turn, all with run-time checks\n{:ORIGIN$} {:>9} {:>9} {:>7}  {:>16} verdict\n",
        edited.join(", "),
        class.name(),
        "problem",
        "built-in",
        "edited",
        "ratio",
        "95 % interval"
    )
}

/// A row; `several`: with the name of the edited shader.
pub(super) fn shader(row: &ShaderRow, several: bool) -> String {
    let end = if several { format!("  {}", row.edited.shader) } else { String::new() };
    let head = format!("{:ORIGIN$}", cut(&row.edited.origin, ORIGIN));
    let sides = [(&row.builtin, "built-in"), (&row.edited, "edited")];
    for (side, name) in sides {
        if let Outcome::Wrong { why } = &side.outcome {
            return format!("{head} {name} WRONG, not timed: {why}{end}\n  problem: {}\n", side.shape);
        }
    }
    if let Outcome::Skipped { why } = &row.edited.outcome {
        return format!("{head} not run: {why}\n");
    }
    let median = |row: &LaunchRow| row.timed().map_or("-".into(), |t| time(t.summary.median));
    format!("{head} {:>9} {:>9} {}{end}\n", median(&row.builtin), median(&row.edited), comparison(row.comparison))
}

fn comparison(comparison: Option<Comparison>) -> String {
    comparison.map_or("      -  samples are not valid times".into(), |c| {
        let interval = format!("{:.3} to {:.3}", c.low, c.high);
        format!("{:>7.3}  {interval:>16} {}", c.ratio, c.verdict.name())
    })
}

/// A step in total and by kernel.
pub(super) fn step(step: &StepReport) -> String {
    let mut out = format!("step: {}\n", step.workload);
    for wrong in &step.wrong {
        let _ = writeln!(out, "  WRONG, not timed: {wrong}");
    }
    let Some(wall) = Summary::of(&step.wall) else { return out + "\n" };
    let chunks = if step.chunks > 1 { format!(" in {} chunks of clients", step.chunks) } else { String::new() };
    let _ = writeln!(
        out,
        "  {} per step ({} samples, spread {:.1}%), {:.1} images/s; {} launches{chunks}, {:.2} GFLOP, {:.2} GB; first {}",
        time(wall.median),
        wall.n,
        100.0 * wall.spread(),
        step.images_per_second().unwrap_or(0.0),
        step.launches,
        step.flops / 1e9,
        step.bytes / 1e9,
        time(step.first)
    );
    let device =
        Summary::of(&step.device).map_or(String::new(), |d| format!("{} by the device's clock; ", time(d.median)));
    let parts = step.parts_seconds();
    let _ = writeln!(
        out,
        "  {device}{} as the sum of launches timed alone ({:.0}%)",
        time(parts),
        100.0 * parts / wall.median
    );
    if let (Some(floor), Some(overhead)) = (step.floor(), step.overhead) {
        let _ = writeln!(
            out,
            "  the ceilings allow {}: {} at the roofline, {} of dispatches; measured is {:.2} times that{}",
            time(floor),
            time(floor - overhead),
            time(overhead),
            wall.median / floor,
            if wall.median < floor { " !" } else { "" }
        );
    }
    let (a, b, c, d, e, f, g) = ("kernel", "launches", "time", "share", "GFLOP/s", "GB/s", "ceiling");
    let _ = writeln!(out, "  {a:31} {b:>8} {c:>9} {d:>6} {e:>8} {f:>8} {g:>7}");
    let all = step.parts();
    let mut line = |name: &str, launches: usize, s: f64, flops: f64, bytes: f64, floor: f64| {
        let share = 100.0 * s / parts;
        let fault = if floor < 1.005 * s { "" } else { "!" };
        let ceiling = if step.overhead.is_some() { format!("{}{fault}", percent(floor / s, 0)) } else { "-".into() };
        let (gf, gb) = (rate(flops / s), rate(bytes / s));
        let _ = writeln!(out, "  {name:31} {launches:>8} {:>9} {share:>5.1}% {gf:>8} {gb:>8} {ceiling:>7}", time(s));
    };
    for p in all.iter().take(PARTS) {
        line(&p.kernel, p.launches, p.seconds, p.flops, p.bytes, p.floor);
    }
    if let [_, ..] = all.get(PARTS..).unwrap_or_default() {
        let sum = |of: fn(&crate::perf::step::Part) -> f64| all[PARTS..].iter().map(of).sum::<f64>();
        let launches = all[PARTS..].iter().map(|p| p.launches).sum();
        line("others", launches, sum(|p| p.seconds), sum(|p| p.flops), sum(|p| p.bytes), sum(|p| p.floor));
    }
    out.push('\n');
    out
}

pub(super) fn round(round: &RoundReport) -> String {
    let mut out = format!("{}\n", round.name());
    for wrong in &round.wrong {
        let _ = writeln!(out, "  WRONG, not timed: {wrong}");
    }
    if let Some(wall) = Summary::of(&round.wall) {
        let _ = writeln!(
            out,
            "  {} per round ({} samples, spread {:.1}%), {:.1} images/s; first {}; {:.1}% of it outside training steps",
            time(wall.median),
            wall.n,
            100.0 * wall.spread(),
            round.images_per_second().unwrap_or(0.0),
            time(round.first),
            100.0 * (1.0 - round.training / round.recordings)
        );
        let _ = write!(out, "  {} verified", counted(round.verified, "distinct launch"));
        if let Some(floor) = round.floor {
            let (times, fault) = (wall.median / floor, if wall.median < floor { " !" } else { "" });
            let _ = write!(out, "; the ceilings allow {}; measured is {times:.2} times that{fault}", time(floor));
        }
        out.push('\n');
    }
    out + "\n"
}

/// Each measurement against the baseline.
pub(super) fn changes(changes: &[Change], drift: &[String]) -> String {
    let mut out = match drift {
        [] => String::new(),
        some => format!(
            "warning: the device was not as fast as for the baseline: {}\n  other work ran during one of the two: do not trust the \
             ratios below, and measure both again on an idle machine\n",
            some.join("; ")
        ),
    };
    let _ = writeln!(
        out,
        "{:>7}  {:>16} verdict, against the baseline (ratio of times; above 1 is slower)",
        "ratio", "95 % interval"
    );
    for change in changes {
        let text = change.note.map_or_else(|| comparison(change.comparison), |note| format!("      -  {note}"));
        let _ = writeln!(out, "{text:35}  {}", change.name);
    }
    let verdicts = [SpeedChange::Faster, SpeedChange::Slower, SpeedChange::Same, SpeedChange::Undecided];
    let counts: Vec<String> = verdicts.iter().map(|v| format!("{} {}", count(changes, *v), v.name())).collect();
    let _ = writeln!(out, "{}\n", counts.join(", "));
    out
}

/// The last lines.
pub(super) fn summary(document: &Document) -> String {
    let shaders = document.shaders.iter().flat_map(|s| [&s.builtin, &s.edited]);
    let rows: Vec<&LaunchRow> = document.rows.iter().chain(shaders).collect();
    let mut out = String::new();
    let timed = || rows.iter().filter_map(|r| r.timed());
    if !rows.is_empty() {
        let skipped = rows.iter().filter(|r| matches!(r.outcome, Outcome::Skipped { .. })).count();
        let clock = match timed().next().map(|t| t.clock) {
            Some(Clock::Device) => "timed by the device's clock, back to back",
            _ => "timed by the host's clock, back to back",
        };
        let _ = writeln!(out, "{}, {} {clock}; {skipped} not run", counted(rows.len(), "row"), timed().count());
    }
    let faults = timed().filter(|t| t.roofline.is_some_and(|r| r.fault)).count();
    let below = document
        .steps
        .iter()
        .filter(|s| Summary::of(&s.wall).zip(s.floor()).is_some_and(|(wall, floor)| wall.median < floor));
    let rounds =
        document.rounds.iter().filter(|r| Summary::of(&r.wall).zip(r.floor).is_some_and(|(w, f)| w.median < f));
    let faults = faults
        + below.count()
        + rounds.count()
        + document.steps.iter().flat_map(|s| s.parts()).filter(|p| p.floor > 1.005 * p.seconds).count();
    if faults > 0 {
        let _ = writeln!(
            out,
            "! shorter than the ceilings allow: {}; a fault of the cost model, the measured ceiling or the clock, not a real speed",
            counted(faults, "time")
        );
    }
    let noisy = timed().filter(|t| t.summary.spread() > NOISY).count();
    if noisy > 0 {
        let _ = writeln!(
            out,
            "a spread of {:.0}% or more in {}: other work ran on the machine, repeat when it is idle",
            100.0 * NOISY,
            counted(noisy, "row")
        );
    }
    match document.wrong() {
        0 => {}
        n => {
            let _ = writeln!(out, "WRONG results, not timed: {}", counted(n, "launch"));
        }
    }
    out
}

/// A rate in billions.
fn rate(per_second: f64) -> String {
    let value = per_second / 1e9;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}

fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns - 2).chain("..".chars()).collect(),
        false => text.into(),
    }
}
