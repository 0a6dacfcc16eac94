//! Reads run directories and sweep directories.

use super::names::without_attack;
use super::order;
use super::plan::PlanFacts;
use super::text::count;
use crate::report::RoundRecord;
use crate::report::metrics::{TimingRecord, parse_line};
use crate::{Error, Result, input};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The first bytes of every PNG file.
const PNG: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A];

/// Maximum bytes of a picture: the page embeds it completely.
const PICTURE: u64 = 64 << 20;

/// Reads a `plan.toml`; errors name the file.
pub type ReadPlan<'a> = &'a dyn Fn(&Path) -> Result<PlanFacts>;

/// A sample grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Number of completed rounds when it was made.
    pub round: usize,
    /// A PNG file.
    pub png: Vec<u8>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The directory as given.
    pub dir: PathBuf,
    /// Its experiment.
    pub plan: PlanFacts,
    /// Its rounds in order, without gaps, each with all clients.
    pub records: Vec<RoundRecord>,
    /// Wall times, if there are any.
    pub timing: Vec<TimingRecord>,
    /// Real images, as PNG.
    pub real: Option<Vec<u8>>,
    /// The latest sample grid.
    pub grid: Option<Grid>,
    /// Whether the run has written its networks or its summary, which happens after the last round.
    pub saved: bool,
    /// Sweep directory and name of the cell within, for a sweep's run.
    pub cell: Option<(PathBuf, String)>,
}

impl Run {
    /// Number of completed rounds.
    pub fn done(&self) -> usize {
        self.records.len()
    }

    /// Whether all rounds of the plan were run and the results written.
    pub fn is_finished(&self) -> bool {
        self.done() >= self.plan.rounds && self.saved
    }

    /// The latest values of evaluation rounds, and the number of rounds completed by then.
    pub fn last_evaluation(&self) -> Option<(usize, &BTreeMap<String, f64>)> {
        let at = self.records.iter().rposition(|r| !r.extra.is_empty())?;
        Some((at + 1, &self.records[at].extra))
    }
}

/// The input of a page.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// In the order of the command line; a sweep's cells as in its `results.csv`, the others after them by directory
    /// name.
    pub runs: Vec<Run>,
    /// Notes for the reader: omitted, unfinished or missing runs.
    pub remarks: Vec<String>,
}

/// Reads run and sweep directories.
///
/// # Errors
/// [`Error::Input`] naming the directory or file: neither a run nor a sweep, or an unreadable plan or metrics file.
pub fn load(dirs: &[PathBuf], plan: ReadPlan) -> Result<Inputs> {
    load_as(dirs, plan, Sight::Left)
}

/// [`load`] while the runs are under way: includes the unfinished runs of a sweep, which may have none yet, and runs before their
/// first round. Which runs are unfinished is not remarked.
///
/// # Errors
/// As [`load`]; also if a run of a sweep is renamed meanwhile, as sweeps do with finished runs.
pub fn load_live(dirs: &[PathBuf], plan: ReadPlan) -> Result<Inputs> {
    load_as(dirs, plan, Sight::Live)
}

/// How directories are seen.
#[derive(Clone, Copy, PartialEq)]
enum Sight {
    /// As they were left.
    Left,
    /// While their runs are under way.
    Live,
}

fn load_as(dirs: &[PathBuf], plan: ReadPlan, sight: Sight) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    let mut seen = BTreeSet::new();
    for dir in dirs {
        if !dir.is_dir() {
            let what = if dir.exists() { "not a directory" } else { "no such directory" };
            return Err(Error::file(dir, what));
        }
        let found = if dir.join("plan.toml").is_file() {
            vec![(dir.clone(), None)]
        } else {
            sweep(dir, sight, &mut inputs.remarks)?
        };
        for (path, cell) in found {
            // The same run given twice would count as two seeds.
            if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                inputs.remarks.push(format!("{}: given twice, counted once", path.display()));
                continue;
            }
            let run = read(&path, cell, plan, sight, &mut inputs.remarks)?;
            inputs.runs.push(run);
        }
    }
    inputs.remarks.extend(warnings(&inputs.runs));
    Ok(inputs)
}

