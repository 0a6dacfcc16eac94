//! Convolutions and transposed convolutions with their gradients.
//!
//! With a "large" and a "small" side, conv2d maps large to small and conv_transpose2d small to large; the data gradient
//! of either is the other, the weight gradient contracts both. PyTorch's weights are `[small channels][large
//! channels][k][k]` for both: OIHW of a convolution, IOHW of a transposed one.

use super::approx::{Approx, depth};
use super::case::MOST_ELEMENTS;
use super::lab::{Computed, Lab, channels_last, channels_second};
use super::{Case, GoldenTensor};
use crate::Result;
use crate::exec::Tensor;
use crate::kernels::nn::conv::ConvParams;
use crate::kernels::nn::conv2d_weight_grad::Conv2dWeightGrad;
use crate::kernels::{Params, gamma};

/// Maximum products of a convolution: a few seconds in f64.
const MOST_PRODUCTS: usize = 1 << 30;

/// A checked problem: [`ConvParams`] with one client, and the PyTorch shapes of its three tensors.
struct Problem {
    p: ConvParams,
    transposed: bool,
    large: [usize; 4],
    weight: [usize; 4],
    small: [usize; 4],
}

impl Problem {
    fn read(case: &Case) -> Result<Problem> {
        let transposed = case.op.starts_with("conv_transpose2d");
        let (_, x) = case.ranked::<4>("x", "NCHW")?;
        let (_, w) = case.ranked::<4>("w", if transposed { "IOHW" } else { "OIHW" })?;
        if w[2] != w[3] || w[2] > 7 {
            return Err(case.malformed(format!("`in.w` has a {} x {} kernel, must be square, 1 to 7", w[2], w[3])));
        }
        let (channels, side) = if transposed { (w[0], "first") } else { (w[1], "second") };
        if channels != x[1] {
            let what = format!("`in.w` has shape {w:?}, its {side} dimension must be the {} channels of `in.x`", x[1]);
            return Err(case.malformed(what));
        }
        let (k, stride) = (w[2] as u32, case.whole("stride", 1, 2)?);
        let pad = case.whole("padding", 0, k - 1)?;
        let side = |side: usize| {
            let side = u32::try_from(side).ok()?;
            if transposed {
                ConvParams::large_side(side, k, stride, pad)
            } else {
                ConvParams::small_side(side, k, stride, pad)
            }
        };
        let (Some(h), Some(wide)) = (side(x[2]), side(x[3])) else {
            return Err(case.malformed(format!("a {k} x {k} kernel with padding {pad} has no output for {x:?}")));
        };
        let y = [x[0], if transposed { w[1] } else { w[0] }, h as usize, wide as usize];
        let (large, small) = if transposed { (y, x) } else { (x, y) };
        let words = |s: [usize; 4]| s.iter().try_fold(1usize, |n, side| n.checked_mul(*side)).unwrap_or(usize::MAX);
        if let Some(big) = [large, w, small].into_iter().find(|s| words(*s) > MOST_ELEMENTS) {
            return Err(case.malformed(format!("a tensor of shape {big:?} exceeds {MOST_ELEMENTS} elements")));
        }
        let products = words(small).saturating_mul(large[1]).saturating_mul(w[2] * w[3]);
        if products > MOST_PRODUCTS {
            return Err(case.malformed(format!("{products} products, at most {MOST_PRODUCTS} are computed")));
        }
        let sides = |s: [usize; 4]| [s[2] as u32, s[3] as u32, s[1] as u32];
        let p = ConvParams::new(1, x[0] as u32, sides(large), sides(small), k, stride, pad);
        Ok(Problem { p, transposed, large, weight: w, small })
    }

    fn y_shape(&self) -> [usize; 4] {
        if self.transposed { self.large } else { self.small }
    }

