//! `--shader`: an edited shader against the built-in one, in alternating launches.

use super::device::Subject;
use super::targets::shape;
use super::{Desk, table};
use crate::cli::shader_file::Replacement;
use crate::gpu::GpuOptions;
use crate::kernels::Class;
use crate::kernels::shader::Source;
use crate::perf::Problem;
use crate::perf::measure::{in_turn, verify};
use crate::perf::row::{LaunchRow, Outcome, ShaderRow, Timed};
use crate::perf::{Bench, Document, Verification, stats, verify_sampled};
use crate::{Error, Result};

/// Smaller relative changes count as none: alternating samples see less noise than separate runs.
const MARGIN: f64 = 0.01;

/// Times every problem with both shaders. Both run with run-time checks, as replaced shaders do, so that only the text differs.
pub(super) fn run(
    desk: &Desk,
    subject: &Subject,
    replacement: &Replacement,
    problems: &[Problem],
    document: &Document,
) -> Result<Vec<ShaderRow>> {
    let (file, edited) = replacement;
    let class = class_of(subject, file, problems)?;
    let builtin = crate::kernels::shader::source(file).ok_or_else(|| Error::internal(format!("no shader {file}")))?;
    let bench = |source: Source| -> Result<Bench> {
        let sources = [(file.to_string(), source)].into();
        let options = GpuOptions { class: Some(class), sources, ..subject.options.clone() };
        Ok(Bench::new(subject.engine_with(options)?))
    };
    let (mut a, mut b) = (bench(Source::new(*file, builtin))?, bench(edited.clone())?);
    desk.print(table::shader_header(file, class))?;
    let mut rows = Vec::new();
    for (at, p) in problems.iter().filter(|p| p.kernel.build(&p.params, class).file == *file).enumerate() {
        desk.say(&format!("{} {} {}", at + 1, p.kernel.name(), p.origin));
        let row = pair(desk, [&mut a, &mut b], p, class, document)?;
        desk.print(table::shader(&row))?;
        rows.push(row);
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

fn pair(desk: &Desk, benches: [&mut Bench; 2], p: &Problem, class: Class, document: &Document) -> Result<ShaderRow> {
    let [a, b] = benches;
    let blank = || LaunchRow::named(p.kernel, &p.params, shape(p), p.origin.clone(), class.name());
    let mut row = ShaderRow { edited: blank(), builtin: blank(), comparison: None };
    let record = |bench: &mut Bench| bench.record(p.kernel, &p.params, &p.origin);
    let (first, second) = match (record(a), record(b)) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(Error::Device(why) | Error::OutOfMemory { what: why, .. }), _)
        | (_, Err(Error::Device(why) | Error::OutOfMemory { what: why, .. })) => {
            row.edited.outcome = Outcome::Skipped { why: why.clone() };
            row.builtin.outcome = Outcome::Skipped { why };
            return Ok(row);
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let checked = [
        verify(a.engine.as_mut(), &first.launches()[0], &first, &verify_sampled)?,
        verify(b.engine.as_mut(), &second.launches()[0], &second, &verify_sampled)?,
    ];
    let mut wrong = false;
    for (row, (verification, _)) in [&mut row.builtin, &mut row.edited].into_iter().zip(&checked) {
        if let Some(why) = &verification.failure {
            row.outcome = Outcome::Wrong { why: why.clone() };
            wrong = true;
        } else {
            row.outcome = Outcome::Skipped { why: "correct, but without comparison: the other shader is wrong".into() };
        }
    }
    if !wrong {
        let [old, new] = in_turn([a.engine.as_mut(), b.engine.as_mut()], [&first, &second], &desk.budget)?;
        let pairs: Vec<(f64, f64)> = old.samples().0.iter().copied().zip(new.samples().0.iter().copied()).collect();
        row.comparison = stats::compare_pairs(&pairs, MARGIN);
        let [old_check, new_check] = checked;
        let timed = |(verification, first): (Verification, f64), samples| {
            let cost = p.kernel.cost(&p.params);
            Timed::new(verification, first, samples, cost, document.ceilings.as_ref())
                .map(|t| Outcome::Timed(Box::new(t)))
        };
        row.builtin.outcome = timed(old_check, old)?;
        row.edited.outcome = timed(new_check, new)?;
    }
    a.engine.forget(&first);
    b.engine.forget(&second);
    Ok(row)
}
