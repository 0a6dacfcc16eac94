//! `--random N`: problems drawn at random, and failing ones made small.

use super::{Subject, ValidateArgs};
use crate::check::random::{Limits, Shrunk, Tally, problem, shrink};
use crate::check::suite::Row;
use crate::check::{Checker, Repro, Verdict};
use crate::{Error, Result};
use std::fmt::Write as _;

/// Seed where none is given, so that runs repeat.
const SEED: u64 = 1;

/// Failing problems of a row that are made small, and problems tried for each.
const SHRUNK: usize = 3;
const ATTEMPTS: usize = 300;

/// What was drawn, and the failing problems made small.
#[derive(serde::Serialize)]
pub(super) struct Report {
    seed: u64,
    #[serde(flatten)]
    tally: Tally,
    shrunk: Vec<Small>,
}

/// A failing problem with the variant that it failed in.
#[derive(serde::Serialize)]
struct Small {
    variant: String,
    #[serde(flatten)]
    problem: Shrunk,
}

impl Report {
    /// With `--random`: puts that many problems in the place of each group's cases.
    ///
    /// # Errors
    /// A single problem as a target, a number of 0, or a row that cannot be drawn.
    pub(super) fn draw(args: &ValidateArgs, groups: &mut [Vec<Repro>]) -> Result<Option<Report>> {
        let Some(number) = args.random else { return Ok(None) };
        if number == 0 {
            return Err(Error::input("--random 0: at least one problem a kernel"));
        }
        if let Some(single) = args.targets.iter().find(|target| target.contains(':')) {
            return Err(Error::input(format!(
                "--random draws problems of whole kernels, and {single} is a single problem"
            )));
        }
        if groups.is_empty() {
            return Err(Error::input(
                "--random with --golden alone draws nothing: name kernels, or leave --golden out",
            ));
        }
        let mut report = Report { seed: args.seed.unwrap_or(SEED), tally: Tally::default(), shrunk: Vec::new() };
        for group in groups {
            let kernel = group[0].kernel;
            let mut draw = |index| problem(kernel, report.seed, index, &Limits::default(), &mut report.tally);
            *group = (0..number).map(&mut draw).collect::<Result<_>>()?;
        }
        Ok(Some(report))
    }

    /// Makes the first failing problems of each row small, each on the subject that failed.
    ///
    /// # Errors
    /// When a problem cannot be prepared a second time.
    pub(super) fn shrink(&mut self, subjects: &mut [Subject], rows: &[Row]) -> Result<()> {
        for row in rows {
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

    /// Summary lines and the small problems.
    pub(super) fn text(&self) -> String {
        let Tally { problems, refused, too_large } = self.tally;
        let mut out = format!(
            "random: {problems} problems of seed {}; drawn again: {refused} refused by a shape rule, ",
            self.seed
        );
        // `write!` to a `String` cannot fail.
        let _ = writeln!(out, "{too_large} too large");
        for Small { variant, problem: Shrunk { original, result, attempts } } in &self.shrunk {
            let _ = writeln!(out, "\n{} ({variant}), made small in {attempts} attempts:", result.kernel);
            let _ = writeln!(out, "  drawn: {original}");
            if let Verdict::Fail(what) = &result.verdict {
                let _ = writeln!(out, "  small: {what}");
            }
            let _ = writeln!(out, "  repeat with: fedgan validate '{}'", result.repro);
        }
        out
    }
}
