//! Compares launches of a real run with the reference, using the run's own operands: [`Differential`] compares every
//! launch, [`Verifying`] a random sample; [`Sentinel`] finds the launch that produces the first NaN. All are wrapping
//! engines, so anything that runs on an engine can be watched.

mod differential;
mod sentinel;
mod verifying;

pub use differential::{Differential, Found, Log, Progress};
pub use sentinel::{Arm, Sentinel};
pub use verifying::{Checked, DEFAULT_EVERY, SAMPLED, SNAPSHOT, Verifying, room_for};

use super::fill::Random;
use super::health::Health;
use super::run::{Failure, Worst, compare_operand};
use crate::exec::Launch;
use crate::kernels::{Access, AnyKernel, Elem, Eval, Inputs};
use crate::{Error, Result};

/// Which elements of a launch's outputs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// All of them.
    All,
    /// At most `count` in total over the outputs, drawn from `seed`.
    Sample {
        /// Elements per launch.
        count: usize,
        /// Seed of the choice.
        seed: u64,
    },
}

/// The results of a launch's outputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    /// Elements compared.
    pub elements: usize,
    /// The element that uses the largest share of its bound.
    pub worst: Option<Worst>,
    pub health: Health,
    /// The first element outside its bound, or changed although the launch must not write it.
    pub failure: Option<Failure>,
}

/// Compares a launch by its operands before and its read-write operands after it (read-only slots of `after` are
/// ignored).
///
/// # Errors
/// When the reference itself reads outside the operands: a bug in the code that recorded the launch.
pub(crate) fn compare(launch: &Launch, before: &[&[u32]], after: &[&[u32]], which: Elements) -> Result<Compared> {
    let kernel = launch.kernel;
    let extents = kernel.extents(&launch.params).map_err(Error::internal)?;
    let inputs = Inputs(before.to_vec());
    let outputs = kernel.bindings().iter().filter(|b| b.access == Access::ReadWrite).count();
    let mut found = Compared::default();
    for (slot, binding) in kernel.bindings().iter().enumerate() {
        if binding.access == Access::Read {
            continue;
        }
        let expected = guarded(launch, || expected(launch, &inputs, slot, extents[slot], which, outputs))?;
        let expected = comparable(launch, &inputs, slot, extents[slot], expected)?;
        let unwritten: Vec<usize> = expected.iter().filter(|(_, e)| e.is_none()).map(|(i, _)| *i).collect();
        let compared = compare_operand(kernel, slot, before[slot], after[slot], expected, false);
        found.elements += compared.elements;
        found.health.merge(compared.health);
        let changed = unwritten
            .into_iter()
            .chain(extents[slot]..before[slot].len())
            .filter(|i| before[slot][*i] != after[slot][*i])
            .find(|i| !written_beside(launch, &inputs, &extents, slot, *i));
        if let Some(worst) = compared.worst {
            if !(worst.percent <= 100.0) && found.failure.is_none() {
                found.failure = Some(Failure::Wrong(worst.clone()));
            }
            if found.worst.as_ref().is_none_or(|w| !(worst.percent <= w.percent)) {
                found.worst = Some(worst);
            }
        }
        if let (None, Some(index)) = (&found.failure, changed) {
            found.failure = Some(Failure::Changed { binding: binding.name.into(), index });
        }
    }
    Ok(found)
}

/// Operands beyond this, or non-finite, count as possible sources of overflow: a product of three smaller ones is
/// finite in f32.
const LARGE: f32 = 1e12;

