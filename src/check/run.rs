//! One case on one engine, between guard bands, compared with the row's reference.

use super::Repro;
use super::fill::{Pass, nan_word, operands, signed};
use super::health::Health;
use crate::exec::{ALIGN, Engine, Purpose, Recording, Tensor};
use crate::kernels::{Access, AnyKernel, Elem, Eval, Inputs};
use crate::{Error, Result};

/// Guard words before and after every operand.
pub(super) const GUARD: usize = ALIGN;

/// Cases with more words run without special values: all elements are treated alike.
const SPECIAL: usize = 1 << 17;

/// Options for running a case.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Run the small-integer pass if the row guarantees equal bits.
    pub exact: bool,
    /// Run everything a second time from the same inputs and require equal bits.
    pub repeat: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { exact: true, repeat: true }
    }
}

/// The element that uses the largest share of its bound.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Worst {
    /// The binding's name.
    pub binding: String,
    /// Element of that binding.
    pub index: usize,
    /// The value on the device.
    pub got: f64,
    /// The value of the reference.
    pub expected: f64,
    /// |got - expected|; NaN if exactly one of them is not a number.
    pub err: f64,
    /// The bound.
    pub bound: f64,
    /// 100 err / bound; infinite for a missed equality.
    pub percent: f64,
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Worst { binding, index, got, expected, err, bound, .. } = self;
        write!(f, "{binding}[{index}] is {got:e}, expected {expected:e}: off by {err:.3e}, allowed {bound:.3e}")
    }
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Failure {
    /// An element outside its bound (or a NaN).
    Wrong(Worst),
    /// An element that differs from the reference for small-integer inputs.
    NotExact(Worst),
    /// An element that the launch must not write has changed.
    Changed {
        /// The binding's name.
        binding: String,
        /// The element.
        index: usize,
    },
    /// A read-only operand has changed.
    ReadOnly {
        /// The binding's name.
        binding: String,
        /// The element.
        index: usize,
    },
    /// A word outside the operand has changed.
    Guard {
        /// The binding's name.
        binding: String,
        /// Words from the operand's start: negative before it, at least its length after it.
        offset: i64,
    },
    /// A second run from the same inputs gave other bits.
    NotRepeatable {
        /// The binding's name.
        binding: String,
        /// Words from the operand's start.
        offset: i64,
    },
    /// The engine refused or failed.
    Engine(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Wrong(worst) => write!(f, "{worst}"),
            Failure::NotExact(worst) => write!(f, "integers must be exact: {worst}"),
            Failure::Changed { binding, index } => write!(f, "{binding}[{index}] changed but must not be written"),
            Failure::ReadOnly { binding, index } => write!(f, "{binding}[{index}] changed but is read-only"),
            Failure::Guard { binding, offset } => write!(f, "write outside `{binding}`, at word {offset}"),
            Failure::NotRepeatable { binding, offset } => {
                write!(f, "a second run from the same inputs differs at {binding}[{offset}]")
            }
            Failure::Engine(what) => f.write_str(what),
        }
    }
}

/// Pass or fail.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Verdict {
    /// Everything within its bound.
    Pass,
    /// The first failure found.
    Fail(Failure),
}

/// The outcome of one case.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct CaseResult {
    /// The kernel's name.
    pub kernel: String,
    /// The line that `fedgan validate` parses.
    pub repro: String,
    /// Elements compared with the reference, over all passes.
    pub elements: usize,
    /// The element that uses the largest share of its bound, over all passes.
    pub worst: Option<Worst>,
    /// Percentage of the bound that it uses.
    pub percent: f64,
    /// [`Health`] of the elements that may round.
    #[serde(skip)]
    pub health: Health,
    /// The verdict.
    pub verdict: Verdict,
}

impl CaseResult {
    /// True when the case passed.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Pass
    }
}

/// A case with its inputs and the results of the reference.
pub struct PreparedCase {
    repro: Repro,
    repeat: bool,
    pub(super) trials: Vec<Trial>,
}

/// One pass of a case.
pub(super) struct Trial {
    pub(super) pass: Pass,
    pub(super) inputs: Vec<Vec<u32>>,
    pub(super) expected: Expected,
    /// The reference's results on a device that reads subnormal operands as 0, for the pass with such operands.
    flushed: Option<Expected>,
}

