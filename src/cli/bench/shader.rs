//! `--shader`: an edited shader against the built-in one, in alternating launches.

use super::device::Subject;
use super::targets::shape;
use super::{Desk, table};
use crate::cli::shader_file::Replacement;
use crate::gpu::GpuOptions;
use crate::kernels::Class;
use crate::kernels::shader::Source;
use crate::perf::Problem;
use crate::perf::measure::{rotated, verify};
use crate::perf::row::{LaunchRow, Outcome, ShaderRow, Timed};
use crate::perf::{Bench, Document, stats, verify_sampled};
use crate::{Error, Result};

/// Smaller relative changes count as none: alternating samples see less noise than separate runs.
const MARGIN: f64 = 0.01;

/// Times every problem with the built-in shader and every edited one. All run with run-time checks, as replaced shaders do, so that only
/// the text differs.
pub(super) fn run(
    desk: &Desk,
    subject: &Subject,
    replacements: &[Replacement],
    problems: &[Problem],
    document: &Document,
) -> Result<Vec<ShaderRow>> {
    let mut files: Vec<&'static str> = Vec::new();
    for (file, _) in replacements {
        if !files.contains(file) {
            files.push(file);
        }
    }
    let mut rows = Vec::new();
    for file in files {
        let class = class_of(subject, file, problems)?;
        let builtin =
            crate::kernels::shader::source(file).ok_or_else(|| Error::internal(format!("no shader {file}")))?;
        let edited = replacements.iter().filter(|(own, _)| *own == file).map(|(_, source)| source.clone());
        let sources: Vec<Source> = std::iter::once(Source::new(file, builtin)).chain(edited).collect();
        let bench = |source: &Source| -> Result<Bench> {
            let sources = [(file.to_string(), source.clone())].into();
            let options = GpuOptions { class: Some(class), sources, ..subject.options.clone() };
            Ok(Bench::new(subject.engine_with(options)?))
        };
        let mut benches = sources.iter().map(bench).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = sources[1..].iter().map(|source| source.name.as_str()).collect();
        desk.print(table::shader_header(file, &names, class))?;
        for (at, p) in problems.iter().filter(|p| p.kernel.build(&p.params, class).file == file).enumerate() {
            desk.say(&format!("{} {} {}", at + 1, p.kernel.name(), p.origin));
            for row in in_turn(desk, &mut benches, &names, p, class, document)? {
                desk.print(table::shader(&row, names.len() > 1))?;
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

/// The variants that use the file, preferably the device's own.
fn class_of(subject: &Subject, file: &str, problems: &[Problem]) -> Result<Class> {
    let uses = |class: &Class| problems.iter().any(|p| p.kernel.build(&p.params, *class).file == file);
    let own = Class::ALL.into_iter().find(|c| c.name() == subject.variant());
    let asked = subject.options.class.is_some();
    match own.into_iter().chain(Class::ALL.into_iter().filter(|_| !asked)).find(uses) {
        Some(class) => Ok(class),
        None => Err(Error::input(format!("no problem is built from {file} as {}", subject.variant()))),
    }
}

/// A row for each edited shader, from launches of all in turn. A wrong one is not timed; without a right one, nor is the built-in one.
fn in_turn(
    desk: &Desk,
    benches: &mut [Bench],
    names: &[&str],
    p: &Problem,
    class: Class,
    document: &Document,
) -> Result<Vec<ShaderRow>> {
    let blank = || LaunchRow::named(p.kernel, &p.params, shape(p), p.origin.clone(), class.name());
    let mut sides: Vec<LaunchRow> = benches.iter().map(|_| blank()).collect();
    for (side, name) in sides.iter_mut().skip(1).zip(names) {
        side.shader = name.to_string();
    }
    let mut recordings = Vec::new();
    for bench in benches.iter_mut() {
        match bench.record(p.kernel, &p.params, &p.origin) {
            Ok(recording) => recordings.push(recording),
            Err(Error::Device(why) | Error::OutOfMemory { what: why, .. }) => {
                sides.iter_mut().for_each(|side| side.outcome = Outcome::Skipped { why: why.clone() });
                return Ok(rows(sides));
            }
            Err(error) => return Err(error),
        }
    }
    let mut checked = Vec::new();
    for ((bench, recording), side) in benches.iter_mut().zip(&recordings).zip(&mut sides) {
        let (verification, first) =
            verify(bench.engine.as_mut(), &recording.launches()[0], recording, &verify_sampled)?;
        side.outcome = match &verification.failure {
            Some(why) => Outcome::Wrong { why: why.clone() },
            None => Outcome::Skipped { why: "correct, but without comparison: the other shader is wrong".into() },
        };
        checked.push((verification, first));
    }
    let right: Vec<usize> = (0..sides.len()).filter(|i| checked[*i].0.failure.is_none()).collect();
    if right.first() == Some(&0) && right.len() > 1 {
        let mut timed = |at: usize, times: u32| benches[right[at]].engine.timed(&recordings[right[at]], times);
        let timings = rotated(right.len(), &mut timed, &desk.budget)?;
        for (i, timing) in right.iter().zip(timings) {
            let (verification, first) = checked[*i].clone();
            let (cost, ceilings) = (p.kernel.cost(&p.params), document.ceilings.as_ref());
            let timed = Timed::new(verification, first, timing, cost, ceilings)?;
            sides[*i].outcome = Outcome::Timed(Box::new(timed));
        }
    }
    for (bench, recording) in benches.iter_mut().zip(&recordings) {
        bench.engine.forget(recording);
    }
    Ok(rows(sides))
}

/// The built-in side, which comes first, beside each of the others.
fn rows(mut sides: Vec<LaunchRow>) -> Vec<ShaderRow> {
    let edited = sides.split_off(1);
    let row = |edited: LaunchRow| {
        let builtin = sides[0].clone();
        let samples = |row: &LaunchRow| row.timed().map(|t| t.samples.samples().0.to_vec());
        let comparison = samples(&builtin).zip(samples(&edited)).and_then(|(old, new)| {
            let pairs: Vec<(f64, f64)> = old.into_iter().zip(new).collect();
            stats::compare_pairs(&pairs, MARGIN)
        });
        ShaderRow { edited, builtin, comparison }
    };
    edited.into_iter().map(row).collect()
}