/// The warnings that the runs gave during training, each once.
fn warnings(runs: &[Run]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Warned {
        #[serde(default)]
        warnings: Vec<String>,
    }
    let mut told: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    for run in runs {
        // Old, truncated or missing summaries have none.
        let text = input::read_text(&run.dir.join("summary.json"), input::SUMMARY).unwrap_or_default();
        for warning in serde_json::from_str(&text).map_or(Vec::new(), |w: Warned| w.warnings) {
            told.entry(warning).or_default().push(&run.dir);
        }
    }
    let line = |(warning, dirs): (String, Vec<&Path>)| match dirs.len() {
        1 => format!("{}: {warning}", dirs[0].display()),
        n => format!("{} and {} more: {warning}", dirs[0].display(), n - 1),
    };
    told.into_iter().map(line).collect()
}

/// End of the name of a sweep's run that is not finished.
pub(super) const PART: &str = ".part";

/// A run directory with its sweep and cell.
type Found = (PathBuf, Option<(PathBuf, String)>);

/// The run directories of a sweep, in the order of `results.csv` if it has them, otherwise by name.
fn sweep(dir: &Path, sight: Sight, remarks: &mut Vec<String>) -> Result<Vec<Found>> {
    let cells = dir.join("cells");
    if !cells.is_dir() {
        let what = "neither a run directory (it has no plan.toml) nor a sweep directory (it has no cells/)";
        return Err(Error::file(dir, what));
    }
    let entries = fs::read_dir(&cells).map_err(|e| Error::file(&cells, format!("cannot read: {e}")))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::file(&cells, format!("cannot read: {e}")))?.path();
        // Directories with a leading dot are being removed.
        if path.is_dir() && !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            paths.push(path);
        }
    }
    paths.sort();
    let table = dir.join("results.csv");
    let order = order::cells(&table, remarks);
    let left_out = order::left_out(&table);
    remarks.extend(left_out.iter().map(|(run, why)| format!("{}: {run} was left out: {why}", dir.display())));
    let place = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(PART).unwrap_or(&name);
        order.iter().position(|cell| cell == cell_name(name)).unwrap_or(order.len())
    };
    // The sort is stable: seeds of a cell, and cells missing from the table, stay in name order.
    paths.sort_by_cached_key(place);
    let mut found = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_suffix(PART) {
            Some(_) if sight == Sight::Left => {
                remarks.push(format!("{}: an unfinished run of the sweep, left out", path.display()));
            }
            // Its process is still loading images, or has given up.
            Some(run) if !path.join("plan.toml").is_file() || left_out.iter().any(|(other, _)| other == run) => {}
            part => {
                let cell = cell_name(part.unwrap_or(&name)).to_string();
                found.push((path, Some((dir.to_path_buf(), cell))));
            }
        }
    }
    if found.is_empty() && sight == Sight::Left {
        let why = left_out.first().map_or(String::new(), |(run, why)| format!("; {run} was left out: {why}"));
        return Err(Error::file(&cells, format!("no finished run in this sweep{why}")));
    }
    Ok(found)
}

/// `CELL` of `CELL-sSEED`.
fn cell_name(directory: &str) -> &str {
    match directory.rsplit_once("-s") {
        Some((cell, seed)) if !cell.is_empty() && !seed.is_empty() && seed.bytes().all(|b| b.is_ascii_digit()) => cell,
        _ => directory,
    }
}