impl PreparedCase {
    /// Draws the inputs and evaluates the reference: exact integers first if the row guarantees them, special values
    /// last if the case is small.
    ///
    /// # Errors
    /// If the parameters are rejected.
    pub fn new(repro: &Repro, options: Options) -> Result<Self> {
        let exact = options.exact && repro.kernel.exact_on_integers(&repro.params);
        let words: usize = repro.kernel.extents(&repro.params).map_or(0, |extents| extents.iter().sum());
        let special =
            words <= SPECIAL && repro.kernel.contents(&repro.params).iter().any(|fill| signed(fill).is_some());
        let passes = [Pass::Exact, Pass::Rounding, Pass::Nan, Pass::Extreme];
        let passes = passes.into_iter().filter(|pass| match pass {
            Pass::Exact => exact,
            Pass::Rounding => true,
            Pass::Nan | Pass::Extreme => special,
        });
        let trial = |pass| {
            let inputs = operands(repro.kernel, &repro.params, pass, repro.seed, repro.style)?;
            let expected = reference(repro, &inputs)?;
            let flushed = if pass == Pass::Extreme { Some(reference(repro, &flushed(repro, &inputs))?) } else { None };
            Ok(Trial { pass, inputs, expected, flushed })
        };
        Ok(PreparedCase {
            repro: repro.clone(),
            repeat: options.repeat,
            trials: passes.map(trial).collect::<Result<_>>()?,
        })
    }

    /// The case.
    pub fn repro(&self) -> &Repro {
        &self.repro
    }
}

/// Runs cases on one engine; its buffers are reused for every case.
pub struct Checker<'e> {
    /// The engine under test.
    pub engine: &'e mut dyn Engine,
    pool: Vec<Tensor>,
}

impl<'e> Checker<'e> {
    /// A checker of `engine`.
    pub fn new(engine: &'e mut dyn Engine) -> Self {
        Checker { engine, pool: Vec::new() }
    }

    /// Buffer `slot`, at least `words` words long.
    fn buffer(&mut self, slot: usize, words: usize) -> Result<Tensor> {
        while self.pool.len() <= slot || self.pool[slot].words < words {
            let next = slot.min(self.pool.len());
            let tensor = self.engine.alloc(&format!("check operand {next}"), words.next_power_of_two())?;
            self.pool.splice(next..(next + 1).min(self.pool.len()), [tensor]);
        }
        Ok(self.pool[slot].slice(0, words))
    }

    /// Runs one case and compares the results: exact integers first if the row guarantees them, then the rounding bound. Elements
    /// that are not written, guard bands and read-only operands must be unchanged bit for bit, a second run bit-equal.
    ///
    /// # Errors
    /// If the parameters are rejected. A failure of the device is a verdict.
    pub fn case(&mut self, repro: &Repro, options: Options) -> Result<CaseResult> {
        Ok(self.prepared(&PreparedCase::new(repro, options)?))
    }

    /// [`Checker::case`] with prepared inputs and reference results: one preparation serves many engines.
    pub fn prepared(&mut self, case: &PreparedCase) -> CaseResult {
        let repro = &case.repro;
        let mut result = CaseResult {
            kernel: repro.kernel.name().into(),
            repro: repro.to_string(),
            elements: 0,
            worst: None,
            percent: 0.0,
            health: Health::default(),
            verdict: Verdict::Pass,
        };
        for trial in &case.trials {
            // A kernel on an engine that panics counts as failed.
            let run = std::panic::AssertUnwindSafe(|| self.execute(repro, &trial.inputs, case.repeat));
            let run = std::panic::catch_unwind(run).unwrap_or_else(|_| Err(Error::internal("the engine panicked")));
            let failure = match run {
                Err(error) => Some(Failure::Engine(error.to_string())),
                Ok(runs) => compare(repro, trial, &runs, &mut result),
            };
            if let Some(failure) = failure {
                result.verdict = Verdict::Fail(failure);
                break;
            }
        }
        result
    }

    /// Uploads, launches and downloads; twice if `repeat`.
    pub(super) fn execute(&mut self, repro: &Repro, inputs: &[Vec<u32>], repeat: bool) -> Result<Vec<Banded>> {
        let mut whole: Vec<Tensor> = Vec::new();
        for (slot, words) in inputs.iter().enumerate() {
            whole.push(self.buffer(slot, words.len() + 2 * GUARD)?);
        }
        let args: Vec<Tensor> = whole.iter().zip(inputs).map(|(t, words)| t.slice(GUARD, words.len())).collect();
        let mut recording = Recording::new();
        recording.launch_words(repro.kernel, repro.params.clone(), &args, repro.to_string())?;
        let mut runs = Vec::new();
        for _ in 0..1 + repeat as usize {
            for (slot, (tensor, words)) in whole.iter().zip(inputs).enumerate() {
                self.engine.write(*tensor, &banded(slot, words))?;
            }
            self.engine.run(&recording, 1)?;
            self.engine.finish()?;
            runs.push(whole.iter().map(|t| self.engine.read(*t, Purpose::Check)).collect::<Result<Banded>>()?);
        }
        self.engine.forget(&recording);
        Ok(runs)
    }
}

