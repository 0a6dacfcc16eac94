//! A sweep: a base experiment, axes whose values set keys of it, and seeds. Its cells are the product of the axes; each is
//! trained once per seed.

mod parse;

use super::{BUILTIN, Draft, Plan, Problems, SWEEPS, set, text};
use crate::{Error, Result, input};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Largest number of runs in a sweep: a larger grid is probably a mistake.
pub const MOST_RUNS: usize = 10_000;

/// Columns of `results.csv` other than axes; axes cannot have these names.
pub const RESERVED: [&str; 15] = [
    "cell",
    "seed",
    "rounds",
    "seconds",
    "device",
    "version",
    "false_flags",
    "honest_rounds",
    "true_flags",
    "malicious_rounds",
    "suppressed_after",
    "malicious_weight_last",
    "diverged",
    "left_out",
    "written_by",
];

/// A sweep as written in its file.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Names the sweep's directory.
    pub name: String,
    /// The base experiment as named in the file; `default` if absent.
    pub base: String,
    /// Seeds, each once.
    pub seeds: Vec<u64>,
    /// Overrides of the base in all cells.
    pub set: Vec<Assignment>,
    /// The axes, the first one outermost.
    pub axes: Vec<Axis>,
    draft: Draft,
    /// The absolute path of the base if it is a file: the copy of the sweep in its directory is in another folder than the
    /// sweep's own file.
    base_file: Option<PathBuf>,
}

/// The first line of the copy of a sweep in its directory.
pub const KEPT: &str = "# Kept by `fedgan sweep` and replaced by it: keep your own file elsewhere.\n";

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Dotted path.
    pub path: String,
    /// The value.
    pub value: Value,
}

/// One axis of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The name, a column of the results.
    pub name: String,
    /// Its values, at least one.
    pub values: Vec<AxisValue>,
}

/// One value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisValue {
    /// The name, a part of cell names.
    pub name: String,
    /// The keys that it sets; if empty, the base is unchanged.
    pub set: Vec<Assignment>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The values' names joined by `-`.
    pub name: String,
    /// The value's name on every axis.
    pub labels: Vec<String>,
    /// The seed of this run.
    pub seed: u64,
    /// The plan of this run.
    pub plan: Plan,
}

impl Cell {
    /// The name of the run's directory, `CELL-sSEED`.
    pub fn directory(&self) -> String {
        format!("{}-s{}", self.name, self.seed)
    }
}

impl Sweep {
    /// Reads a sweep: a file, or the built-in sweep of that name if no such file exists. Its base is a file relative to the
    /// sweep's, or a built-in experiment.
    ///
    /// # Errors
    /// Every mistake in one message: unreadable file, TOML syntax, unknown keys, wrong types, repeated names.
    pub fn read(path: &Path) -> Result<Sweep> {
        match input::read_text(path, input::CONFIG) {
            Ok(text) => Sweep::parse(&path.display().to_string(), &text, path.parent()),
            Err(error) => {
                // A folder may share its name with a built-in sweep, as that of `fedgan demo` does.
                let absent = error.kind() == std::io::ErrorKind::NotFound || path.is_dir();
                path.to_str().filter(|_| absent).and_then(Sweep::builtin).unwrap_or_else(|| {
                    let (own, experiments) = (SWEEPS.map(|s| s.0), BUILTIN.map(|b| b.0));
                    Err(super::no_such(path, &error, &own, ("run", &experiments)))
                })
            }
        }
    }

    /// The built-in sweep of this name, if there is one, whatever files there are.
    pub fn builtin(name: &str) -> Option<Result<Sweep>> {
        let (name, text) = SWEEPS.iter().find(|s| s.0 == name)?;
        Some(Sweep::parse(&format!("built-in sweep `{name}`"), text, None))
    }

    /// Parses a text; `origin` names it in messages, `folder` may contain its base as a file.
    ///
    /// # Errors
    /// As [`Sweep::read`].
    pub fn parse(origin: &str, text: &str, folder: Option<&Path>) -> Result<Sweep> {
        let table = text::table_of(origin, text)?;
        let mut problems = Problems::default();
        let sweep = parse::sweep(&table, folder, &mut problems);
        match sweep {
            Some(sweep) if problems.is_empty() => Ok(sweep),
            _ => Err(problems.into_error(origin)),
        }
    }