    /// Calls `f(large, weight, small)` with the three flat PyTorch indices of every product.
    fn walk(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([n, ci, h, w], [_, co, oh, ow], k) = (self.large, self.small, self.p.k as usize);
        let (stride, pad) = (self.p.stride as usize, self.p.pad as usize);
        for (image, o, oy, ox) in
            (0..n * co * oh * ow).map(|i| (i / ow / oh / co, i / ow / oh % co, i / ow % oh, i % ow))
        {
            let small = ((image * co + o) * oh + oy) * ow + ox;
            for (ky, kx) in (0..k * k).map(|t| (t / k, t % k)) {
                let (y, x) = (oy * stride + ky, ox * stride + kx);
                if y < pad || x < pad || y - pad >= h || x - pad >= w {
                    continue;
                }
                for i in 0..ci {
                    f(((image * ci + i) * h + y - pad) * w + x - pad, ((o * ci + i) * k + ky) * k + kx, small);
                }
            }
        }
    }
}

/// Sum of the terms, of |terms|, and their number, for each element of a result.
struct Sums(Vec<(f64, f64, usize)>);

impl Sums {
    fn new(shape: [usize; 4]) -> Self {
        Sums(vec![(0.0, 0.0, 0); shape.iter().product()])
    }
    fn add(&mut self, at: usize, term: f64) {
        let (sum, scale, n) = &mut self.0[at];
        (*sum, *scale, *n) = (*sum + term, *scale + term.abs(), *n + 1);
    }
    /// With gamma(K + 1) sum|terms|, and the possible loss through flushed subnormal terms.
    fn values(&self) -> Vec<Approx> {
        let flush = f64::from(f32::MIN_POSITIVE);
        let bound = |scale: f64, n: usize| gamma(n + 1) * scale + (n + 1) as f64 * flush;
        self.0.iter().map(|(sum, scale, n)| Approx::new(*sum, bound(*scale, *n))).collect()
    }
}

/// conv2d, conv_transpose2d.
pub fn forward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let problem = Problem::read(case)?;
    let (x, w) = (case.input("x")?, case.input("w")?);
    let shape = problem.y_shape();
    let y = lab.room(shape.iter().product())?;
    let xt = lab.put(&channels_last(&x.f32(), if problem.transposed { problem.small } else { problem.large }))?;
    let wt = lab.put(&channels_last(&w.f32(), problem.weight))?;
    let row = lab.kernel(if problem.transposed { "conv_transpose2d" } else { "conv2d" })?;
    lab.launch_words(row, problem.p.words(), &[xt, wt, y])?;
    let mut sums = Sums::new(shape);
    problem.walk(|l, w_at, s| {
        let (from, to) = if problem.transposed { (s, l) } else { (l, s) };
        sums.add(to, x.values[from] * w.values[w_at]);
    });
    if case.inputs.contains_key("b") {
        let b = case.shaped("b", &[shape[1]])?;
        let plane = shape[2] * shape[3];
        (0..sums.0.len()).for_each(|i| sums.add(i, b.values[i / plane % shape[1]]));
        let bt = lab.put(&b.f32())?;
        bias_add(lab, bt, y, shape)?;
    }
    lab.run()?;
    let got = channels_second(&lab.get(y)?, shape);
    Ok(vec![Computed::known("y", &shape, got, sums.values())])
}

