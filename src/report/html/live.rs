//! Runs under way: what their page says of them, and whether they have gone on since it was made.

use super::load::{Inputs, PART, Run};
use super::order;
use super::text::count;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs of which a line gives the rounds; the others are counted.
const NAMED: usize = 4;

/// What the page of runs under way says.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// `round 3 of 50`, or several runs with their rounds.
    pub line: String,
    /// Seconds after which browsers load the page again.
    pub every: u32,
}

/// The progress of runs of which `total` are expected (`None`: unknown), or `None` if all are finished.
pub fn line(inputs: &Inputs, total: Option<usize>) -> Option<String> {
    let under_way: Vec<&Run> = inputs.runs.iter().filter(|run| !run.is_finished()).collect();
    let finished = inputs.runs.len() - under_way.len();
    if under_way.is_empty() && total.is_some_and(|total| finished >= total) {
        return None;
    }
    let round = |run: &Run| format!("round {} of {}", run.done(), run.plan.rounds);
    if let ([run], 0, Some(1)) = (&under_way[..], finished, total) {
        return Some(round(run));
    }
    let name = |run: &Run| run.dir.file_name().unwrap_or_default().to_string_lossy().trim_end_matches(PART).to_string();
    let mut parts = vec![match total {
        Some(total) => format!("{finished} of {} finished", count(total, "run")),
        None => format!("{} finished", count(finished, "run")),
    }];
    parts.extend(under_way.iter().take(NAMED).map(|run| format!("{}: {}", name(run), round(run))));
    if under_way.len() > NAMED {
        parts.push(format!("and {} more", under_way.len() - NAMED));
    }
    Some(parts.join("; "))
}

/// The number of `runs` (`CELL-sSEED`) of a sweep that have neither begun nor been left out.
pub fn missing(sweep: &Path, runs: &[String]) -> usize {
    let left_out = order::left_out(&sweep.join("results.csv"));
    let begun = |run: &String| {
        ["", PART].iter().any(|end| sweep.join("cells").join(format!("{run}{end}")).join("plan.toml").is_file())
    };
    runs.iter().filter(|run| !left_out.iter().any(|(other, _)| other == *run) && !begun(run)).count()
}

/// The names and sizes of the files from which a page is made. Logs grow with every round, and the other files appear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(BTreeMap<PathBuf, u64>);

impl Stamp {
    /// Of run and sweep directories, without reading a file.
    pub fn of(dirs: &[PathBuf]) -> Stamp {
        let mut stamp = Stamp::default();
        dirs.iter().for_each(|dir| stamp.directory(dir));
        stamp
    }

    fn directory(&mut self, dir: &Path) {
        self.run(dir);
        self.file(dir.join("results.csv"));
        for cell in entries(&dir.join("cells")) {
            // A finished run of a sweep does not change.
            match cell.to_string_lossy().ends_with(PART) {
                true => self.run(&cell),
                false => self.file(cell),
            }
        }
    }

    fn run(&mut self, dir: &Path) {
        ["plan.toml", "metrics.jsonl", "timing.jsonl", "summary.json", "generator.safetensors", "real.png"]
            .iter()
            .for_each(|name| self.file(dir.join(name)));
        entries(&dir.join("grids")).into_iter().for_each(|grid| self.file(grid));
    }