/// [`Checker::case`] with its own buffers.
///
/// # Errors
/// As [`Checker::case`].
pub fn check_case(engine: &mut dyn Engine, repro: &Repro, options: Options) -> Result<CaseResult> {
    Checker::new(engine).case(repro, options)
}

/// The reference's values for each binding; empty for read-only ones.
pub(super) type Expected = Vec<Vec<Option<Eval>>>;

/// The reference's results. Parameters that pass the shape rule may still not match the case's tables (a step beyond a
/// table's row): the naive reference then reads outside its operands, and the device is not used.
fn reference(repro: &Repro, inputs: &[Vec<u32>]) -> Result<Expected> {
    let views = Inputs(inputs.iter().map(Vec::as_slice).collect());
    let whole = |slot: usize, access| match access {
        Access::Read => Vec::new(),
        Access::ReadWrite => repro.kernel.whole(&repro.params, &views, slot, inputs[slot].len()),
    };
    let all = || repro.kernel.bindings().iter().enumerate().map(|(slot, b)| whole(slot, b.access)).collect();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(all))
        .map_err(|_| Error::input(format!("{repro}: the reference reads outside the inputs of these parameters")))
}

/// All operands with their guard bands after one run.
pub(super) type Banded = Vec<Vec<u32>>;

/// Word `at` of the two guard bands of operand `slot`. No two operands share a word: one copied from an input's band
/// into an output's is detected like any other stray write.
pub(super) fn guard_word(slot: usize, at: usize) -> u32 {
    nan_word(2 * GUARD * (slot + 1) + at)
}

fn banded(slot: usize, words: &[u32]) -> Vec<u32> {
    let guard = |from: usize| (from..from + GUARD).map(move |at| guard_word(slot, at));
    guard(0).chain(words.iter().copied()).chain(guard(GUARD)).collect()
}

/// Compares the runs of one pass; adds the comparison to `result`.
fn compare(repro: &Repro, trial: &Trial, runs: &[Banded], result: &mut CaseResult) -> Option<Failure> {
    let (kernel, pass, before) = (repro.kernel, trial.pass, &trial.inputs);
    let (mut wrong, mut changed) = (None, None);
    let spreads = !kernel.meets_padding(&repro.params).is_empty();
    for (slot, binding) in kernel.bindings().iter().enumerate() {
        let len = before[slot].len();
        let after = &runs[0][slot][GUARD..GUARD + len];
        if binding.access == Access::Read {
            let index = before[slot].iter().zip(after).position(|(a, b)| a != b);
            if let Some(index) = index {
                return Some(Failure::ReadOnly { binding: binding.name.into(), index });
            }
            continue;
        }
        let expected = trial.expected[slot].iter().copied().enumerate();
        let expected = expected.filter_map(|(index, eval)| {
            // A NaN from before the launch is not a result.
            let got = Some(after[index]).filter(|word| *word != nan_word(index));
            let told = allowed(pass, eval, binding.elem, got, spreads)?;
            let Some(flushed) = &trial.flushed else { return Some((index, told)) };
            match (told, allowed(pass, flushed[slot][index], binding.elem, got, spreads)) {
                (Some(told), other) if got.is_some_and(|word| !meets(word, told)) => Some((index, other?)),
                _ => Some((index, told)),
            }
        });
        let compared = compare_operand(kernel, slot, &before[slot], after, expected, pass == Pass::Exact);
        result.elements += compared.elements;
        if pass == Pass::Rounding {
            result.health.merge(compared.health);
        }
        if let Some(worst) = compared.worst {
            if !(worst.percent <= 100.0) && wrong.is_none() {
                wrong = Some(worst.clone());
            }
            if result.worst.is_none() || !(worst.percent <= result.percent) {
                result.percent = worst.percent;
                result.worst = Some(worst);
            }
        }
        changed = changed.or(compared.changed.map(|index| Failure::Changed { binding: binding.name.into(), index }));
    }
    if let Some(worst) = wrong {
        return Some(if pass == Pass::Exact { Failure::NotExact(worst) } else { Failure::Wrong(worst) });
    }
    changed.or_else(|| stray_write(kernel, before, &runs[0])).or_else(|| unrepeatable(kernel, runs))
}

/// The requirement of a pass on an element for which the reference gives `eval`: `None` if there is nothing to compare,
/// because the value and `got` are both non-finite (which infinity or NaN it is depends on the order of sums), because
/// padding `spreads` non-finite values, or because no finite bound is known.
fn allowed(pass: Pass, eval: Option<Eval>, elem: Elem, got: Option<u32>, spreads: bool) -> Option<Option<Eval>> {
    let Some(e) = eval.filter(|_| pass.special() && elem == Elem::F32) else { return Some(eval) };
    let lost = pass == Pass::Extreme && got.is_some_and(|word| !f32::from_bits(word).is_finite());
    match (e.value.is_finite(), e.bound.is_finite()) {
        (true, _) if lost && spreads => None,
        (true, true) => Some(eval),
        (true, false) => None,
        (false, _) if lost => None,
        (false, _) => Some(eval),
    }
}