    /// Whether an axis sets the key `path`.
    pub fn varies(&self, path: &str) -> bool {
        self.axes.iter().any(|axis| axis.sets(path))
    }

    /// Sets further keys in all cells (`--set`, in order), and the device.
    ///
    /// # Errors
    /// An assignment that cannot be parsed, an unknown key, or a key that an axis or the seeds set.
    pub fn override_with(&mut self, assignments: &[String], device: Option<&str>) -> Result<()> {
        let mut all = Vec::new();
        for text in assignments {
            let (path, value) = set::split(text)?;
            all.push((format!("--set {text}"), path, value));
        }
        all.extend(device.map(|d| (format!("--device {d}"), "device".to_string(), Value::String(d.into()))));
        for (origin, path, value) in all {
            let mut problems = Problems::default();
            let added = parse::assignments(&path, value, &path, &mut problems);
            for assignment in &added {
                if let Some(axis) = self.axes.iter().find(|a| a.sets(&assignment.path)) {
                    problems.push(format!("the axis `{}` of the sweep sets this key", axis.name));
                }
            }
            if !problems.is_empty() {
                return Err(problems.into_error(&origin));
            }
            for assignment in added {
                let undone = |old: &Assignment| {
                    set::overlap(&old.path, &assignment.path) && !set::inside(&old.path, &assignment.path)
                };
                self.set.retain(|old| !undone(old));
                self.set.push(assignment);
            }
        }
        Ok(())
    }

    /// The cells in grid order, the first axis outermost, the seeds innermost; every plan is valid.
    ///
    /// # Errors
    /// All mistakes in all cells, each once with its cells.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        let mut reasons = Reasons::default();
        let mut cells = Vec::new();
        let combinations = product(&self.axes);
        for values in &combinations {
            let labels: Vec<String> = values.iter().map(|v| v.name.clone()).collect();
            let name = cell_name(values);
            // Validity does not depend on the seed: one check serves all seeds.
            match self.plan(&name, values) {
                Ok(plan) => cells.extend(self.seeds.iter().map(|&seed| Cell {
                    name: name.clone(),
                    labels: labels.clone(),
                    seed,
                    plan: Plan { seed, ..plan.clone() },
                })),
                Err(problems) => reasons.add(&name, problems),
            }
        }
        reasons.into_result(&self.name, combinations.len()).map(|()| cells)
    }

    fn plan(&self, name: &str, values: &[&AxisValue]) -> Result<Plan, Problems> {
        let (mut draft, mut problems) = (self.draft.clone(), Problems::default());
        let own = Assignment { path: "name".into(), value: Value::String(name.into()) };
        for Assignment { path, value } in self.set.iter().chain(values.iter().flat_map(|v| &v.set)).chain([&own]) {
            if let Err(what) = draft.set(path, value.clone()) {
                problems.push(format!("{path} = {value}: {what}"));
            }
        }
        let plan = draft.check(&mut problems);
        plan.ok_or(problems)
    }

    /// The sweep as a file that starts with [`KEPT`], with axes in the long form and the additions of [`Sweep::override_with`].
    pub fn to_toml(&self) -> String {
        let set = |assignments: &[Assignment]| -> Value {
            Value::Table(assignments.iter().map(|a| (a.path.clone(), a.value.clone())).collect())
        };
        let value = |v: &AxisValue| {
            Value::Table(Table::from_iter([
                ("name".to_string(), Value::String(v.name.clone())),
                ("set".to_string(), set(&v.set)),
            ]))
        };
        let axis = |a: &Axis| {
            Value::Table(Table::from_iter([
                ("name".to_string(), Value::String(a.name.clone())),
                ("value".to_string(), Value::Array(a.values.iter().map(value).collect())),
            ]))
        };
        let seeds = self.seeds.iter().map(|s| Value::Integer(*s as i64)).collect();
        let base = self.base_file.as_ref().map_or(self.base.clone(), |path| path.display().to_string());
        let mut table = Table::from_iter([
            ("name".to_string(), Value::String(self.name.clone())),
            ("base".to_string(), Value::String(base)),
            ("seeds".to_string(), Value::Array(seeds)),
            ("set".to_string(), set(&self.set)),
        ]);
        table.insert("axis".into(), Value::Array(self.axes.iter().map(axis).collect()));
        format!("{KEPT}{table}")
    }

    /// Checks that `stored`, an earlier [`Sweep::to_toml`], has the name and the axes of this sweep, so that one table can hold
    /// the runs of both. Seeds, values and settings may differ: they are compared with every finished run.
    ///
    /// # Errors
    /// The difference, as a predicate without subject.
    pub fn continues(&self, stored: &str) -> Result<(), String> {
        if !stored.starts_with(KEPT) {
            return Err("was not written by a sweep, so it is not replaced".into());
        }
        let table = text::table(stored).map_err(|e| format!("is not TOML: {e}"))?;
        let name = table.get("name").and_then(Value::as_str).unwrap_or_default();
        if name != self.name {
            return Err(format!("belongs to the sweep `{name}`, not to `{}`", self.name));
        }
        let axis_name = |axis: &Value| axis.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
        let axes = table.get("axis").and_then(Value::as_array);
        let was: Vec<String> = axes.into_iter().flatten().map(axis_name).collect();
        let now: Vec<String> = self.axes.iter().map(|a| a.name.clone()).collect();
        if was == now { Ok(()) } else { Err(format!("has the axes {was:?}, this sweep has {now:?}")) }
    }
}

