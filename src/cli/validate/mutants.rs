//! `fedgan validate --mutants`: deliberately broken shaders, which the kernels' cases must detect.

use super::{ValidateArgs, select};
use crate::check::mutant::{self, Operator, REASONS};
use crate::error::count;
use crate::gpu::{Choice, Device, DeviceTarget, choose};
use crate::report::Steps;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Mutants per operator and shader if `--mutants` has no value.
pub(super) const SAMPLE: &str = "2";

/// The outcome of the mutants.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Mutants {
    /// Largest number of mutants per operator and shader.
    pub sample: usize,
    /// Mutants run.
    pub run: usize,
    /// Mutants that a case failed.
    pub killed: usize,
    /// Survivors listed as equivalent, with a reason.
    pub equivalent: usize,
    /// Run and killed, by operator.
    pub operators: BTreeMap<String, (usize, usize)>,
    /// Run and killed, by shader.
    pub shaders: BTreeMap<&'static str, (usize, usize)>,
    /// Survivors that are not listed, as `SHADER: OPERATOR: LINE => LINE`.
    pub survivors: Vec<String>,
    /// Mutants that are listed as equivalent and were killed.
    pub stale: Vec<String>,
}

impl Mutants {
    /// True if at least one mutant ran and each was killed or is listed as equivalent.
    pub(super) fn passed(&self) -> bool {
        self.run > 0 && self.survivors.is_empty() && self.stale.is_empty()
    }

    /// 100 killed / (run - equivalent), in percent: 100 if nothing else survived.
    pub(super) fn kill_rate(&self) -> f64 {
        100.0 * self.killed as f64 / (self.run - self.equivalent).max(1) as f64
    }

    /// Runs mutants of the selected kernels' shaders on a GPU adapter.
    ///
    /// # Errors
    /// Unknown kernels; a device other than a GPU; an unchanged shader that fails its own cases.
    pub(super) fn run(args: &ValidateArgs) -> Result<Mutants> {
        let sample = args.mutants.unwrap_or(2) as usize;
        let request = args.request();
        let adapter = match choose(request)? {
            Choice { target: DeviceTarget::Gpu(adapter), .. } => adapter,
            Choice { reason, .. } => {
                return Err(Error::input(format!(
                    "--mutants needs a GPU adapter; --device {request} gives {reason} (`fedgan devices` lists adapters)"
                )));
            }
        };
        let device = Device::open(&adapter, false)?;
        let names: Vec<&str> = select(args, None)?.iter().map(|group| group[0].kernel.name()).collect();
        let shaders: Vec<_> =
            mutant::shaders().into_iter().filter(|(kernel, _)| names.contains(&kernel.name())).collect();
        let bar = Steps::new(shaders.len() as u64);
        let mut found = Mutants { sample, ..Mutants::default() };
        for (kernel, file) in shaders {
            bar.set_message(format!("mutants of {file}"));
            found.add(mutant::run(&device, kernel, file, sample)?);
            bar.inc();
        }
        bar.finish_and_clear();
        Ok(found)
    }

    fn add(&mut self, row: mutant::MutantSummary) {
        let shader = self.shaders.entry(row.file).or_default();
        for (operator, (run, killed)) in &row.counts {
            let by_operator = self.operators.entry(Operator::name(*operator)).or_default();
            for sum in [&mut *by_operator, &mut *shader] {
                *sum = (sum.0 + run, sum.1 + killed);
            }
            self.run += run;
            self.killed += killed;
        }
        self.equivalent += row.counts.values().map(|(run, killed)| run - killed).sum::<usize>() - row.survivors.len();
        let name = |m: &mutant::Mutant| format!("{}: {}: {}", row.file, m.operator.name(), m.change);
        self.survivors.extend(row.survivors.iter().map(name));
        self.stale.extend(row.stale.iter().map(name));
    }

    /// One line per operator, the survivors and the total.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{:14}  {:>5}  {:>6}", "mutants", "run", "killed");
        for (operator, (run, killed)) in &self.operators {
            let _ = writeln!(out, "{operator:14}  {run:>5}  {killed:>6}");
        }
        for survivor in &self.survivors {
            let _ = writeln!(out, "SURVIVED {survivor}");
        }
        for stale in &self.stale {
            let _ = writeln!(out, "KILLED though listed as equivalent: {stale}");
        }
        let _ = writeln!(out, "{}", self.verdict());
        out
    }

    /// One sentence.
    pub(super) fn verdict(&self) -> String {
        let Mutants { run, killed, equivalent, survivors, .. } = self;
        format!(
            "mutants: {killed} of {run} killed, {} listed as equivalent ({REASONS} says why), {} not: {:.1} % killed",
            count(equivalent, "survivor"),
            survivors.len(),
            self.kill_rate()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_the_file_with_the_reasons() {
        let found = Mutants { run: 3, killed: 2, equivalent: 1, ..Mutants::default() };
        let said = found.verdict();
        assert_eq!(
            said,
            format!(
                "mutants: 2 of 3 killed, 1 survivor listed as equivalent ({REASONS} says why), 0 not: 100.0 % killed"
            )
        );
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(REASONS);
        assert!(std::fs::read_to_string(source).unwrap().contains("pub static EQUIVALENT"));
    }
}
