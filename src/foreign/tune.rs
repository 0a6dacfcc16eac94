//! The fastest values of a kernel's constants on an adapter.

use super::bench::{Contender, ForeignRow};
use super::check::Workbench;
use super::expr::Names;
use super::manifest::{Case, Only};
use crate::gpu::AdapterFacts;
use crate::perf::{Budget, SpeedChange};
use crate::{Error, Result, input};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The choices of a kernel file, by adapter, driver and case.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TunedFile {
    /// The mark of the verb that writes it.
    pub written_by: String,
    /// The choices.
    pub choices: Vec<Choice>,
}

/// The fastest constants of one case on one adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The adapter's name.
    pub adapter: String,
    /// Its driver.
    pub driver: String,
    /// The case.
    pub case: String,
    /// The constants.
    pub constants: Names,
    /// Its time over that of the constants in the kernel file.
    pub ratio: f64,
}

/// The fastest constants, and their time over that of the constants in the kernel file.
pub type Best = (Names, f64);

/// What writes the file.
pub const MARK: &str = "fedgan tune";

/// Where the choices of a kernel file are kept: beside it.
pub fn file(manifest: &Path) -> PathBuf {
    manifest.with_extension("tuned.json")
}

impl TunedFile {
    /// The choices beside a kernel file; none if there is no such file.
    ///
    /// # Errors
    /// A file that is something else.
    pub fn load(manifest: &Path) -> Result<TunedFile> {
        let path = file(manifest);
        match input::read_text(&path, input::TUNING) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Ok(TunedFile { written_by: MARK.into(), choices: Vec::new() })
            }
            Err(e) => Err(Error::file(&path, format!("cannot be read: {e}"))),
            Ok(text) => {
                serde_json::from_str(&text).map_err(|e| Error::file(&path, format!("not a file of `{MARK}`: {e}")))
            }
        }
    }

    /// The choice for a case on an adapter and driver.
    pub fn find(&self, facts: &AdapterFacts, case: &str) -> Option<&Choice> {
        self.choices.iter().find(|c| c.adapter == facts.name && c.driver == facts.driver && c.case == case)
    }

    /// Replaces the choice for a case on an adapter and driver.
    pub fn set(&mut self, facts: &AdapterFacts, case: &str, best: Option<Best>) {
        let (adapter, driver) = (facts.name.clone(), facts.driver.clone());
        self.choices.retain(|c| !(c.adapter == adapter && c.driver == driver && c.case == case));
        self.choices.extend(best.map(|(constants, ratio)| Choice {
            adapter,
            driver,
            case: case.into(),
            constants,
            ratio,
        }));
    }
}

impl Workbench {
    /// The kernel with the constants of its file, then every combination of the values to try.
    ///
    /// # Errors
    /// A file without `[tune]`, or constants that the shader does not declare.
    pub fn combinations(&self) -> Result<Vec<Contender>> {
        if self.manifest.tune.is_empty() {
            return Err(self
                .manifest
                .fail(&["tune"], "nothing to tune: expected `[tune]` with constants and lists of values"));
        }
        let declared = super::interface::overrides(&self.loaded[0].shader);
        let mut all = vec![Names::new()];
        for (name, values) in &self.manifest.tune {
            if !declared.contains_key(name) {
                let known = Vec::from_iter(declared.keys().map(String::as_str)).join(", ");
                return Err(self
                    .manifest
                    .fail(&["tune", name], format!("the kernel declares no `override {name}`; there are: {known}")));
            }
            let with = |names: &Names, value: f64| {
                names.iter().map(|(n, v)| (n.clone(), *v)).chain([(name.clone(), value)]).collect()
            };
            all = all.iter().flat_map(|names| values.iter().map(|v| with(names, *v)).collect::<Vec<Names>>()).collect();
        }
        let label = |names: &Names| Vec::from_iter(names.iter().map(|(n, v)| format!("{n}={v}"))).join(" ");
        let own = Contender { name: "as written".into(), build: 0, constants: Names::new() };
        let others = all.into_iter().map(|constants| Contender { name: label(&constants), build: 0, constants });
        Ok(std::iter::once(own).chain(others).collect())
    }

    /// Times every combination in `case`; those that fail a case of `validate` are wrong, as are those that the device refuses. The best is
    /// that with the least ratio among those that are faster beyond the noise.
    ///
    /// # Errors
    /// As [`Workbench::bench`].
    pub fn tune(&mut self, case: &Case, seed: u64, budget: &Budget) -> Result<(Vec<ForeignRow>, Option<Best>)> {
        let all = self.combinations()?;
        let checks = super::check::Checks { seed, unclamped: false, brief: false };
        let cases: Vec<Case> = self.manifest.select(Only::Validate, &[])?.into_iter().cloned().collect();
        let mut wrong = Vec::new();
        for contender in &all {
            let mut found = None;
            for case in &cases {
                // The case's own constants give way to those that are tried.
                found = match self.check(0, case, &contender.constants, checks) {
                    Ok(report) => report.failures.first().map(|what| format!("{}: {what}", case.name)),
                    Err(Error::Input(what)) if !contender.constants.is_empty() => Some(what),
                    Err(error) => return Err(error),
                };
                if found.is_some() {
                    break;
                }
            }
            wrong.push(found);
        }
        let right: Vec<Contender> =
            all.iter().zip(&wrong).filter(|(_, w)| w.is_none()).map(|(c, _)| c.clone()).collect();
        let timed = self.bench(case, &right, (seed, true), budget, None)?;
        let faster = |row: &&ForeignRow| row.comparison.is_some_and(|c| c.verdict == SpeedChange::Faster);
        let ratio = |row: &ForeignRow| row.comparison.map_or(1.0, |c| c.ratio);
        let best = timed.iter().filter(faster).min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let best = best.and_then(|row| {
            let contender = right.iter().find(|c| c.name == row.kernel)?;
            Some((contender.constants.clone(), ratio(row)))
        });
        let mut rows = timed;
        for (contender, what) in all.iter().zip(wrong) {
            if let Some(what) = what {
                let (kernel, case) = (contender.name.clone(), case.name.clone());
                let (grid, wrong, compiled) = ([0; 3], Some(what), Vec::new());
                rows.push(ForeignRow { kernel, case, grid, wrong, timed: None, comparison: None, compiled });
            }
        }
        Ok((rows, best))
    }
}