fn read(
    dir: &Path,
    cell: Option<(PathBuf, String)>,
    plan: ReadPlan,
    sight: Sight,
    remarks: &mut Vec<String>,
) -> Result<Run> {
    let facts = plan(&dir.join("plan.toml"))?;
    let log = dir.join("metrics.jsonl");
    let mut momentary = Vec::new();
    // What is missing in a run under way is missing for now, and the page says how far the run is.
    let under_way = sight == Sight::Live && !dir.join("summary.json").exists();
    let remarks = if under_way { &mut momentary } else { remarks };
    let begun = sight == Sight::Left || log.exists();
    let mut records = if begun { records(&log, &facts, remarks)? } else { Vec::new() };
    for record in &mut records {
        let values = std::mem::take(&mut record.extra);
        record.extra = values.into_iter().map(|(name, value)| (without_attack(&name), value)).collect();
    }
    let mut remark = |what: String| remarks.push(format!("{}: {what}", dir.display()));
    if records.len() < facts.rounds {
        let (done, rounds) = (records.len(), facts.rounds);
        remark(format!(
            "unfinished, {done} of {}: shown in curves, pictures and values of runs, excluded from means",
            count(rounds, "round")
        ));
    }
    // A run writes its summary last.
    let saved = !under_way && ["summary.json", "generator.safetensors"].iter().any(|file| dir.join(file).is_file());
    if records.len() >= facts.rounds && !saved {
        remark("unfinished, neither summary.json nor generator.safetensors was written: excluded from means".into());
    }
    let real = picture(dir, &dir.join("real.png"), remarks);
    let grid = last_grid(dir, records.len(), remarks);
    let timing = timing(&dir.join("timing.jsonl"), remarks);
    Ok(Run { dir: dir.to_path_buf(), plan: facts, records, timing, real, grid, saved, cell })
}

/// The rounds of a run. A killed run may leave an incomplete last line; any other broken line is an error.
fn records(path: &Path, plan: &PlanFacts, remarks: &mut Vec<String>) -> Result<Vec<RoundRecord>> {
    let text = input::read_text(path, input::LOG).map_err(|e| Error::file(path, format!("cannot read: {e}")))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut records: Vec<RoundRecord> = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let record = match parse_line(path, index, line) {
            Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {
                remarks.push(format!("{}: line {} is incomplete, left out", path.display(), index + 1));
                break;
            }
            record => record?,
        };
        check(&record, records.last(), plan)
            .map_err(|what| Error::file(path, format!("line {}: {what}", index + 1)))?;
        records.push(record);
    }
    Ok(records)
}

/// A round must follow the previous one and have the plan's clients, otherwise sums over rounds would mix different
/// things.
fn check(record: &RoundRecord, before: Option<&RoundRecord>, plan: &PlanFacts) -> Result<(), String> {
    let expected = before.map_or(0, |b| b.round + 1);
    if record.round != expected {
        return Err(format!("round {}, expected {expected}", record.round));
    }
    let order = record.clients.iter().enumerate().all(|(i, c)| c.client == i);
    if record.clients.len() != plan.clients || !order {
        return Err(format!(
            "{}, expected {} in order (plan.toml)",
            count(record.clients.len(), "client"),
            plan.clients
        ));
    }
    Ok(())
}

