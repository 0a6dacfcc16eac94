//! Corrupts correct results, for every row of the catalogue: the comparison must detect each fault.

use super::faulty::Faulty;
use crate::check::fill::{Pass, is_nan_word};
use crate::check::run::{GUARD, Trial};
use crate::check::{Checker, Options, PreparedCase, Repro};
use crate::kernels::{Access, AnyKernel, CATALOGUE, Elem};
use std::collections::BTreeMap;

/// The fault in one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// A NaN in the middle.
    Nan,
    /// The last written element keeps its old value.
    Untouched,
    /// All elements keep their old values.
    Stale,
    /// The first written element is another number.
    First,
    /// The last written element is another number.
    Last,
    /// Clients 0 and 1 are exchanged.
    SwappedClients,
    /// All elements 1 % too large.
    Scale,
}

const FAULTS: [Fault; 7] =
    [Fault::Nan, Fault::Untouched, Fault::Stale, Fault::First, Fault::Last, Fault::SwappedClients, Fault::Scale];

/// One output of one pass of a case.
struct Output<'a> {
    elem: Elem,
    pass: Pass,
    before: &'a [u32],
    /// The elements that the launch writes.
    written: Vec<usize>,
    /// Words from client to client, if there are several.
    stride: Option<usize>,
}

impl<'a> Output<'a> {
    fn new(repro: &Repro, trial: &'a Trial, slot: usize) -> Self {
        let written: Vec<usize> =
            (0..trial.expected[slot].len()).filter(|i| trial.expected[slot][*i].is_some()).collect();
        let binding = &repro.kernel.bindings()[slot];
        let stride = stride(repro, trial.inputs[slot].len());
        Output { elem: binding.elem, pass: trial.pass, before: &trial.inputs[slot], written, stride }
    }

    /// Applies `fault` to correct words; true if that changed any.
    fn apply(&self, fault: Fault, words: &mut [u32]) -> bool {
        let right = words.to_vec();
        let (first, last) = (self.written[0], self.written[self.written.len() - 1]);
        let other = |word: u32| match self.elem {
            Elem::U32 => word.wrapping_add(1),
            Elem::F32 => (2.0 * f32::from_bits(word) + 1.0).to_bits(),
        };
        match (fault, self.elem) {
            (Fault::Nan, Elem::F32) => words[self.written[self.written.len() / 2]] = f32::NAN.to_bits(),
            (Fault::Untouched, _) => words[last] = self.before[last],
            (Fault::Stale, _) => self.written.iter().for_each(|i| words[*i] = self.before[*i]),
            (Fault::First, _) => words[first] = other(words[first]),
            (Fault::Last, _) => words[last] = other(words[last]),
            (Fault::Scale, Elem::F32) => {
                self.written.iter().for_each(|i| words[*i] = (f32::from_bits(words[*i]) * 1.01).to_bits());
            }
            (Fault::SwappedClients, _) => {
                if let Some(stride) = self.stride {
                    let here = |i: usize| i < stride && i + stride < words.len();
                    let row: Vec<usize> = self.written.iter().copied().filter(|i| here(*i)).collect();
                    row.into_iter().for_each(|i| words.swap(i, i + stride));
                }
            }
            (Fault::Nan | Fault::Scale, Elem::U32) => {}
        }
        // Replacing NaN by NaN changes nothing, but integers only look like NaN. Among non-finite values a result may
        // be any of them, except the one from before the launch.
        let nan = |word: u32| self.elem == Elem::F32 && f32::from_bits(word).is_nan();
        let open = |word: u32| {
            self.pass == Pass::Extreme
                && self.elem == Elem::F32
                && !f32::from_bits(word).is_finite()
                && !is_nan_word(word)
        };
        let same = |a: u32, b: u32| a == b || nan(a) && nan(b) || open(a) && open(b);
        words.iter().zip(&right).any(|(a, b)| !same(*a, *b))
    }
}

