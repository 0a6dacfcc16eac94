//! The engines that `fedgan validate` checks, and the checks that run on all of them.

use super::{Golden, Replacement, ValidateArgs};
use crate::Error;
use crate::Result;
use crate::check::golden::{self};
use crate::check::suite::{self, KernelSummary};
use crate::check::{Checker, Repro};
use crate::exec::Engine;
use crate::gpu::{DeviceTarget, GpuOptions, choose, open};
use crate::kernels::{CATALOGUE, Class};
use crate::report::Steps;
use std::path::PathBuf;

/// One engine to check: a single one for `cpu` and `reference`, one per class of shader variants for a GPU.
pub(super) struct Subject {
    pub engine: Box<dyn Engine>,
    pub class: Option<Class>,
}

impl Subject {
    pub(super) fn variant(&self) -> &'static str {
        self.class.map_or("-", Class::name)
    }
}

/// Opens the engines: every class of variants that the GPU runs, or with a replaced shader those that use it.
pub(super) fn subjects(args: &ValidateArgs, replacement: Option<Replacement>) -> Result<(Vec<Subject>, String)> {
    let request = args.request();
    let choice = choose(request)?;
    let DeviceTarget::Gpu(adapter) = &choice.target else {
        if replacement.is_some() {
            return Err(Error::input(format!(
                "--shader needs a GPU device, and --device {request} is {}; `fedgan devices` lists adapters",
                choice.reason
            )));
        }
        let (engine, reason) = open(request, GpuOptions::default())?;
        return Ok((vec![Subject { engine, class: None }], reason));
    };
    let uses = |class: Class| match &replacement {
        None => true,
        Some((file, _)) => CATALOGUE.iter().any(|k| k.cases().iter().any(|words| k.build(words, class).file == *file)),
    };
    let mut list = Vec::new();
    for class in Class::ALL.into_iter().filter(|class| uses(*class) && adapter.facts.runs(*class)) {
        let sources = replacement.iter().map(|(file, source)| (file.to_string(), source.clone())).collect();
        let options = GpuOptions { class: Some(class), sources, ..GpuOptions::default() };
        let (engine, _) = open(request, options)?;
        // `auto` falls back to the cpu engine if the adapter fails to open.
        let class = (engine.descriptor().engine == "gpu").then_some(class);
        list.push(Subject { engine, class });
        if class.is_none() {
            break;
        }
    }
    if list.is_empty() {
        return Err(Error::input(format!("{} cannot run that shader", adapter.facts.title())));
    }
    Ok((list, choice.reason))
}

/// Runs every group on every subject; cases that several classes build identically run once.
pub(super) fn check_kernels(subjects: &mut [Subject], groups: &[Vec<Repro>]) -> Result<Vec<KernelSummary>> {
    let total: usize = groups.iter().map(Vec::len).sum::<usize>() * subjects.len();
    let bar = Steps::new(total as u64);
    let mut rows = Vec::new();
    let several = subjects.len() > 1;
    for (at, subject) in subjects.iter_mut().enumerate() {
        let variant = subject.variant();
        let class = subject.class;
        let mut checker = Checker::new(subject.engine.as_mut());
        for group in groups {
            let cases = match class {
                Some(class) if at > 0 => suite::differing(group, class),
                _ => group.clone(),
            };
            if cases.is_empty() {
                continue;
            }
            let alike = several && suite::differing(group, Class::Direct).is_empty();
            bar.set_message(format!("{} {variant}", group[0].kernel.name()));
            let row = suite::run(&mut checker, &cases, if alike { "-" } else { variant }, || bar.inc())?;
            rows.push(row);
        }
    }
    bar.finish_and_clear();
    // Adjacent rows for each kernel, in order of first appearance.
    let order = |row: &KernelSummary| groups.iter().position(|g| g[0].kernel.name() == row.kernel);
    rows.sort_by_key(order);
    Ok(rows)
}

/// Runs every file on every subject; a case that cannot be run is reported once.
pub(super) fn check_golden(subjects: &mut [Subject], files: &[PathBuf]) -> Vec<Golden> {
    let bar = Steps::new((files.len() * subjects.len()) as u64);
    let mut reports: Vec<Golden> = Vec::new();
    for file in files {
        for subject in subjects.iter_mut() {
            bar.set_message(file.display().to_string());
            let case = golden::run_file(subject.engine.as_mut(), file);
            bar.inc();
            let not_run = matches!(case.outcome, golden::Outcome::NotRun(_));
            reports.push(Golden { variant: if not_run { "-" } else { subject.variant() }, case });
            if not_run {
                break;
            }
        }
    }
    bar.finish_and_clear();
    reports
}
