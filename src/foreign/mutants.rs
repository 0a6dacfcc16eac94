//! Would the cases notice? The kernel is broken on purpose, and its cases must find out.

use super::check::{Checks, Workbench};
use super::expr::Names;
use super::interface::{Access, Interface};
use super::manifest::Only;
use crate::check::mutant::{Operator, derive_foreign, with_bounded_loops};
use crate::kernels::shader::Source;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// Iterations of all loops of an invocation: more than small cases need, few enough to end soon.
const MOST_STEPS: u32 = 1 << 20;

/// A broken kernel that no case noticed.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ForeignMutant {
    /// The kind of fault.
    pub operator: Operator,
    /// The changed line before and after.
    pub change: String,
}

/// What became of the mutants.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct MutantReport {
    /// Mutants that some case noticed.
    pub noticed: usize,
    /// Mutants that no case noticed and that the kernel file does not list as equivalent.
    pub survivors: Vec<ForeignMutant>,
    /// Survivors that the kernel file lists.
    pub listed: usize,
    /// Entries of the kernel file's list that are no mutant.
    pub stale: Vec<String>,
}

impl MutantReport {
    /// True if every mutant is accounted for.
    pub fn passed(&self) -> bool {
        self.survivors.is_empty() && self.stale.is_empty()
    }
}

impl Workbench {
    /// Breaks the kernel in up to `sample` ways for each kind of fault and runs `cases`, or all; `tick` is called after each mutant with their
    /// number.
    ///
    /// # Errors
    /// If the unchanged kernel fails, or the device does.
    pub fn mutants(
        &mut self,
        sample: usize,
        seed: u64,
        cases: &[String],
        mut tick: impl FnMut(usize, usize),
    ) -> Result<MutantReport> {
        let names: Vec<String> = self.manifest.select(Only::Validate, cases)?.iter().map(|c| c.name.clone()).collect();
        let text = self.loaded[0].wgsl.text().to_string();
        let name = self.loaded[0].wgsl.name().to_string();
        let original = Source::new(name.clone(), text.clone());
        let constants = Names::new();
        let checks = Checks { seed, unclamped: false, brief: true };
        // The unchanged kernel with bounded loops must pass, or nothing that its mutants do means anything.
        if let Some(what) = self.noticed(&with_bounded_loops(&text, MOST_STEPS), &name, &names, &constants, checks)? {
            self.replace(0, &[original])?;
            return Err(Error::Verdict(format!("mutants: the unchanged kernel fails with bounded loops: {what}")));
        }
        let outputs = self.written(&names[0])?;
        let mutants = derive_foreign(&text, &outputs.iter().map(String::as_str).collect::<Vec<_>>());
        let listed = self.manifest.equivalent.clone();
        let mut taken: BTreeMap<Operator, usize> = BTreeMap::new();
        let mut report = MutantReport::default();
        let mut seen = Vec::new();
        let total = mutants.len();
        for (at, mutant) in mutants.into_iter().enumerate() {
            tick(at, total);
            let entry = listed.contains(&mutant.change);
            let count = taken.entry(mutant.operator).or_default();
            if *count >= sample && !entry {
                continue;
            }
            let bounded = with_bounded_loops(&mutant.text, MOST_STEPS);
            // A text that does not compile says nothing about the cases.
            if self.replace(0, &[Source::new(name.clone(), bounded.clone())]).is_err() {
                continue;
            }
            // Most mutants fail at once; the others go through every check.
            let full = Checks { brief: false, ..checks };
            let noticed = match self.noticed(&bounded, &name, &names, &constants, checks) {
                Ok(None) => self.noticed(&bounded, &name, &names, &constants, full)?,
                Ok(noticed) => noticed,
                Err(Error::Input(_)) => continue,
                Err(error) => return Err(error),
            };
            *count += 1;
            if entry {
                seen.push(mutant.change.clone());
            }
            match (&noticed, entry) {
                // A race that this device loses is noticed on another one.
                (Some(_), _) => report.noticed += 1,
                (None, true) => report.listed += 1,
                (None, false) => {
                    report.survivors.push(ForeignMutant { operator: mutant.operator, change: mutant.change });
                }
            }
        }
        report.stale.extend(
            listed.iter().filter(|change| !seen.contains(change)).map(|change| format!("`{change}` is no mutant")),
        );
        self.replace(0, &[original])?;
        Ok(report)
    }

    /// The first failure of kernel text `text` in the cases `names`.
    fn noticed(
        &mut self,
        text: &str,
        name: &str,
        names: &[String],
        constants: &Names,
        checks: Checks,
    ) -> Result<Option<String>> {
        self.replace(0, &[Source::new(name, text)])?;
        for case in names {
            let case = self.manifest.select(Only::Validate, std::slice::from_ref(case))?[0].clone();
            let report = self.check(0, &case, constants, checks)?;
            if let Some(failure) = report.failures.first() {
                return Ok(Some(format!("{}: {failure}", case.name)));
            }
        }
        Ok(None)
    }

    /// The variables that the kernel writes.
    fn written(&self, case: &str) -> Result<Vec<String>> {
        let case = self.manifest.select(Only::Validate, &[case.to_string()])?[0].clone();
        let problem = super::case::Problem::new(&self.manifest, &self.loaded[0], &case, &Names::new())?;
        let Interface { variables, .. } = problem.interface;
        Ok(variables.into_iter().filter(|v| v.access == Access::ReadWrite).map(|v| v.name).collect())
    }
}