/// The client stride of an operand of `extent` words: the stride parameter that divides it into as many pieces as there
/// are clients.
fn stride(repro: &Repro, extent: usize) -> Option<usize> {
    let value = |i: usize| repro.params[i] as usize;
    let fields = repro.kernel.fields();
    let clients = fields.iter().position(|f| f.name == "clients").map(value).filter(|c| *c > 1)?;
    let strides = (0..fields.len()).filter(|i| fields[*i].name.ends_with("stride")).map(value);
    strides.filter(|s| *s > 1).find(|s| extent.div_ceil(*s) == clients)
}

/// The cheapest case, and the cheapest with several clients.
fn cases(kernel: &'static dyn AnyKernel) -> Vec<Repro> {
    let mut all = Repro::cases(kernel);
    all.sort_by(|a, b| kernel.cost(&a.params).bytes.total_cmp(&kernel.cost(&b.params).bytes));
    let clients = kernel.fields().iter().position(|f| f.name == "clients");
    let several = all.iter().position(|r| clients.is_some_and(|at| r.params[at] > 1));
    let mut picked = vec![0];
    picked.extend(several.filter(|at| *at != 0));
    picked.into_iter().map(|at| all[at].clone()).collect()
}

/// Runs `case` with `fault` in output `slot` from pass `pass` on: whether anything changed, and whether it was
/// detected.
fn found(case: &PreparedCase, pass: usize, slot: usize, fault: Fault) -> (bool, bool) {
    let operands = case.repro().kernel.bindings().len();
    let output = Output::new(case.repro(), &case.trials[pass], slot);
    let mut changed = false;
    let mut engine = Faulty::new(|read: usize, words: &mut [u32]| {
        // All operands are read after each of the two runs of a pass.
        if read % operands == slot && read / (2 * operands) == pass {
            let end = words.len() - GUARD;
            changed |= output.apply(fault, &mut words[GUARD..end]);
        }
    });
    let passed = Checker::new(&mut engine).prepared(case).passed();
    (changed, !passed)
}

#[test]
fn every_row_finds_wrong_results() {
    let mut missed = Vec::new();
    let (mut swapped, mut of_clients) = (0, 0);
    for kernel in CATALOGUE {
        let mut tried: BTreeMap<Fault, usize> = BTreeMap::new();
        for repro in cases(*kernel) {
            let case = PreparedCase::new(&repro, Options::default()).unwrap();
            for (slot, binding) in kernel.bindings().iter().enumerate().filter(|(_, b)| b.access == Access::ReadWrite) {
                for (pass, trial) in case.trials.iter().enumerate() {
                    if trial.expected[slot].iter().all(Option::is_none) {
                        continue;
                    }
                    // One per cent of a subnormal number is within what a device may flush, and padding that meets
                    // infinities may spread NaN.
                    let spreads = !kernel.meets_padding(&repro.params).is_empty();
                    let hidden =
                        |f: &Fault| trial.pass == Pass::Extreme && (*f == Fault::Scale || *f == Fault::Nan && spreads);
                    let faults = FAULTS.iter().filter(|f| !hidden(f));
                    for fault in faults.copied() {
                        let (changed, found) = found(&case, pass, slot, fault);
                        *tried.entry(fault).or_default() += changed as usize;
                        if changed != found {
                            missed.push(format!("{repro}: {fault:?} in {} ({:?})", binding.name, trial.pass));
                        }
                    }
                }
            }
        }
        let outputs = kernel.bindings().iter().filter(|b| b.access == Access::ReadWrite);
        of_clients += usize::from(outputs.into_iter().any(|b| b.doc.starts_with("[clients]")));
        swapped += tried.get(&Fault::SwappedClients).is_some_and(|n| *n > 0) as usize;
        for fault in [Fault::Untouched, Fault::Stale, Fault::First, Fault::Last] {
            assert!(tried.get(&fault).is_some_and(|n| *n > 0), "{}: {fault:?} never changed a result", kernel.name());
        }
    }
    // Except where all clients get the same values.
    assert!(
        of_clients > 40 && swapped * 10 >= of_clients * 9,
        "clients swapped in {swapped} of {of_clients} rows only"
    );
    assert!(missed.is_empty(), "not found:\n{}", missed.join("\n"));
}