/// A PNG file of the run, or a remark. The page embeds it, so a link to a picture elsewhere, in a directory from
/// somebody else, is not followed.
fn picture(dir: &Path, path: &Path, remarks: &mut Vec<String>) -> Option<Vec<u8>> {
    let inside = || -> std::io::Result<bool> { Ok(path.canonicalize()?.starts_with(dir.canonicalize()?)) };
    let what = match inside().and_then(|inside| if inside { input::read(path, PICTURE) } else { Ok(Vec::new()) }) {
        Ok(bytes) if bytes.len() > 24 && bytes.starts_with(&PNG) => return Some(bytes),
        Ok(bytes) if bytes.is_empty() => "empty, or a link that leads outside the run's directory".to_string(),
        Ok(_) => "not a PNG picture".to_string(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "this picture is missing".to_string(),
        Err(e) => format!("cannot read: {e}"),
    };
    remarks.push(format!("{}: {what}", path.display()));
    None
}

/// The grid of the latest round up to `done`.
fn last_grid(dir: &Path, done: usize, remarks: &mut Vec<String>) -> Option<Grid> {
    let folder = dir.join("grids");
    let round = |name: &str| name.strip_prefix("round-")?.strip_suffix(".png")?.parse::<usize>().ok();
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let found = entries.filter_map(|e| Some((round(e.file_name().to_str()?)?, e.path())));
    let Some((round, path)) = found.filter(|(round, _)| *round <= done).max() else {
        remarks.push(format!("{}: no sample grid (round-NNNN.png)", folder.display()));
        return None;
    };
    Some(Grid { round, png: picture(dir, &path, remarks)? })
}

/// Wall times are optional: a broken file gives a remark, not an error.
fn timing(path: &Path, remarks: &mut Vec<String>) -> Vec<TimingRecord> {
    let Ok(text) = input::read_text(path, input::LOG) else { return Vec::new() };
    let parsed: Result<Vec<TimingRecord>, _> = text.lines().map(serde_json::from_str).collect();
    parsed.unwrap_or_else(|e| {
        remarks.push(format!("{}: wall times left out: {e}", path.display()));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, plan};
    use super::*;

    fn refusal(fixture: &Fixture, name: &str) -> String {
        let error = load(&[fixture.path(name)], &plan).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn warnings_of_runs_are_listed_once() {
        let f = Fixture::new();
        for (name, seed, summary) in [
            ("a", 1, r#"{"warnings":["nothing is held out"]}"#),
            ("b", 2, r#"{"warnings":["nothing is held out","grey <b>"]}"#),
            ("c", 3, "{}"),
            ("d", 4, "{\"warn"),
        ] {
            f.run(name, seed, "", 3);
            fs::write(f.path(name).join("summary.json"), summary).unwrap();
        }
        let inputs = load(&["a", "b", "c", "d"].map(|name| f.path(name)), &plan).unwrap();
        let told: Vec<&String> =
            inputs.remarks.iter().filter(|r| r.contains("held out") || r.contains("grey")).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].ends_with("/b: grey <b>"), "{told:?}");
        assert!(told[1].ends_with("/a and 1 more: nothing is held out"), "{told:?}");
    }

    #[test]
    fn other_directories_are_refused_by_name() {
        let f = Fixture::new();
        assert!(refusal(&f, "nowhere").ends_with("nowhere: no such directory"));
        fs::create_dir(f.path("empty")).unwrap();
        assert!(refusal(&f, "empty").contains("empty: neither a run directory"));
        fs::create_dir_all(f.path("sweep/cells/a-s1.part")).unwrap();
        assert!(refusal(&f, "sweep").contains("no finished run"));
        fs::write(f.path("file"), "").unwrap();
        assert!(refusal(&f, "file").ends_with("file: not a directory"));
        f.run("run", 1, "", 3);
        fs::remove_file(f.path("run/metrics.jsonl")).unwrap();
        assert!(refusal(&f, "run").contains("metrics.jsonl: cannot read"));
        fs::write(f.path("run/plan.toml"), "seed = [").unwrap();
        assert!(refusal(&f, "run").contains("plan.toml"));
    }

    #[test]
    fn broken_metrics_are_refused_a_torn_end_is_not() {
        let f = Fixture::new();
        f.run("run", 1, "", 3);
        let path = f.path("run/metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        fs::write(&path, format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..40])).unwrap();
        let inputs = load(&[f.path("run")], &plan).unwrap();
        assert!((inputs.runs[0].done(), inputs.runs[0].is_finished()) == (2, false));
        assert!(inputs.remarks[0].contains("line 3 is incomplete") && inputs.remarks[1].contains("2 of 3 rounds"));
        for (bad, what) in [
            (format!("{}\n{}\n{}\n", lines[0], &lines[1][..40], lines[2]), "line 2: not a round record"),
            (format!("{}\n{}\n", lines[0], lines[2]), "line 2: round 2, expected 1"),
            (
                format!("{}\n", lines[0].replace("\"client\":1", "\"client\":7")),
                "line 1: 3 clients, expected 3 in order",
            ),
        ] {
            fs::write(&path, bad).unwrap();
            let text = refusal(&f, "run");
            assert!(text.contains("metrics.jsonl") && text.contains(what), "{text}");
        }
    }

    #[test]
    fn missing_pictures_and_times_give_remarks() {
        let f = Fixture::new();
        f.run("run", 1, "", 3);
        fs::write(f.path("run/real.png"), "text").unwrap();
        fs::remove_file(f.path("run/grids/round-0003.png")).unwrap();
        fs::write(f.path("run/timing.jsonl"), "{").unwrap();
        let inputs = load(&[f.path("run")], &plan).unwrap();
        let run = &inputs.runs[0];
        assert!(run.real.is_none() && run.grid.is_none() && run.timing.is_empty());
        let has = |what: &str| inputs.remarks.iter().any(|r| r.contains(what));
        assert!(
            has("real.png: not a PNG") && has("grids: no sample grid") && has("timing.jsonl"),
            "{:?}",
            inputs.remarks
        );
    }

    #[cfg(unix)]
    #[test]
    fn pictures_outside_the_run_are_not_embedded() {
        let f = Fixture::new();
        f.run("run", 1, "", 3);
        f.run("other", 1, "", 3);
        let real = f.path("run/real.png");
        fs::remove_file(&real).unwrap();
        std::os::unix::fs::symlink(f.path("other/real.png"), &real).unwrap();
        let inputs = load(&[f.path("run")], &plan).unwrap();
        assert!(
            inputs.runs[0].real.is_none()
                && inputs.remarks[0].contains("real.png: empty, or a link that leads outside")
        );
        fs::remove_file(&real).unwrap();
        std::os::unix::fs::symlink("grids/round-0003.png", &real).unwrap();
        assert!(load(&[f.path("run")], &plan).unwrap().runs[0].real.is_some());
    }

    #[test]
    fn a_run_without_results_is_unfinished() {
        let f = Fixture::new();
        f.run("run", 1, "", 3);
        let finished = |remarks: usize| {
            let inputs = load(&[f.path("run")], &plan).unwrap();
            assert_eq!(inputs.remarks.len(), remarks, "{:?}", inputs.remarks);
            inputs.runs[0].is_finished()
        };
        assert!(finished(0));
        fs::rename(f.path("run/summary.json"), f.path("run/generator.safetensors")).unwrap();
        assert!(finished(0), "the networks alone are sufficient");
        fs::remove_file(f.path("run/generator.safetensors")).unwrap();
        assert!(!finished(1));
    }

    #[test]
    fn sweeps_name_their_cells() {
        let f = Fixture::new();
        for (name, seed) in [("sweep/cells/a-s1-s10", 10), ("sweep/cells/b-s2", 2)] {
            f.run(name, seed, "", 2);
        }
        fs::create_dir(f.path("sweep/cells/b-s3.part")).unwrap();
        let inputs = load(&[f.path("sweep"), f.path("sweep/cells/b-s2")], &plan).unwrap();
        let cells: Vec<&str> = inputs.runs.iter().filter_map(|r| Some(r.cell.as_ref()?.1.as_str())).collect();
        assert_eq!(cells, ["a-s1", "b"]);
        assert!(inputs.remarks[0].contains("b-s3.part: an unfinished run"), "{:?}", inputs.remarks);
        assert!(inputs.remarks[1].contains("given twice"), "{:?}", inputs.remarks);
        let names = |inputs: &Inputs| -> Vec<String> {
            inputs.runs.iter().map(|r| r.dir.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(&inputs), ["a-s1-s10", "b-s2"]);
        f.run("sweep/cells/c-s2", 2, "", 2);
        f.run("sweep/cells/c-s1", 1, "", 2);
        let table = f.path("sweep/results.csv");
        fs::write(&table, "cell,seed\nc,1\nb,2\nc,2\n").unwrap();
        let ordered = load(&[f.path("sweep")], &plan).unwrap();
        assert_eq!(names(&ordered), ["c-s1", "c-s2", "b-s2", "a-s1-s10"], "cells without a line come last");
        fs::write(&table, "cell,seed,left_out\nc,1,\nc,9,\"too few, alas\"\n").unwrap();
        let some = load(&[f.path("sweep")], &plan).unwrap();
        assert!(
            some.remarks.iter().any(|r| r.ends_with("sweep: c-s9 was left out: too few, alas")),
            "{:?}",
            some.remarks
        );
        fs::write(&table, [0xFF, b'c']).unwrap();
        let unordered = load(&[f.path("sweep")], &plan).unwrap();
        assert_eq!(names(&unordered), ["a-s1-s10", "b-s2", "c-s1", "c-s2"]);
        assert!(unordered.remarks.iter().any(|r| r.contains("results.csv: ")), "{:?}", unordered.remarks);
        assert_eq!(cell_name("x-s"), "x-s");
        assert_eq!(cell_name("-s1"), "-s1");
    }
}
