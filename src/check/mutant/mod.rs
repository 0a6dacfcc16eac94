//! Checking the checker: shaders broken on purpose, which the cases of their kernels must fail.
//!
//! Mutants are derived from the shader files themselves, so a new kernel is covered as soon as it is in the catalogue.
//! `syntax` reads a shader, [`Operator`] says in which ways it is broken, [`MutantSource`] runs one shader's mutants through the
//! very cases, fills and comparators that `fedgan validate` uses, and [`EQUIVALENT`] lists those that no case can tell
//! from the original.
//!
//! Replaced shaders run with naga's checks and with operands bound to their exact length, so a mutant that only reads or
//! writes outside its operands is clamped, not seen.

mod equivalent;
mod operator;
mod syntax;

pub use equivalent::{EQUIVALENT, Equivalent, REASONS, Why};
pub use operator::Operator;

use super::{Checker, Failure, Options, PreparedCase, Repro, Verdict, suite};
use crate::gpu::{AdapterKind, Device, GpuEngine, GpuOptions};
use crate::kernels::reflect::Shader;
use crate::kernels::shader::{self, Source};
use crate::kernels::{AnyKernel, CATALOGUE, Class};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One broken shader.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The fault.
    pub operator: Operator,
    /// The lines it changes before and after, as `before => after`; with ` #2` for the second such change of a file.
    pub change: String,
    /// The whole shader text.
    pub text: String,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A case failed: which, and how.
    Killed(String, Failure),
    /// All cases passed.
    Survived,
    /// It is not a valid shader, so it says nothing about the checker.
    Refused,
}

/// A shader file with the cases that are built from it, ready to be run many times.
pub struct MutantSource {
    /// The catalogue row.
    pub kernel: &'static dyn AnyKernel,
    /// The shader's path under `shaders/`.
    pub file: &'static str,
    text: String,
    cases: Vec<(Class, Vec<PreparedCase>)>,
}

/// The shader files that `kernel`'s cases are built from.
pub fn files(kernel: &dyn AnyKernel) -> Vec<&'static str> {
    let mut files = Vec::new();
    for class in Class::ALL {
        files.extend(kernel.cases().iter().map(|words| kernel.build(words, class).file));
    }
    files.sort_unstable();
    files.dedup();
    files
}

/// All mutants of a text, by operator, each operator's in an order that spreads over the text.
fn derive(text: &str, kernel: &dyn AnyKernel) -> Vec<Mutant> {
    derive_for(text, &operator::Subject::of(kernel))
}

/// All mutants of the text of a foreign shader that writes results to variables `outputs`, in the order of [`Operator::ALL`].
pub fn derive_foreign(text: &str, outputs: &[&str]) -> Vec<Mutant> {
    let outputs = outputs.iter().map(|name| name.to_string()).collect();
    derive_for(text, &operator::Subject { outputs, ..Default::default() })
}

/// `text` with a limit of `most` iterations for all loops of an invocation together: a mutant may loop for ever, which hangs a device.
pub fn with_bounded_loops(text: &str, most: u32) -> String {
    let syntax = syntax::Syntax::new(text);
    let mut out = text.to_string();
    for at in (0..syntax.len()).rev() {
        if !matches!(syntax.word(at), "for" | "while" | "loop") || syntax.place(at) == syntax::Place::Outside {
            continue;
        }
        // The brackets of a `for` hold no brace.
        if let Some(open) = (at + 1..syntax.len()).find(|i| syntax.word(*i) == "{") {
            let step = format!(" fedgan_steps += 1u; if (fedgan_steps > {most}u) {{ break; }}");
            out.insert_str(syntax.span(open, open).1, &step);
        }
    }
    out + "\nvar<private> fedgan_steps: u32;\n"
}

fn derive_for(text: &str, subject: &operator::Subject) -> Vec<Mutant> {
    let syntax = syntax::Syntax::new(text);
    let mut mutants = Vec::new();
    for operator in Operator::ALL {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut list = Vec::new();
        for edit in operator::sites(operator, &syntax, subject) {
            let mutated = format!("{}{}{}", &text[..edit.span.0], edit.with, &text[edit.span.1..]);
            if mutated == text {
                continue;
            }
            let change = describe(text, edit.span, &edit.with);
            let count = seen.entry(change.clone()).or_default();
            *count += 1;
            let change = if *count == 1 { change } else { format!("{change} #{count}") };
            list.push(Mutant { operator, change, text: mutated });
        }
        // Multiples of the golden ratio modulo 1 fill an interval evenly, whatever the number taken.
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_by_key(|i| (*i as u32).wrapping_mul(0x9e37_79b9));
        mutants.extend(order.into_iter().map(|i| list[i].clone()));
    }
    mutants
}