    fn file(&mut self, path: PathBuf) {
        if let Ok(there) = fs::metadata(&path) {
            self.0.insert(path, there.len());
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, plan};
    use super::super::load::{load, load_live};
    use super::super::render_live;
    use super::*;

    /// A run of which `done` of four rounds are done.
    fn begun(f: &Fixture, name: &str, seed: u64, done: usize) {
        f.run(name, seed, "", 4);
        let log = f.path(name).join("metrics.jsonl");
        let text = fs::read_to_string(&log).unwrap();
        let lines: String = text.lines().take(done).map(|line| format!("{line}\n")).collect();
        fs::write(log, lines).unwrap();
        fs::remove_file(f.path(name).join("summary.json")).unwrap();
    }

    #[test]
    fn the_line_names_rounds_and_ends_with_the_last_run() {
        let f = Fixture::new();
        begun(&f, "a", 1, 3);
        let read = |names: &[&str]| load_live(&names.iter().map(|n| f.path(n)).collect::<Vec<_>>(), &plan).unwrap();
        let said = |names: &[&str], total| line(&read(names), total).unwrap_or_default();
        assert_eq!(said(&["a"], Some(1)), "round 3 of 4");
        fs::remove_file(f.path("a/metrics.jsonl")).unwrap();
        assert_eq!(said(&["a"], Some(1)), "round 0 of 4", "before the first round");
        assert!(load(&[f.path("a")], &plan).is_err(), "a run that nobody watches");
        f.run("b", 2, "", 4);
        assert_eq!(said(&["a", "b"], Some(2)), "1 of 2 runs finished; a: round 0 of 4");
        assert_eq!(line(&read(&["b"]), Some(1)), None);
        assert_eq!(said(&["b"], None), "1 run finished", "somebody else may add runs");
        let names = ["c", "d", "e", "g"];
        names.iter().zip(3..).for_each(|(name, seed)| begun(&f, name, seed, 1));
        let all = said(&["a", "c", "d", "e", "g"], Some(5));
        assert!(all.starts_with("0 of 5 runs finished; a: ") && all.ends_with("e: round 1 of 4; and 1 more"), "{all}");
    }

    #[test]
    fn runs_of_a_sweep_under_way_are_shown() {
        let f = Fixture::new();
        fs::create_dir_all(f.path("sweep/cells/a-s2.part")).unwrap();
        let read = || load_live(&[f.path("sweep")], &plan).unwrap();
        assert!(read().runs.is_empty(), "it is loading images");
        assert_eq!(line(&read(), Some(3)).unwrap(), "0 of 3 runs finished");
        begun(&f, "sweep/cells/a-s2.part", 2, 2);
        f.run("sweep/cells/a-s1", 1, "", 4);
        let runs = ["a-s1", "a-s2", "a-s3", "b-s1"].map(String::from);
        assert_eq!(missing(&f.path("sweep"), &runs), 2);
        let inputs = read();
        let cells: Vec<&str> = inputs.runs.iter().filter_map(|r| Some(r.cell.as_ref()?.1.as_str())).collect();
        assert_eq!((cells, inputs.remarks.len()), (vec!["a", "a"], 0));
        let line = line(&inputs, Some(3)).unwrap();
        assert_eq!(line, "1 of 3 runs finished; a-s2: round 2 of 4");
        let live = Live { line, every: 1 };
        let html = render_live(&inputs, None, Some(&live)).unwrap().html;
        let said = "<p class=\"live\">Under way: 1 of 3 runs finished; a-s2: round 2 of 4. This page reloads every second.</p>";
        assert!(html.contains(said), "{html}");
        assert!(html.contains("<meta http-equiv=\"refresh\" content=\"1\">\n<title>") && !html.contains("<script"));
        let last = render_live(&inputs, None, None).unwrap().html;
        assert!(!last.contains("http-equiv=\"refresh\"") && !last.contains("Under way"));
        fs::write(f.path("sweep/results.csv"), "cell,seed,left_out\na,2,too few\na,3,too few\n").unwrap();
        assert_eq!(read().runs.len(), 1, "nobody continues a run that was left out");
        assert_eq!(missing(&f.path("sweep"), &runs), 1);
    }

    #[test]
    fn stamps_change_with_the_files_of_a_page() {
        let f = Fixture::new();
        begun(&f, "a", 1, 3);
        begun(&f, "sweep/cells/b-s1.part", 1, 3);
        f.run("sweep/cells/c-s1", 1, "", 4);
        let stamp = || Stamp::of(&[f.path("a"), f.path("sweep")]);
        let mut before = stamp();
        assert_eq!(before, stamp());
        let mut changed = |what: &str| {
            let now = stamp();
            assert!(before != now, "{what}");
            before = now;
        };
        fs::write(f.path("a/metrics.jsonl"), "{}\n").unwrap();
        changed("a log");
        fs::write(f.path("a/grids/round-0009.png"), "").unwrap();
        changed("a grid");
        fs::write(f.path("a/summary.json"), "{}").unwrap();
        changed("an end");
        fs::write(f.path("sweep/cells/b-s1.part/metrics.jsonl"), "{}\n").unwrap();
        changed("a log of a sweep");
        fs::rename(f.path("sweep/cells/b-s1.part"), f.path("sweep/cells/b-s1")).unwrap();
        changed("a finished run of a sweep");
        fs::write(f.path("sweep/results.csv"), "cell\n").unwrap();
        changed("a table");
        fs::write(f.path("a/checkpoint"), "").unwrap();
        assert_eq!(before, stamp(), "a file that the page does not show");
    }
}
