//! The mean over a batch.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, few_bits, flushed, gamma,
    linear_grid, product, split, strided,
};

crate::params! {
    /// Parameters of [`BatchMean`].
    pub struct BatchMeanParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        batch: u32 in Count,
        /// Elements of an image.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// 1 adds to the old `y`, 0 starts from 0.
        accumulate: u32 in Range(0, 1),
        /// Factor of the sum: 1 / images for a mean.
        scale: f32 in Real(-1.0, 1.0),
    }
}

/// `y[c, i] = (accumulate ? y[c, i] : 0) + scale sum_b x[c, b, i]`: every client's mean image, over several batches if it
/// accumulates.
pub struct BatchMean;

impl Kernel for BatchMean {
    type Params = BatchMeanParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "fed/batch_mean";
    const FORMULA: &'static str = "y[c, i] = [y[c, i] +] scale sum_b x[c, b, i]";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][batch][n], client stride x_stride"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &BatchMeanParams) -> Result<[usize; 2], String> {
        if p.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", p.accumulate));
        }
        if p.batch > MAX_GROUPS {
            // One invocation adds all images, and a software driver ends its loop soon after this number.
            return Err(format!("{} images: at most {MAX_GROUPS}", p.batch));
        }
        let images = product("x", &[p.batch, p.n])?;
        Ok([strided(p.clients, p.x_stride, images)?, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &BatchMeanParams, _class: Class) -> Build {
        Build::plain("fed/batch_mean.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &BatchMeanParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: (p.batch as f64 + 1.0) * n, bytes: 4.0 * n * (p.batch as f64 + 1.0) }
    }
    fn at(&self, p: &BatchMeanParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i >= p.n as usize {
            return None;
        }
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for b in 0..p.batch as usize {
            let x = inputs.f(0, c * p.x_stride as usize + b * p.n as usize + i);
            sum += x;
            magnitude += x.abs();
        }
        let before = if p.accumulate == 1 { inputs.f(1, index) } else { 0.0 };
        let scale = p.scale as f64;
        let bound = gamma(p.batch as usize + 2) * (magnitude * scale.abs() + before.abs())
            + p.batch as f64 * flushed(&[scale, magnitude]);
        Some(Eval::within(before + scale * sum, bound).over(p.batch as usize + 2))
    }
    fn cases(&self) -> Vec<BatchMeanParams> {
        let p = BatchMeanParams { clients: 1, batch: 1, n: 1, x_stride: 64, y_stride: 64, accumulate: 0, scale: 1.0 };
        vec![
            p,
            BatchMeanParams { clients: 3, batch: 32, n: 257, x_stride: 8256, y_stride: 320, scale: 0.03125, ..p },
            BatchMeanParams { clients: 2, batch: 7, n: 300, x_stride: 2112, y_stride: 384, accumulate: 1, scale: 0.25 },
            // The mean of 63 images is always rounded.
            BatchMeanParams { clients: 2, batch: 63, n: 3, x_stride: 256, accumulate: 1, scale: 1.0 / 63.0, ..p },
        ]
    }
    fn contents(&self, p: &BatchMeanParams) -> [Contents; 2] {
        [Contents::NORMAL, if p.accumulate == 1 { Contents::NORMAL } else { Contents::Nan }]
    }
    fn exact_on_integers(&self, p: &BatchMeanParams) -> bool {
        few_bits(p.scale)
    }
}