/// The lines round `span` before and after, blanks joined.
fn describe(text: &str, span: (usize, usize), with: &str) -> String {
    let start = text[..span.0].rfind('\n').map_or(0, |i| i + 1);
    let end = span.1 + text[span.1..].find('\n').unwrap_or(text.len() - span.1);
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let after = format!("{}{with}{}", &text[start..span.0], &text[span.1..end]);
    format!("{} => {}", plain(&text[start..end]), plain(&after))
}

impl MutantSource {
    /// Prepares the cases of shader `file` of `kernel`: those that `fedgan validate --shader` would run.
    ///
    /// # Errors
    /// When a case of the catalogue is refused or the shader's includes cannot be read.
    pub fn new(kernel: &'static dyn AnyKernel, file: &'static str) -> Result<Self> {
        let text = shader::with_includes(file).map_err(Error::internal)?;
        let all = Repro::cases(kernel);
        let mut cases = Vec::new();
        let mut covered = false;
        for class in Class::ALL {
            let mut list = if covered { suite::differing(&all, class) } else { all.clone() };
            list.retain(|r| kernel.build(&r.params, class).file == file);
            covered |= !list.is_empty();
            // Cheap ones first: most mutants fail the first case.
            list.sort_by(|a, b| kernel.cost(&a.params).bytes.total_cmp(&kernel.cost(&b.params).bytes));
            let prepared = list.iter().map(|r| PreparedCase::new(r, Options::default())).collect::<Result<Vec<_>>>()?;
            cases.push((class, prepared));
        }
        Ok(MutantSource { kernel, file, text, cases })
    }

    /// The mutants of this shader that are valid WGSL in some variant: the first `sample` of each operator, and those
    /// that [`EQUIVALENT`] lists.
    pub fn mutants(&self, sample: usize) -> Vec<Mutant> {
        let mut taken: BTreeMap<Operator, usize> = BTreeMap::new();
        let mut mutants = derive(&self.text, self.kernel);
        mutants.retain(|mutant| {
            let count = taken.entry(mutant.operator).or_default();
            let keep = (*count < sample || equivalent::find(self.file, mutant).is_some()) && self.valid(&mutant.text);
            *count += keep as usize;
            keep
        });
        mutants
    }

    /// True if every variant that the cases use assembles to valid WGSL, and some variant is not the original's.
    fn valid(&self, text: &str) -> bool {
        let mut changed = false;
        let mut seen = Vec::new();
        for (class, cases) in &self.cases {
            for case in cases {
                let consts = self.kernel.build(&case.repro().params, *class).consts;
                if seen.contains(&consts) {
                    continue;
                }
                let assemble = |text: &str| shader::assemble(&Source::new(self.file, text), &consts, false);
                let Ok(assembled) = assemble(text) else { return false };
                if Shader::parse(&assembled).is_err() {
                    return false;
                }
                let original = assemble(&self.text).unwrap_or_default();
                changed |= code(assembled.text()) != code(original.text());
                seen.push(consts);
            }
        }
        changed
    }

    /// Runs `mutant` through the cases until one fails. Loops are not expanded: the loop form is what is mutated.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub fn run(&self, device: &Arc<Device>, mutant: &str) -> Result<Outcome> {
        let runs = |class: &Class| device.runs(*class);
        for (class, cases) in self.cases.iter().filter(|(class, cases)| !cases.is_empty() && runs(class)) {
            let sources = BTreeMap::from([(self.file.to_string(), Source::new(self.file, mutant))]);
            let options = GpuOptions { class: Some(*class), sources, unroll: false, ..GpuOptions::default() };
            let mut engine = GpuEngine::new(device.clone(), options)?;
            let mut checker = Checker::new(&mut engine);
            for case in cases {
                match checker.prepared(case).verdict {
                    Verdict::Pass => {}
                    Verdict::Fail(Failure::Engine(_)) => return Ok(Outcome::Refused),
                    Verdict::Fail(failure) => return Ok(Outcome::Killed(case.repro().to_string(), failure)),
                }
            }
        }
        Ok(Outcome::Survived)
    }

    /// The unchanged shader's outcome: it must survive, or nothing that its mutants do means anything.
    ///
    /// # Errors
    /// As [`MutantSource::run`].
    pub fn unchanged(&self, device: &Arc<Device>) -> Result<Outcome> {
        self.run(device, &self.text)
    }
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().trim_end().to_string() + "\n").collect()
}

/// What one shader's mutants gave.
#[derive(Clone, Debug)]
pub struct MutantSummary {
    /// The shader's path under `shaders/`.
    pub file: &'static str,
    /// Mutants run and killed, by operator.
    pub counts: BTreeMap<Operator, (usize, usize)>,
    /// Mutants that [`EQUIVALENT`] lists: survivors, and those that the device decides and killed.
    pub listed: Vec<Mutant>,
    /// Survivors that it does not list.
    pub survivors: Vec<Mutant>,
    /// Mutants that it lists but that were killed: their entries are wrong.
    pub stale: Vec<Mutant>,
}

