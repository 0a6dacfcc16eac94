//! `--random N`: random problems; failing ones are shrunk.

use super::ValidateArgs;
use super::engines::Subject;
use crate::check::random::{Limits, Shrunk, Tally, problem, shrink};
use crate::check::suite::KernelSummary;
use crate::check::{Checker, Repro, Verdict};
use crate::error::count;
use crate::{Error, Result};
use std::fmt::Write as _;

/// Default seed, so that runs are repeatable.
pub(super) const SEED: u64 = 1;

/// Problems per kernel with `--all`.
const OF_ALL: u32 = 3;

/// Failing problems shrunk per row, and attempts for each.
const SHRUNK: usize = 3;
const ATTEMPTS: usize = 300;

/// The problems drawn, and the failing ones after shrinking.
#[derive(serde::Serialize)]
pub(super) struct RandomReport {
    seed: u64,
    #[serde(flatten)]
    tally: Tally,
    /// One row per kernel and variant.
    pub(super) kernels: Vec<KernelSummary>,
    shrunk: Vec<Small>,
}

/// A failing problem with its variant.
#[derive(serde::Serialize)]
struct Small {
    variant: String,
    #[serde(flatten)]
    problem: Shrunk,
}

impl RandomReport {
    /// With `--random` or `--all`: random problems of each group's kernel, grouped again.
    ///
    /// # Errors
    /// A single problem as a target, or a row that cannot be drawn.
    pub(super) fn draw(args: &ValidateArgs, groups: &[Vec<Repro>]) -> Result<Option<(RandomReport, Vec<Vec<Repro>>)>> {
        let Some(number) = args.random.or(args.all.then_some(OF_ALL)) else { return Ok(None) };
        if let Some(single) = args.targets.iter().find(|target| target.contains(':')) {
            return Err(Error::input(format!(
                "--random draws problems of whole kernels, and {single} is a single problem"
            )));
        }
        let mut report = RandomReport { seed: args.seed, tally: Tally::default(), kernels: vec![], shrunk: vec![] };
        let mut problems = Vec::new();
        for group in groups {
            let kernel = group[0].kernel;
            let mut draw = |index| problem(kernel, report.seed, index, &Limits::default(), &mut report.tally);
            problems.push((0..number).map(&mut draw).collect::<Result<_>>()?);
        }
        Ok(Some((report, problems)))
    }

    /// Shrinks the first failing problems of each row, each on the subject that failed.
    ///
    /// # Errors
    /// If a problem cannot be prepared a second time.
    pub(super) fn shrink(&mut self, subjects: &mut [Subject]) -> Result<()> {
        for row in &self.kernels {
            let at = subjects.iter().position(|s| s.variant() == row.variant).unwrap_or(0);
            let mut checker = Checker::new(subjects[at].engine.as_mut());
            for failed in row.failed.iter().take(SHRUNK) {
                let repro = Repro::parse(&failed.repro)?;
                if let Some(problem) = shrink(&mut checker, &repro, ATTEMPTS)? {
                    self.shrunk.push(Small { variant: row.variant.clone(), problem });
                }
            }
        }
        Ok(())
    }

    /// Summary lines and the shrunk problems.
    pub(super) fn text(&self) -> String {
        let Tally { problems, refused, too_large } = self.tally;
        let mut out = format!(
            "random: {} of seed {}; drawn again: {refused} refused by a shape rule, ",
            count(problems, "problem"),
            self.seed
        );
        // `write!` to a `String` cannot fail.
        let _ = writeln!(out, "{too_large} too large");
        for Small { variant, problem: Shrunk { original, result, attempts } } in &self.shrunk {
            let _ = writeln!(out, "\n{} ({variant}), shrunk in {}:", result.kernel, count(attempts, "attempt"));
            let _ = writeln!(out, "  drawn: {original}");
            if let Verdict::Fail(what) = &result.verdict {
                let _ = writeln!(out, "  small: {what}");
            }
            let _ = writeln!(out, "  repeat with: fedgan validate '{}'", result.repro);
        }
        out
    }
}
