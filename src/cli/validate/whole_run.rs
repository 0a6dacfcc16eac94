//! `fedgan validate --run`: compares a real run with the reference, launch by launch.

use super::{Replacement, ValidateArgs};
use crate::check::suite::KernelSummary;
use crate::check::watch::{Differential, Log};
use crate::config::{self, Overrides};
use crate::error::count;
use crate::exec::Descriptor;
use crate::gpu::{GpuOptions, open};
use crate::metric::Metric;
use crate::report::Steps;
use crate::report::progress::duration;
use crate::session::{Images, replay};
use crate::{Error, Result};
use std::path::Path;
use std::time::Instant;

/// The outcome of the run, as `--json` writes it beside the kernels' rows.
#[derive(Debug, serde::Serialize)]
pub(super) struct WholeRun {
    /// The experiment's name.
    pub experiment: String,
    /// Rounds requested.
    pub rounds: u32,
    /// Rounds that passed.
    pub passed_rounds: u32,
    /// Launches compared.
    pub launches: usize,
    /// One row per kernel; its cases are launches.
    pub kernels: Vec<KernelSummary>,
    /// The first launch outside its bound.
    pub failure: Option<String>,
}

/// The experiment of `--all`: short rounds that use nearly every kernel.
const OF_ALL: (&str, u32, [&str; 3]) = (
    "attacked",
    2,
    ["train.local_steps=3", "detection.kind=isolation-forest", "attack.update={ kind = \"scale\", factor = 2 }"],
);

/// Trains `--rounds` rounds of the experiment with every launch compared, and draws one batch of samples; also returns the
/// device.
///
/// # Errors
/// An invalid experiment, missing images, a device that fails. A launch outside its bound is an outcome, not an error.
pub(super) fn run(args: &ValidateArgs, shader: Option<Replacement>) -> Result<(WholeRun, Descriptor)> {
    let (config, rounds, set) = match &args.run {
        Some(config) => (config.as_path(), args.rounds, args.set.clone()),
        None => (Path::new(OF_ALL.0), OF_ALL.1, OF_ALL.2.map(String::from).to_vec()),
    };
    let device = args.device.clone().or_else(|| args.shader.as_ref().map(|_| "gpu".into()));
    let mut plan = config::load(Some(config), &Overrides { set, device, ..Overrides::default() })?;
    plan.notes.lines().for_each(|line| crate::cli::tell(&line));
    plan.rounds = rounds;
    // Metrics are computed on the host and have no launches.
    plan.evaluation.metrics = Some(vec![Metric::SlicedWasserstein]);
    let images = Images::load(&plan)?;
    let sources = shader.into_iter().map(|(file, source)| (file.to_string(), source)).collect();
    let (engine, _) = open(&plan.device, GpuOptions { sources, ..GpuOptions::default() })?;
    let descriptor = engine.descriptor().clone();
    let bar = Steps::new(0);
    let told = bar.clone();
    let watched = Differential::new(
        engine,
        args.elements,
        Box::new(move |p| {
            told.set_position(p.done as u64);
            told.set_message(p.label.clone());
        }),
    );
    let log = watched.log();
    let mut passed = 0;
    let started = Instant::now();
    let outcome = replay(&plan, images, Box::new(watched), |round| {
        passed = round;
        let launches = log.lock().map_or(0, |log| log.launches);
        bar.suspend(|| {
            crate::cli::tell(&format!(
                "round {round} of {}: {} passed, {}",
                plan.rounds,
                count(launches, "launch"),
                duration(started.elapsed().as_secs_f64())
            ));
        });
    });
    bar.finish_and_clear();
    let log = log.lock().map_err(|_| Error::internal("the log of the launches is lost"))?.clone();
    match outcome {
        Err(error) if log.failure.is_none() => return Err(error),
        _ => {}
    }
    let kernels = rows(&log, &descriptor.variant);
    let whole = WholeRun {
        experiment: plan.name,
        rounds: plan.rounds,
        passed_rounds: passed,
        launches: log.launches,
        kernels,
        failure: log.failure.map(|what| format!("round {}: {what}", passed + 1)),
    };
    Ok((whole, descriptor))
}

/// One row per kernel; the case of the worst element is the label of its launch.
fn rows(log: &Log, variant: &str) -> Vec<KernelSummary> {
    let row = |(name, found): (&&'static str, &crate::check::watch::Found)| KernelSummary {
        kernel: (*name).into(),
        variant: variant.into(),
        cases: found.launches,
        elements: found.elements,
        percent: found.worst.as_ref().map_or(0.0, |w| w.percent),
        health: found.health,
        worst: found.worst.clone(),
        worst_case: found.label.clone(),
        failed: Vec::new(),
        seconds: found.seconds,
    };
    log.kernels.iter().map(row).collect()
}

impl std::fmt::Display for WholeRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WholeRun { experiment, rounds, passed_rounds, launches, failure, .. } = self;
        match failure {
            None => {
                let (launches, rounds) = (count(launches, "launch"), count(rounds, "round"));
                writeln!(f, "run `{experiment}`: {launches} of {rounds} are within their bounds")
            }
            Some(what) => writeln!(
                f,
                "run `{experiment}` FAILED after {} and {}\n{what}",
                count(launches, "launch"),
                count(passed_rounds, "whole round")
            ),
        }
    }
}
