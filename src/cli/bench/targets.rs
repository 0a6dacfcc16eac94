//! Targets of the measurement: from names, shapes and sizes to problems.

use super::device::{REFERENCE_LIMIT, Subject};
use super::{BenchArgs, too_large_for_reference};
use crate::check::{Repro, Style, repro};
use crate::cli::shader_file::{Replacement, read_shader};
use crate::kernels::{AnyKernel, CATALOGUE, Class};
use crate::perf::row::GIVEN;
use crate::perf::{Problem, Workload};
use crate::{Error, Result};

/// A problem as written on the command line.
pub(super) fn shape(p: &Problem) -> String {
    Repro { kernel: p.kernel, params: p.params.clone(), seed: 0, style: Style::Plain }.to_string()
}

/// The command line's targets, with all checks that need no device.
pub(super) struct Wanted {
    kernels: Vec<&'static dyn AnyKernel>,
    given: Vec<Problem>,
    /// Workloads named or sized on the command line; empty for the defaults.
    workloads: Vec<(String, Workload)>,
    /// Workloads of steps and rounds.
    pub wholes: Vec<(String, Workload)>,
    pub step: bool,
    pub round: bool,
    replacements: Vec<Replacement>,
}

impl Wanted {
    pub(super) fn new(args: &BenchArgs) -> Result<Wanted> {
        let mut wanted = Wanted {
            kernels: Vec::new(),
            given: Vec::new(),
            workloads: workloads(args)?,
            wholes: Vec::new(),
            step: args.targets.iter().any(|t| t == "step"),
            round: args.targets.iter().any(|t| t == "round"),
            replacements: args.shader.iter().map(|file| read_shader(file)).collect::<Result<_>>()?,
        };
        for target in args.targets.iter().filter(|t| *t != "step" && *t != "round") {
            match target.contains(':') {
                true => wanted.given.push(given(target)?),
                false => wanted.kernels.push(kernel(target)?),
            }
        }
        wanted.shapes(args)?;
        let of_wholes = [("--loss", args.loss.is_some()), ("--convolution", args.convolution.is_some())];
        if let Some((option, _)) = of_wholes.iter().find(|(_, given)| *given && !wanted.step && !wanted.round) {
            return Err(Error::input(format!(
                "{option} applies to `step` and `round` only; kernels are timed with the launches of every kind of training"
            )));
        }
        let of_training = !wanted.workloads.is_empty() || args.clients.is_some();
        if of_training && !wanted.given.is_empty() && wanted.kernels.is_empty() && !wanted.step && !wanted.round {
            return Err(Error::input(
                "--workload, --clients and sizes apply to training only; the given problems have their own",
            ));
        }
        if !wanted.replacements.is_empty() && (wanted.step || wanted.round) {
            return Err(Error::input("--shader times kernels; `step` and `round` run the built-in shaders"));
        }
        wanted.wholes = match wanted.workloads.is_empty() {
            true => vec![("w1".into(), sized(args, "w1")?)],
            false => wanted.workloads.clone(),
        };
        Ok(wanted)
    }

    /// `--shape`: equivalent to a shape after the kernel's name.
    fn shapes(&mut self, args: &BenchArgs) -> Result<()> {
        if args.shape.is_empty() {
            return Ok(());
        }
        let [kernel] = self.kernels[..] else {
            return Err(Error::input(format!(
                "--shape needs exactly one kernel, and {} are named; write `fedgan bench KERNEL --shape NAME=VALUE,...`",
                self.kernels.len()
            )));
        };
        for shape in &args.shape {
            self.given.push(given(&format!("{}:{shape}", kernel.name()))?);
        }
        self.kernels.clear();
        Ok(())
    }

    /// The edited shaders.
    pub(super) fn replacements(&self) -> &[Replacement] {
        &self.replacements
    }