impl Axis {
    /// Whether a value of this axis sets `path`, a part of it, or a key that excludes it.
    fn sets(&self, path: &str) -> bool {
        self.values.iter().flat_map(|v| &v.set).any(|a| set::overlap(&a.path, path))
    }
}

/// All combinations of one value of each axis, the first axis outermost.
fn product(axes: &[Axis]) -> Vec<Vec<&AxisValue>> {
    axes.iter().fold(vec![vec![]], |shorter, axis| {
        let pairs = shorter.iter().flat_map(|values| axis.values.iter().map(move |value| (values, value)));
        pairs.map(|(values, value)| values.iter().copied().chain([value]).collect()).collect()
    })
}

/// The name of a cell; `run` if there is no axis.
fn cell_name(values: &[&AxisValue]) -> String {
    let names: Vec<&str> = values.iter().map(|v| v.name.as_str()).collect();
    if names.is_empty() { "run".into() } else { names.join("-") }
}

/// Reasons with their cells, in the order found.
#[derive(Default)]
struct Reasons {
    order: Vec<String>,
    cells: BTreeMap<String, Vec<String>>,
}

impl Reasons {
    fn add(&mut self, cell: &str, problems: Problems) {
        for line in problems.lines() {
            let cells = self.cells.entry(line.clone()).or_default();
            if cells.is_empty() {
                self.order.push(line.clone());
            }
            cells.push(cell.to_string());
        }
    }

    fn into_result(self, sweep: &str, all: usize) -> Result<()> {
        if self.order.is_empty() {
            return Ok(());
        }
        let mut problems = Problems::default();
        for line in &self.order {
            let cells = &self.cells[line];
            let whom = if cells.len() == all && all > 1 { "all cells".into() } else { cells.join(", ") };
            problems.push(format!("{whom}: {line}"));
        }
        Err(problems.into_error(&format!("sweep `{sweep}`")))
    }
}

/// The file in the sweep's folder that the base names, if it exists.
fn base_file(name: &str, folder: Option<&Path>) -> Option<PathBuf> {
    let path = folder?.join(name);
    if path.is_file() { Some(std::fs::canonicalize(&path).unwrap_or(path)) } else { None }
}

/// The base experiment: a file in the sweep's folder, else a built-in one.
fn base(name: &str, folder: Option<&Path>) -> Result<Draft> {
    if let Some(path) = folder.map(|folder| folder.join(name)).filter(|path| path.is_file()) {
        return Draft::read(Some(&path));
    }
    Draft::builtin(name)?.ok_or_else(|| {
        let beside = folder.map_or(PathBuf::from(name), |folder| folder.join(name));
        Error::input(format!("no such file as {}, and no built-in experiment `{name}`", beside.display()))
    })
}

#[cfg(test)]
mod tests;