/// The elements whose f32 result is determined by the f64 reference: values and bounds are in f32's range, and no large
/// or non-finite operand contributes, so no intermediate leaves the range either. Elements that must stay unwritten are
/// included.
fn comparable(
    launch: &Launch,
    inputs: &Inputs,
    slot: usize,
    extent: usize,
    expected: Vec<(usize, Option<Eval>)>,
) -> Result<Vec<(usize, Option<Eval>)>> {
    let bindings = launch.kernel.bindings();
    if bindings[slot].elem == Elem::U32 {
        return Ok(expected);
    }
    let large = |v: u32| !(f32::from_bits(v).abs() <= LARGE);
    let floats = |at: usize| bindings[at].elem == Elem::F32;
    let any = inputs.0.iter().enumerate().any(|(at, words)| floats(at) && words.iter().any(|v| large(*v)));
    let in_range = |e: &Eval| e.value.abs() + e.bound <= f64::from(f32::MAX);
    let tamed: Vec<Vec<u32>> = match any {
        false => return Ok(expected.into_iter().filter(|(_, e)| e.as_ref().is_none_or(in_range)).collect()),
        // An element depends on a large operand if another value in its place changes the result.
        true => inputs
            .0
            .iter()
            .enumerate()
            .map(|(at, words)| match floats(at) {
                true => words.iter().map(|v| if large(*v) { 0.7310_f32.to_bits() } else { *v }).collect(),
                false => words.to_vec(),
            })
            .collect(),
    };
    let tamed = Inputs(tamed.iter().map(Vec::as_slice).collect());
    guarded(launch, || {
        let same = |i: usize, e: &Eval| {
            i < extent
                && launch
                    .kernel
                    .at(&launch.params, &tamed, slot, i)
                    .is_some_and(|t| t.value == e.value && t.bound == e.bound)
        };
        let keep = |(i, e): &(usize, Option<Eval>)| e.as_ref().is_none_or(|e| in_range(e) && same(*i, e));
        expected.into_iter().filter(keep).collect()
    })
}

/// True if another output of the launch writes the word of element `index` of output `slot`: outputs of several clients
/// may be interleaved, as running means and variances are.
fn written_beside(launch: &Launch, inputs: &Inputs, extents: &[usize], slot: usize, index: usize) -> bool {
    let (own, word) = (launch.args[slot], launch.args[slot].offset + index);
    let bindings = launch.kernel.bindings().iter().enumerate();
    bindings.filter(|(other, b)| *other != slot && b.access == Access::ReadWrite).any(|(other, _)| {
        let tensor = launch.args[other];
        let at = word.checked_sub(tensor.offset).filter(|at| tensor.buffer == own.buffer && *at < extents[other]);
        at.is_some_and(|at| launch.kernel.at(&launch.params, inputs, other, at).is_some())
    })
}

/// The reference's values of the elements to compare.
fn expected(
    launch: &Launch,
    inputs: &Inputs,
    slot: usize,
    extent: usize,
    which: Elements,
    outputs: usize,
) -> Vec<(usize, Option<Eval>)> {
    let (kernel, params) = (launch.kernel, &launch.params);
    match which {
        Elements::All => kernel.whole(params, inputs, slot, extent).into_iter().enumerate().collect(),
        Elements::Sample { count, seed } => {
            let count = count.div_ceil(outputs.max(1));
            let mut random = Random::new(seed, kernel.name(), params, slot);
            let indices: Vec<usize> = match extent <= count {
                true => (0..extent).collect(),
                // Extents are below 2^30 words.
                false => (0..count).map(|_| random.below(extent as u32) as usize).collect(),
            };
            indices.into_iter().map(|i| (i, kernel.at(params, inputs, slot, i))).collect()
        }
    }
}

fn guarded<T>(launch: &Launch, evaluate: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(evaluate)).map_err(|_| {
        Error::internal(format!(
            "{}: kernel `{}`: the reference reads outside the operands",
            launch.label,
            launch.kernel.name()
        ))
    })
}

/// Position of element `index` of a binding: its client, if the binding's layout names a client stride, and the layout.
pub(crate) fn place(kernel: &dyn AnyKernel, params: &[u32], binding: &str, index: usize) -> String {
    let layout = kernel.bindings().iter().find(|b| b.name == binding).map_or("", |b| b.doc);
    match clients(kernel, params, layout) {
        Some((clients, stride)) if clients > 1 => {
            format!("client {}, element {} of {layout}", index / stride, index % stride)
        }
        _ => format!("element {index} of {layout}"),
    }
}

/// The number of clients and the client stride of an operand whose layout names its stride.
fn clients(kernel: &dyn AnyKernel, params: &[u32], layout: &'static str) -> Option<(usize, usize)> {
    let name = |text: &'static str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
    let stride = layout.split_once("client stride ").and_then(|(_, rest)| name(rest));
    let field = |name: &str| kernel.fields().iter().position(|f| f.name == name).map(|at| params[at] as usize);
    Some((field("clients")?, field(stride?)?)).filter(|(clients, stride)| *clients > 0 && *stride > 0)
}