    /// The launches to time on `subject`.
    pub(super) fn problems(&self, args: &BenchArgs, subject: &Subject) -> Result<Vec<Problem>> {
        let workloads = match (self.workloads.is_empty(), subject.is_hardware()) {
            (false, _) => self.workloads.clone(),
            (true, true) => {
                ["w1", "w2", "w3"].iter().map(|n| Ok((n.to_string(), sized(args, n)?))).collect::<Result<_>>()?
            }
            (true, false) => vec![("w1".to_string(), sized(args, "w1")?)],
        };
        if subject.is_reference() {
            self.fits_reference()?;
        }
        let mut problems: Vec<Problem> = self.given.clone();
        let whole = self.step || self.round;
        if !self.replacements.is_empty() {
            let mut files: Vec<&str> = self.replacements.iter().map(|(file, _)| *file).collect();
            files.dedup();
            let file = files.join(" or ");
            let uses = |kernel: &dyn AnyKernel, p: &[u32]| {
                Class::ALL.iter().any(|c| files.contains(&kernel.build(p, *c).file))
            };
            if let Some(other) = problems.iter().find(|p| !uses(p.kernel, &p.params)) {
                return Err(Error::input(format!("{} is not built from {file}", shape(other))));
            }
            let named =
                |k: &dyn AnyKernel| self.kernels.is_empty() || self.kernels.iter().any(|n| n.name() == k.name());
            if problems.is_empty() {
                let all = Problem::of_training(&workloads, &|k| named(k), usize::MAX)?;
                problems.extend(all.into_iter().filter(|p| uses(p.kernel, &p.params)));
            }
            if problems.is_empty() {
                let cases =
                    CATALOGUE.iter().filter(|k| named(**k)).flat_map(|k| k.cases().into_iter().map(|p| (*k, p)));
                let using = cases.filter(|(k, p)| uses(*k, p));
                let made = using.map(|(kernel, params)| Problem { kernel, params, origin: "case".into() });
                problems.extend(made.max_by(|a, b| a.work().total_cmp(&b.work())));
            }
            return match problems.is_empty() {
                true => Err(Error::input(format!("none of the named kernels is built from {file}"))),
                false => Ok(problems),
            };
        }
        if subject.is_reference() {
            let kernels =
                if self.kernels.is_empty() && problems.is_empty() && !whole { CATALOGUE } else { &self.kernels[..] };
            problems.extend(kernels.iter().filter_map(|k| Problem::case(*k)));
        } else if !self.kernels.is_empty() {
            let named = |k: &dyn AnyKernel| self.kernels.iter().any(|n| n.name() == k.name());
            problems.extend(Problem::of_training(&workloads, &named, usize::MAX)?);
        } else if problems.is_empty() && !whole {
            problems.extend(Problem::of_training(&workloads, &|_| true, 1)?);
        }
        Ok(problems)
    }

    /// # Errors
    /// If a problem, a step or a round would take the reference engine minutes.
    fn fits_reference(&self) -> Result<()> {
        if let Some(p) = self.given.iter().find(|p| p.work() > REFERENCE_LIMIT) {
            return Err(too_large_for_reference(&shape(p), p.work()));
        }
        for (_, workload) in self.wholes.iter().filter(|_| self.step || self.round) {
            let work: f64 = workload.shapes()?.iter().map(|s| s.count as f64 * (s.cost().flops + s.cost().bytes)).sum();
            if work > REFERENCE_LIMIT {
                return Err(too_large_for_reference(&workload.to_string(), work));
            }
        }
        Ok(())
    }
}

fn kernel(name: &str) -> Result<&'static dyn AnyKernel> {
    repro::kernel(name).map_err(|e| Error::input(format!("{e}; besides kernels: step, round")))
}

fn given(text: &str) -> Result<Problem> {
    let Repro { kernel, params, .. } = Repro::parse(text)?;
    Ok(Problem { kernel, params, origin: GIVEN.into() })
}

/// The workloads that the command line names or sizes.
fn workloads(args: &BenchArgs) -> Result<Vec<(String, Workload)>> {
    let sizes = [args.image_size, args.channels, args.width, args.latent, args.batch].iter().any(Option::is_some);
    let names: Vec<&str> = match (args.workload.is_empty(), sizes) {
        (true, true) => vec!["w1"],
        _ => args.workload.iter().map(String::as_str).collect(),
    };
    let label = |name: &str| if sizes { format!("{}*", name.to_lowercase()) } else { name.to_lowercase() };
    names.into_iter().map(|name| Ok((label(name), sized(args, name)?))).collect()
}

/// A named workload with the command line's sizes.
fn sized(args: &BenchArgs, name: &str) -> Result<Workload> {
    let named = Workload::named(name)?;
    let sized = Workload {
        image_size: args.image_size.unwrap_or(named.image_size),
        channels: args.channels.unwrap_or(named.channels),
        width: args.width.unwrap_or(named.width),
        latent: args.latent.unwrap_or(named.latent),
        batch: args.batch.unwrap_or(named.batch),
        clients: args.clients.unwrap_or(named.clients),
        loss: args.loss.unwrap_or(named.loss),
        convolution: args.convolution.unwrap_or(named.convolution),
    };
    sized.check()?;
    Ok(sized)
}