/// Whether an f32 word is within the allowed bound.
fn meets(word: u32, allowed: Eval) -> bool {
    distance(f32::from_bits(word) as f64, allowed.value, allowed.bound).1 <= 100.0
}

/// The operands of reals with 0 for subnormal numbers, as a device may read them.
fn flushed(repro: &Repro, inputs: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let read = |word: &u32| if f32::from_bits(*word).is_subnormal() { word & 1 << 31 } else { *word };
    let bindings = repro.kernel.bindings().iter().zip(inputs);
    bindings
        .map(|(b, words)| if b.elem == Elem::F32 { words.iter().map(read).collect() } else { words.clone() })
        .collect()
}

/// The result of [`compare`].
pub(super) struct Compared {
    pub elements: usize,
    pub worst: Option<Worst>,
    pub health: Health,
    /// The first element that changed although the launch must not write it.
    pub changed: Option<usize>,
}

/// Compares elements of one read-write binding with the reference. `exact` requires equality with the value rounded to
/// f32.
pub(super) fn compare_operand(
    kernel: &dyn AnyKernel,
    slot: usize,
    before: &[u32],
    after: &[u32],
    expected: impl IntoIterator<Item = (usize, Option<Eval>)>,
    exact: bool,
) -> Compared {
    let binding = &kernel.bindings()[slot];
    let mut found = Compared { elements: 0, worst: None, health: Health::default(), changed: None };
    let mut rank = -1.0;
    for (index, eval) in expected {
        let Some(eval) = eval else {
            if before[index] != after[index] && found.changed.is_none() {
                found.changed = Some(index);
            }
            continue;
        };
        found.elements += 1;
        let (got, value, bound) = match binding.elem {
            Elem::U32 => (after[index] as f64, eval.value, eval.bound),
            Elem::F32 if exact || eval.bound == 0.0 => {
                (f32::from_bits(after[index]) as f64, eval.value as f32 as f64, 0.0)
            }
            Elem::F32 => (f32::from_bits(after[index]) as f64, eval.value, eval.bound),
        };
        let (err, percent) = distance(got, value, bound);
        if bound > 0.0 {
            found.health.add(percent / 100.0, eval.roundings());
        }
        if percent > rank {
            rank = percent;
            let binding = binding.name.to_string();
            found.worst = Some(Worst { binding, index, got, expected: value, err, bound, percent });
        }
    }
    found
}

/// |got - expected| and the percentage of `bound` that it uses. An expected NaN or the same infinity is no error; any
/// other NaN exceeds every bound. An infinite bound, as for an infinite value, only allows equality.
pub fn distance(got: f64, expected: f64, bound: f64) -> (f64, f64) {
    if got == expected || (got.is_nan() && expected.is_nan()) {
        return (0.0, 0.0);
    }
    let err = (got - expected).abs();
    if err <= bound && bound.is_finite() { (err, 100.0 * err / bound) } else { (err, over(100.0 * err / bound)) }
}

/// The percentage of an exceeded bound: above 100 for any arithmetic result (NaN, 0/0, rounding to 100).
fn over(percent: f64) -> f64 {
    if percent > 100.0 { percent } else { f64::INFINITY }
}

fn stray_write(kernel: &dyn AnyKernel, before: &[Vec<u32>], after: &Banded) -> Option<Failure> {
    for (slot, binding) in kernel.bindings().iter().enumerate() {
        let len = before[slot].len();
        let sent = banded(slot, &before[slot]);
        let stray = (0..GUARD).chain(GUARD + len..len + 2 * GUARD).find(|i| sent[*i] != after[slot][*i]);
        if let Some(at) = stray {
            return Some(Failure::Guard { binding: binding.name.into(), offset: at as i64 - GUARD as i64 });
        }
    }
    None
}

fn unrepeatable(kernel: &dyn AnyKernel, runs: &[Banded]) -> Option<Failure> {
    for run in runs.iter().skip(1) {
        for (slot, binding) in kernel.bindings().iter().enumerate() {
            let differs = run[slot].iter().zip(&runs[0][slot]).position(|(a, b)| a != b);
            if let Some(at) = differs {
                return Some(Failure::NotRepeatable { binding: binding.name.into(), offset: at as i64 - GUARD as i64 });
            }
        }
    }
    None
}