/// conv2d_backward, conv_transpose2d_backward.
pub fn backward(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let problem = Problem::read(case)?;
    let shape = problem.y_shape();
    let (x, w, dy) = (case.input("x")?, case.input("w")?, case.shaped("dy", &shape)?);
    let x_shape = if problem.transposed { problem.small } else { problem.large };
    let xt = lab.put(&channels_last(&x.f32(), x_shape))?;
    let wt = lab.put(&channels_last(&w.f32(), problem.weight))?;
    let dyt = lab.put(&channels_last(&dy.f32(), shape))?;
    let dx = lab.room(x.values.len())?;
    let row = lab.kernel(if problem.transposed { "conv2d" } else { "conv_transpose2d" })?;
    lab.launch_words(row, problem.p.words(), &[dyt, wt, dx])?;
    let dw = lab.room(w.values.len())?;
    let (large, small) = if problem.transposed { (dyt, xt) } else { (xt, dyt) };
    weight_grad(lab, problem.p, [large, small, dw])?;
    let db = lab.room(shape[1])?;
    if case.expected.contains_key("db") {
        channel_sum(lab, dyt, db, shape)?;
    }
    lab.run()?;
    let (mut dx_sums, mut dw_sums) = (Sums::new(x_shape), Sums::new(problem.weight));
    problem.walk(|l, w_at, s| {
        let (x_at, dy_at) = if problem.transposed { (s, l) } else { (l, s) };
        dx_sums.add(x_at, dy.values[dy_at] * w.values[w_at]);
        dw_sums.add(w_at, dy.values[dy_at] * x.values[x_at]);
    });
    let dx = channels_second(&lab.get(dx)?, x_shape);
    let dw = channels_second(&lab.get(dw)?, problem.weight);
    Ok(vec![
        Computed::known("dx", &x_shape, dx, dx_sums.values()),
        Computed::known("dw", &problem.weight, dw, dw_sums.values()),
        Computed::known("db", &[shape[1]], lab.get(db)?, bias_sums(dy, shape)),
    ])
}

/// The sum of dy for each channel.
fn bias_sums(dy: &GoldenTensor, [n, c, h, w]: [usize; 4]) -> Vec<Approx> {
    let mut sums = vec![(0.0, 0.0); c];
    for (i, v) in dy.values.iter().enumerate() {
        let (sum, scale) = &mut sums[i / (h * w) % c];
        (*sum, *scale) = (*sum + v, *scale + v.abs());
    }
    let bound = |scale: f64| gamma(depth(n * h * w) + 1) * scale + f64::from(f32::MIN_POSITIVE);
    sums.into_iter().map(|(sum, scale)| Approx::new(sum, bound(scale))).collect()
}

/// y += b.
fn bias_add(lab: &mut Lab, b: Tensor, y: Tensor, [n, c, h, w]: [usize; 4]) -> Result<()> {
    let (rows, c) = ((n * h * w) as f64, c as f64);
    let params = [("clients", 1.0), ("rows", rows), ("c", c), ("y_stride", rows * c), ("b_stride", c)];
    lab.launch("bias_add", &params, &[b, y])
}

/// y = sum of x over images and pixels.
fn channel_sum(lab: &mut Lab, x: Tensor, y: Tensor, [n, c, h, w]: [usize; 4]) -> Result<()> {
    let (rows, c) = ((n * h * w) as f64, c as f64);
    let params =
        [("clients", 1.0), ("rows", rows), ("c", c), ("x_stride", rows * c), ("y_stride", c), ("accumulate", 0.0)];
    lab.launch("channel_sum", &params, &[x, y])
}

/// dw, in as many parts as in a training step of one client.
fn weight_grad(lab: &mut Lab, p: ConvParams, [large, small, dw]: [Tensor; 3]) -> Result<()> {
    let (row, splits, n) = (lab.kernel("conv2d_weight_grad")?, Conv2dWeightGrad::splits(&p, 1), p.weights());
    if splits == 1 {
        return lab.launch_words(row, p.words(), &[large, small, dw]);
    }
    let parts = lab.room((splits * n) as usize)?;
    lab.launch_words(row, ConvParams { splits, ..p }.words(), &[large, small, parts])?;
    let (splits, n) = (splits as f64, n as f64);
    let params = [
        ("clients", 1.0),
        ("splits", splits),
        ("n", n),
        ("x_stride", splits * n),
        ("y_stride", n),
        ("accumulate", 0.0),
    ];
    lab.launch("split_sum", &params, &[parts, dw])
}
