//! Devices that read subnormal numbers as 0, as WGSL allows, must pass every row.

use crate::Result;
use crate::check::fill::Style;
use crate::check::{Checker, Options, PreparedCase, Repro};
use crate::exec::{Engine, Purpose, Recording, ReferenceEngine};
use crate::kernels::{Access, CATALOGUE, Elem, Inputs};

/// The reference on operands and results in which numbers below `least` are 0.
struct Flushing {
    inner: ReferenceEngine,
    least: f32,
}

impl Engine for Flushing {
    crate::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        let [launch] = recording.launches() else { panic!("a case is one launch") };
        let read = |word: &u32| match f32::from_bits(*word).abs() < self.least {
            true => word & 1 << 31,
            false => *word,
        };
        let raw: Vec<Vec<u32>> =
            launch.args.iter().map(|arg| self.inner.read(*arg, Purpose::Check)).collect::<Result<_>>()?;
        let bindings = launch.kernel.bindings();
        let reals = || bindings.iter().enumerate().filter(|(_, b)| b.elem == Elem::F32);
        for (slot, _) in reals() {
            self.inner.write(launch.args[slot], &raw[slot].iter().map(read).collect::<Vec<_>>())?;
        }
        self.inner.run(recording, times)?;
        let inputs = Inputs(raw.iter().map(Vec::as_slice).collect());
        for (slot, binding) in reals() {
            let mut words = self.inner.read(launch.args[slot], Purpose::Check)?;
            for (i, word) in words.iter_mut().enumerate() {
                let written =
                    binding.access == Access::ReadWrite && launch.kernel.at(&launch.params, &inputs, slot, i).is_some();
                *word = if written { read(word) } else { raw[slot][i] };
            }
            self.inner.write(launch.args[slot], &words)?;
        }
        Ok(())
    }
}

/// The cases that fail on a device that reads numbers below `least` as 0.
fn failures(least: f32) -> Vec<String> {
    let mut engine = Flushing { inner: ReferenceEngine::new(), least };
    let mut failed = Vec::new();
    for kernel in CATALOGUE {
        let mut cases = Repro::cases(*kernel);
        cases.sort_by(|a, b| kernel.cost(&a.params).bytes.total_cmp(&kernel.cost(&b.params).bytes));
        for repro in cases.into_iter().take(3) {
            for style in Style::ALL {
                let case = PreparedCase::new(&Repro { style, ..repro.clone() }, Options::default()).unwrap();
                let result = Checker::new(&mut engine).prepared(&case);
                if !result.passed() {
                    failed.push(format!("{}: {:?}", result.repro, result.verdict));
                }
            }
        }
    }
    failed
}

#[test]
fn devices_that_flush_subnormal_numbers_pass_and_those_that_flush_more_do_not() {
    let failed = failures(f32::MIN_POSITIVE);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(failures(1e-6).len() > 20);
}