/// Runs up to `sample` mutants an operator for one shader file of `kernel`; none if the device cannot run the shader.
///
/// # Errors
/// When the unchanged shader fails its own cases, or the device cannot be used.
pub fn run(
    device: &Arc<Device>,
    kernel: &'static dyn AnyKernel,
    file: &'static str,
    sample: usize,
) -> Result<MutantSummary> {
    let target = MutantSource::new(kernel, file)?;
    let mut row =
        MutantSummary { file, counts: BTreeMap::new(), listed: Vec::new(), survivors: Vec::new(), stale: Vec::new() };
    if !target.cases.iter().any(|(class, cases)| !cases.is_empty() && device.runs(*class)) {
        return Ok(row);
    }
    match target.unchanged(device)? {
        Outcome::Survived => {}
        Outcome::Refused => return Err(Error::device(format!("{file}: the device refuses the unchanged shader"))),
        Outcome::Killed(case, failure) => {
            return Err(Error::device(format!("{file}: the unchanged shader fails {case}: {failure}")));
        }
    }
    let in_order = device.facts().kind == AdapterKind::Cpu;
    let must_survive = |why| why == Why::Same || why == Why::LaneRace && in_order;
    for mutant in target.mutants(sample) {
        let outcome = target.run(device, &mutant.text)?;
        if outcome == Outcome::Refused {
            continue;
        }
        let killed = outcome != Outcome::Survived;
        let listed = equivalent::find(file, &mutant);
        let count = row.counts.entry(mutant.operator).or_default();
        *count = (count.0 + 1, count.1 + killed as usize);
        match (killed, listed) {
            (true, Some(entry)) if must_survive(entry.why) => row.stale.push(mutant),
            (_, Some(_)) => row.listed.push(mutant),
            (true, None) => {}
            (false, None) => row.survivors.push(mutant),
        }
    }
    Ok(row)
}

/// Every shader file of every row, with its row.
pub fn shaders() -> Vec<(&'static dyn AnyKernel, &'static str)> {
    CATALOGUE.iter().flat_map(|kernel| files(*kernel).into_iter().map(|file| (*kernel, file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done to the smallest shader, site by site.
    #[test]
    fn mutants_of_fill() {
        let mutants = derive(shader::source("util/fill.wgsl").unwrap(), crate::kernels::find("fill").unwrap());
        let mut got: Vec<(Operator, &str)> =
            mutants.iter().map(|m| (m.operator, m.change.split_once(" => ").unwrap().1)).collect();
        got.sort();
        let header = |i: &str| format!("for (var i = id.x{i}; i += groups.x * 256u) {{");
        let (late, short, long) = (header(" + 1u; i < p.n"), header("; i + 1u < p.n"), header("; i <= p.n"));
        assert_eq!(
            got,
            [
                (Operator::Sign, "y[base - i] = p.value;"),
                (Operator::DropTerm, "y[base ] = p.value;"),
                (Operator::LoopLate, late.as_str()),
                (Operator::LoopShort, &short),
                (Operator::LoopLong, &long),
                (Operator::IndexOff, "y[base + i + 1u] = p.value;"),
                (Operator::StaleOutput, ";"),
                (Operator::Nan, "y[base + i] = (p.value) * bitcast<f32>(p.clients | 0x7fc00000u);"),
                (Operator::Scale, "y[base + i] = (p.value) * 1.01;"),
                (Operator::WrongClient, "let base = 0u * p.y_stride;"),
            ]
        );
    }

    #[test]
    fn repeated_changes_are_numbered_and_every_entry_has_its_shader() {
        let mutants =
            derive(&shader::with_includes("util/max_abs.wgsl").unwrap(), crate::kernels::find("max_abs").unwrap());
        let barriers: Vec<&str> =
            mutants.iter().filter(|m| m.operator == Operator::NoBarrier).map(|m| m.change.as_str()).collect();
        assert_eq!(barriers, ["workgroupBarrier(); => ;", "workgroupBarrier(); => ; #2"]);
        for entry in EQUIVALENT {
            for file in entry.files {
                let (kernel, _) = *shaders().iter().find(|(_, f)| f == file).unwrap_or_else(|| panic!("{file}"));
                let text = shader::with_includes(file).unwrap();
                let found = derive(&text, kernel)
                    .iter()
                    .any(|m| equivalent::find(file, m).is_some_and(|e| std::ptr::eq(e, entry)));
                assert!(found, "{file}: no mutant {}", entry.change);
            }
        }
    }
}
