//! Times of a foreign kernel and its candidates, launched in turn.

use super::check::{Checks, Workbench};
use super::expr::{Expr, Names};
use super::manifest::{Case, Only};
use crate::Result;
use crate::isa::Measured;
use crate::perf::ceilings::Bound;
use crate::perf::measure::{Clock, rotated};
use crate::perf::stats::{Comparison, Summary, compare_pairs};
use crate::perf::{Budget, Ceilings};

/// Smaller relative changes count as none: alternating samples see less noise than separate runs.
const MARGIN: f64 = 0.01;

/// A build to time: its number in the workbench, and constants that override those of the file.
#[derive(Clone, Debug)]
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    /// The build.
    pub build: usize,
    /// Values of constants.
    pub constants: Names,
}

/// One build in one case.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ForeignRow {
    /// The build.
    pub kernel: String,
    /// The case.
    pub case: String,
    /// Workgroups.
    pub grid: [u32; 3],
    /// What is wrong; such a build is neither timed nor ranked.
    pub wrong: Option<String>,
    /// The times.
    pub timed: Option<ForeignTimed>,
    /// Against the first build.
    pub comparison: Option<Comparison>,
    /// What compilers for real GPUs make of it, without running it, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compiled: Vec<Measured>,
}

/// The times of a build.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ForeignTimed {
    /// Seconds of a launch.
    pub summary: Summary,
    /// The clock.
    pub clock: Clock,
    /// Launches in a sample.
    pub batch: u32,
    /// Floating-point operations per second, if the kernel file gives their number.
    pub flops: Option<f64>,
    /// Bytes per second.
    pub bytes: f64,
    /// The least time by the device's ceilings over the time, and what limits it.
    pub roofline: Option<(f64, Bound)>,
    /// All samples, in seconds.
    pub samples: Vec<f64>,
}

impl Workbench {
    /// What is wrong with a build, if anything: in all cases of `validate`, with every check, once, and in `case` itself, unless its truth is a
    /// file that does not exist.
    ///
    /// # Errors
    /// As [`Workbench::check`].
    pub fn verdict(&mut self, at: usize, case: &Case, constants: &Names, seed: u64) -> Result<Option<String>> {
        let key = (at, format!("{constants:?} {seed}"));
        if !self.verdicts.contains_key(&key) {
            let checks = Checks { seed, unclamped: false, brief: false };
            let cases: Vec<Case> = self.manifest.select(Only::Validate, &[])?.into_iter().cloned().collect();
            let mut found = None;
            for case in &cases {
                found = self
                    .check(at, case, constants, checks)?
                    .failures
                    .first()
                    .map(|what| format!("{}: {what}", case.name));
                if found.is_some() {
                    break;
                }
            }
            self.verdicts.insert(key.clone(), found);
        }
        if let Some(Some(what)) = self.verdicts.get(&key) {
            return Ok(Some(what.clone()));
        }
        if !self.has_truth(case) {
            return Ok(None);
        }
        let checks = Checks { seed, unclamped: false, brief: true };
        Ok(self.check(at, case, constants, checks)?.failures.first().map(|what| format!("{}: {what}", case.name)))
    }

    /// Verifies and times `contenders` in `case`, in turn; the first is what the others are compared with.
    ///
    /// # Errors
    /// As [`Workbench::check`].
    pub fn bench(
        &mut self,
        case: &Case,
        contenders: &[Contender],
        (seed, checked): (u64, bool),
        budget: &Budget,
        ceilings: Option<&Ceilings>,
    ) -> Result<Vec<ForeignRow>> {
        let mut rows = Vec::new();
        let (mut right, mut prepared) = (Vec::new(), Vec::new());
        for (i, Contender { name, build, constants }) in contenders.iter().enumerate() {
            let wrong = self.verdict(*build, case, constants, seed)?;
            let mut grid = [0; 3];
            if wrong.is_none() {
                let ready = self.prepared(*build, case, constants, seed, checked)?;
                grid = ready.grid();
                prepared.push(ready);
                right.push(i);
            }
            let (kernel, case) = (name.clone(), case.name.clone());
            let compiled = Vec::new();
            rows.push(ForeignRow { kernel, case, grid, wrong, timed: None, comparison: None, compiled });
        }
        let timeout = self.timeout();
        let timings = rotated(prepared.len(), &mut |at, times| prepared[at].run(times, timeout * times), budget)?;
        for (i, timing) in right.iter().zip(&timings) {
            let (samples, clock) = timing.samples();
            let summary = timing.summary()?;
            let (flops, bytes) = self.cost(contenders[*i].build, case, &contenders[*i].constants)?;
            let cost = crate::kernels::Cost { flops: flops.unwrap_or(0.0), bytes };
            let roofline = ceilings.map(|c| c.floor(cost)).map(|(least, bound)| (least / summary.median, bound));
            rows[*i].timed = Some(ForeignTimed {
                summary,
                clock,
                batch: timing.batch,
                flops: flops.map(|f| f / summary.median),
                bytes: bytes / summary.median,
                roofline,
                samples: samples.to_vec(),
            });
        }
        let first = rows.first().and_then(|row| row.timed.as_ref()).map(|t| t.samples.clone());
        for row in rows.iter_mut().skip(1) {
            if let (Some(first), Some(timed)) = (&first, &row.timed) {
                let pairs: Vec<(f64, f64)> = first.iter().copied().zip(timed.samples.iter().copied()).collect();
                row.comparison = compare_pairs(&pairs, MARGIN);
            }
        }
        Ok(rows)
    }

    /// Floating-point operations (if the file says so) and bytes of a launch of build `at`.
    ///
    /// # Errors
    /// An expression without a value.
    pub fn cost(&self, at: usize, case: &Case, constants: &Names) -> Result<(Option<f64>, f64)> {
        let problem = self.problem(at, case, constants)?;
        let value = |key: &str, expr: &Expr| {
            expr.value(&problem.names).map_err(|what| self.manifest.fail(&["cost", key], what))
        };
        let value = |key: &str, expr: &Expr| match value(key, expr)? {
            number if number >= 0.0 => Ok(number),
            number => Err(self.manifest.fail(&["cost", key], format!("`{expr}` is {number}, expected at least 0"))),
        };
        let flops = self.manifest.cost.flops.as_ref().map(|e| value("flops", e)).transpose()?;
        let all = || (0..problem.elements.len()).map(|at| problem.bytes(at) as f64).sum();
        let bytes = self.manifest.cost.bytes.as_ref().map_or_else(|| Ok(all()), |e| value("bytes", e))?;
        Ok((flops, bytes))
    }

    /// The kernel and its candidates, with the constants of the file.
    pub fn contenders(&self) -> Vec<Contender> {
        let contender = |(build, loaded): (usize, &super::case::Loaded)| Contender {
            name: loaded.build.name.clone(),
            build,
            constants: Names::new(),
        };
        self.loaded.iter().enumerate().map(contender).collect()
    }
}
