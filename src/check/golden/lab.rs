//! The workspace of a golden case: operands on an engine, launches by kernel name, results with their bounds.

use super::approx::Approx;
use crate::check::fill::nan_word;
use crate::check::repro::params_by_name;
use crate::exec::{Engine, Purpose, Recording, Tensor, align, read_f32, write_f32};
use crate::kernels::{self, AnyKernel};
use crate::{Error, Result};

/// The rule by which an expected tensor is compared.
#[derive(Clone, Debug)]
pub enum Rule {
    /// One bound for each element.
    Each(Vec<f64>),
    /// Values in f64, each with its bound: expected tensors in f64 are also compared with them.
    Known(Vec<Approx>),
    /// Equal bits.
    Equal,
    /// |difference| <= this times max(1, |expected|), element by element.
    Close(f64),
    /// L2 norm of the difference <= this times the expected tensor's.
    RelativeL2(f64),
    /// L2 norm of the difference <= share times the norm of (expected - before) + floor times the expected norm, at most
    /// cap times the expected norm.
    Update {
        /// The tensor before the update.
        before: Vec<f64>,
        /// Allowed share of the update.
        share: f64,
        /// Additional allowed share of the expected tensor.
        floor: f64,
        /// Largest share of the expected tensor.
        cap: f64,
    },
}

/// A result in the layout of the case's file.
#[derive(Clone, Debug)]
pub struct Computed {
    /// Name without `out.`.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Values.
    pub got: Vec<f32>,
    /// The rule of the comparison.
    pub rule: Rule,
}

impl Computed {
    /// A result with a bound for each element.
    pub fn each(name: &str, shape: &[usize], got: Vec<f32>, bounds: Vec<f64>) -> Self {
        Computed { name: name.into(), shape: shape.to_vec(), got, rule: Rule::Each(bounds) }
    }

    /// A result whose values are known in f64.
    pub fn known(name: &str, shape: &[usize], got: Vec<f32>, values: Vec<Approx>) -> Self {
        Computed { name: name.into(), shape: shape.to_vec(), got, rule: Rule::Known(values) }
    }
}

/// Operands and launches of one case; everything is recorded first, then run once by [`Lab::run`].
pub struct Lab<'e> {
    /// The engine under test.
    pub engine: &'e mut dyn Engine,
    recording: Recording,
    label: String,
}

impl<'e> Lab<'e> {
    /// An empty workspace; `label` names the case in errors.
    pub fn new(engine: &'e mut dyn Engine, label: impl Into<String>) -> Self {
        Lab { engine, recording: Recording::new(), label: label.into() }
    }

    /// Uploads values.
    ///
    /// # Errors
    /// When the device fails.
    pub fn put(&mut self, values: &[f32]) -> Result<Tensor> {
        let tensor = self.engine.alloc(&self.label, align(values.len()))?.slice(0, values.len());
        write_f32(self.engine, tensor, values)?;
        Ok(tensor)
    }

    /// Uploads words.
    ///
    /// # Errors
    /// When the device fails.
    pub fn put_words(&mut self, words: &[u32]) -> Result<Tensor> {
        self.put(bytemuck::cast_slice(words))
    }

    /// Space for a result, filled with NaN words that encode their position: elements that no launch writes fail, even
    /// if a file expects NaN.
    ///
    /// # Errors
    /// When the device fails.
    pub fn room(&mut self, words: usize) -> Result<Tensor> {
        self.put_words(&(0..words).map(nan_word).collect::<Vec<u32>>())
    }

    /// The catalogue row with that name.
    ///
    /// # Errors
    /// States that it is not built.
    pub fn kernel(&self, name: &str) -> Result<&'static dyn AnyKernel> {
        kernels::find(name).ok_or_else(|| Error::input(format!("{}: kernel `{name}` is not built yet", self.label)))
    }

    /// Records a launch with parameters by name.
    ///
    /// # Errors
    /// When the row does not know the parameters or rejects them.
    pub fn launch(&mut self, kernel: &str, params: &[(&str, f64)], args: &[Tensor]) -> Result<()> {
        let kernel = self.kernel(kernel)?;
        let words = params_by_name(kernel, params).map_err(|e| Error::input(format!("{}: {e}", self.label)))?;
        self.launch_words(kernel, words, args)
    }

    /// Records a launch. If the row's shape rule rejects it, the case is malformed.
    ///
    /// # Errors
    /// As [`Recording::launch_words`].
    pub fn launch_words(&mut self, kernel: &'static dyn AnyKernel, words: Vec<u32>, args: &[Tensor]) -> Result<()> {
        kernel.extents(&words).map_err(|what| Error::input(format!("{}: {what}", self.label)))?;
        self.recording.launch_words(kernel, words, args, self.label.clone())
    }

    /// Runs the recorded launches.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&mut self) -> Result<()> {
        self.engine.run(&self.recording, 1)?;
        self.engine.finish()?;
        self.engine.forget(&self.recording);
        self.recording = Recording::new();
        Ok(())
    }

    /// Downloads values.
    ///
    /// # Errors
    /// When the device fails.
    pub fn get(&mut self, tensor: Tensor) -> Result<Vec<f32>> {
        read_f32(self.engine, tensor, Purpose::Check)
    }
}

/// Permutes the dimensions of a tensor: dimension i of the result is dimension `order[i]` of `values`.
pub fn permute<T: Copy>(values: &[T], shape: [usize; 4], order: [usize; 4]) -> Vec<T> {
    let strides = [shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1];
    let [a, b, c, d] = order.map(|side| (shape[side], strides[side]));
    let mut out = Vec::with_capacity(values.len());
    for i in 0..a.0 {
        for j in 0..b.0 {
            for k in 0..c.0 {
                out.extend((0..d.0).map(|l| values[i * a.1 + j * b.1 + k * c.1 + l * d.1]));
            }
        }
    }
    out
}

/// `[N][C][H][W]` to `[N][H][W][C]`, and `[O][I][kh][kw]` to `[O][kh][kw][I]`.
pub fn channels_last<T: Copy>(values: &[T], shape: [usize; 4]) -> Vec<T> {
    permute(values, shape, [0, 2, 3, 1])
}

/// The inverse: `shape` is that of the result, channels second.
pub fn channels_second<T: Copy>(values: &[T], shape: [usize; 4]) -> Vec<T> {
    permute(values, [shape[0], shape[2], shape[3], shape[1]], [0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_permutations_are_inverse() {
        let shape = [2, 3, 4, 5];
        let x: Vec<u32> = (0..120).collect();
        let moved = channels_last(&x, shape);
        // Element `[1][h=2][w=3][c=1]` of the permuted tensor is `[1][c=1][h=2][w=3]`.
        assert_eq!(moved[((4 + 2) * 5 + 3) * 3 + 1], (((3 + 1) * 4 + 2) * 5 + 3) as u32);
        assert_eq!(channels_second(&moved, shape), x);
    }
}
