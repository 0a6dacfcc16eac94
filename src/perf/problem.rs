//! An engine with operands for a sequence of launches.

use crate::error::sizes;
use crate::exec::{Engine, Recording, Tensor};
use crate::kernels::{AnyKernel, Contents};
use crate::{Error, Result};

/// Operands repeat after this many words, a prime: drawing hundreds of millions of numbers would take longer than
/// timing.
const PERIOD: usize = 1_048_573;

/// An engine and buffers shared by all problems; each operand slot has its own buffer.
pub struct Bench<E: Engine + ?Sized = dyn Engine> {
    /// The engine.
    pub engine: Box<E>,
    pool: Vec<Tensor>,
}

impl Bench {
    /// Measures on `engine`.
    pub fn new(engine: Box<dyn Engine>) -> Bench {
        Bench { engine, pool: Vec::new() }
    }
}

impl<E: Engine> Bench<E> {
    /// A bench on an engine of a known type.
    pub fn of(engine: E) -> Bench<E> {
        Bench { engine: Box::new(engine), pool: Vec::new() }
    }
}

impl<E: Engine + ?Sized> Bench<E> {
    /// One launch of `kernel` on operands filled as its row declares.
    ///
    /// # Errors
    /// [`Error::Input`] when the shape rule rejects `params`; [`Error::Device`] when an operand is too large.
    pub fn record(&mut self, kernel: &'static dyn AnyKernel, params: &[u32], label: &str) -> Result<Recording> {
        let extents = kernel.extents(params).map_err(|what| Error::input(format!("{}: {what}", kernel.name())))?;
        let most = self.engine.max_binding_words();
        for (binding, extent) in kernel.bindings().iter().zip(&extents) {
            if *extent > most {
                let [needs, has] = sizes(4 * *extent as u64, 4 * most as u64);
                return Err(Error::device(format!("`{}` needs {needs}, one binding holds {has}", binding.name)));
            }
        }
        let mut args = Vec::with_capacity(extents.len());
        for (slot, (fill, extent)) in kernel.contents(params).iter().zip(&extents).enumerate() {
            let tensor = self.buffer(slot, *extent)?;
            self.engine.write(tensor, &words(fill, *extent, slot as u64))?;
            args.push(tensor);
        }
        let mut recording = Recording::new();
        recording.launch_words(kernel, params.to_vec(), &args, label)?;
        Ok(recording)
    }

    /// Buffer `slot` with at least `words` words. Engines never free memory, so buffers grow by doubling.
    fn buffer(&mut self, slot: usize, words: usize) -> Result<Tensor> {
        while self.pool.len() <= slot || self.pool[slot].words < words {
            let next = slot.min(self.pool.len());
            let size = words.next_power_of_two().max(64).min(self.engine.max_binding_words());
            let tensor = self.engine.alloc(&format!("operand {next}"), size)?;
            self.pool.splice(next..(next + 1).min(self.pool.len()), [tensor]);
        }
        Ok(self.pool[slot].slice(0, words))
    }
}

/// `len` words of the kind that `fill` specifies; equal for equal arguments.
pub fn words(fill: &Contents, len: usize, seed: u64) -> Vec<u32> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635;
    let mut bits = || {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 29)
    };
    // The sum of four uniform 16-bit numbers: close enough to normal, and fast.
    let mut normal = || {
        let word = bits();
        let sum: u64 = (0..4).map(|i| (word >> (16 * i)) & 0xffff).sum();
        (sum as f64 / 65536.0 - 2.0) * 3f64.sqrt()
    };
    let n = len.min(PERIOD);
    let block: Vec<u32> = match fill {
        Contents::Real { scale, shift } => (0..n).map(|_| ((normal() * scale + shift) as f32).to_bits()).collect(),
        Contents::Positive { scale } => (0..n).map(|_| (((normal().abs() + 1e-3) * scale) as f32).to_bits()).collect(),
        Contents::Words(table) if table.is_empty() => vec![0],
        Contents::Words(table) => table.clone(),
        Contents::Below(limit) => (0..n).map(|_| (bits() >> 32) as u32 % (*limit).max(1)).collect(),
        Contents::Nan => vec![f32::NAN.to_bits()],
    };
    let mut words = Vec::with_capacity(len);
    while words.len() < len {
        let rest = (len - words.len()).min(block.len());
        words.extend_from_slice(&block[..rest]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{CpuEngine, Purpose};

    #[test]
    fn words_have_their_moments_and_repeat_after_a_period() {
        let values: Vec<f64> = words(&Contents::Real { scale: 2.0, shift: 5.0 }, PERIOD + 10, 3)
            .into_iter()
            .map(|w| f64::from(f32::from_bits(w)))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((mean - 5.0).abs() < 0.02 && (var - 4.0).abs() < 0.05, "mean {mean}, variance {var}");
        assert_eq!(values[..10], values[PERIOD..]);
        assert!(words(&Contents::Below(7), 1000, 1).iter().all(|w| *w < 7));
        assert!(words(&Contents::Positive { scale: 0.1 }, 1000, 1).iter().all(|w| f32::from_bits(*w) > 0.0));
        assert_eq!(words(&Contents::Words(vec![3, 4]), 3, 1), [3, 4, 3]);
        assert_ne!(words(&Contents::NORMAL, 50, 1), words(&Contents::NORMAL, 50, 2));
    }

    #[test]
    fn problems_reuse_buffers_and_refuse_what_does_not_fit() {
        let mut bench = Bench::new(Box::new(CpuEngine::new()));
        let fill = crate::kernels::find("fill").unwrap();
        let params = |n: u32| vec![1, n, n.next_multiple_of(64), 2f32.to_bits()];
        let large = bench.record(fill, &params(5000), "large").unwrap();
        let small = bench.record(fill, &params(10), "small").unwrap();
        assert_eq!(large.launches()[0].args[0].buffer, small.launches()[0].args[0].buffer);
        bench.engine.run(&small, 1).unwrap();
        let y = bench.engine.read(small.launches()[0].args[0], Purpose::Check).unwrap();
        assert_eq!(y, [2f32.to_bits(); 10]);
        assert_eq!(bench.record(fill, &[2, 5, 63, 0], "bad").unwrap_err().exit_code(), 2);
    }
}
