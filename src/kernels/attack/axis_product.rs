//! Products of a table with one axis of images: the transforms of the amplitude attack.

use super::poisoned::{Marks, ORDER, STATE, clip, marks, range};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, product, split,
    strided,
};

crate::params! {
    /// Parameters of [`AxisProduct`].
    pub struct AxisProductParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of each client.
        batch: u32 in Count,
        /// Extent before the axis.
        outer: u32 in Count,
        /// Length of the axis in `x`.
        n: u32 in Count,
        /// Length of the axis in `y`.
        m: u32 in Count,
        /// Extent behind the axis.
        inner: u32 in Count,
        /// Rows of the table, from the first on, that meet `x` itself.
        plain: u32 in Between(|p| [0, p.m]),
        /// Client stride of `order`.
        order_stride: u32 in StrideFrom(|p| p.batch.saturating_mul(3)),
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// 1: adds the sum to `y` and clips; 0: overwrites `y`.
        add: u32 in Range(0, 1),
        /// Lower end of the images' range, for `add`.
        low: f32 in Real(-2.0, 0.0),
        /// Upper end of the images' range, for `add`.
        high: f32 in Real(0.0, 2.0),
    }
}

/// `y[o, m, i] = sum_n table[m, n] (x[o, n, i] - base)` in the images that `order` marks as poisoned (bit 31); the base is 0 for the
/// first `plain` rows of the table and `x[o, 0, i]` for the others, so that a constant line gives 0 there. With `add` the sum is
/// added to y and the result clipped to low..high.
pub struct AxisProduct;

impl Kernel for AxisProduct {
    type Params = AxisProductParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "attack/axis_product";
    const FORMULA: &'static str = "y[o, m, i] = [y +] sum_n table[m, n] (x[o, n, i] - (m < plain ? 0 : x[o, 0, i]))";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::read("x", "[clients][batch][outer][n][inner], client stride x_stride"),
        Binding::read("table", "[m][n]"),
        ORDER,
        STATE,
        Binding::write("y", "[clients][batch][outer][m][inner], client stride y_stride"),
    ];
    fn extents(&self, p: &AxisProductParams) -> Result<[usize; 5], String> {
        if p.add > 1 || p.plain > p.m {
            return Err(format!("add {}, plain {}: at most 1 and m ({})", p.add, p.plain, p.m));
        }
        range(p.low, p.high)?;
        let x = product("batch of x", &[p.batch, p.outer, p.n, p.inner])?;
        let y = product("batch of y", &[p.batch, p.outer, p.m, p.inner])?;
        Ok([
            strided(p.clients, p.x_stride, x)?,
            product("table", &[p.m, p.n])? as usize,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
            strided(p.clients, p.y_stride, y)?,
        ])
    }
    fn build(&self, p: &AxisProductParams, _class: Class) -> Build {
        let grid = linear_grid(p.batch * p.outer * p.m * p.inner, 256, p.clients);
        Build { file: "attack/axis_product.wgsl", consts: vec![("V", 1)], grid }
    }
    fn cost(&self, p: &AxisProductParams) -> Cost {
        let lines = p.clients as f64 * p.batch as f64 * p.outer as f64 * p.inner as f64;
        let (n, m) = (p.n as f64, p.m as f64);
        Cost { flops: 2.0 * lines * n * m, bytes: 4.0 * (lines * (n + m * (1 + p.add) as f64) + n * m) }
    }
    fn at(&self, p: &AxisProductParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.y_stride);
        let [outer, n, m, inner] = [p.outer, p.n, p.m, p.inner].map(|side| side as usize);
        let image = i / (outer * m * inner);
        let marks = Marks { slot: 2, stride: p.order_stride, batch: p.batch };
        if !marks.poisoned(inputs, client, image) {
            return None;
        }
        let (row, line) = (i / inner % m, i / (inner * m));
        let first = client * p.x_stride as usize + line * n * inner + i % inner;
        let base = if row < p.plain as usize { 0.0 } else { inputs.f(0, first) };
        let (mut sum, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for k in 0..n {
            let (t, x) = (inputs.f(1, row * n + k), inputs.f(0, first + k * inner));
            sum += t * (x - base);
            magnitude += t.abs() * (x - base).abs();
            lost += flushed(&[t, x]) + flushed(&[t, base]);
        }
        // A difference, a product and n sums.
        let bound = gamma(n + 2) * magnitude + lost;
        if p.add == 0 {
            return Some(Eval::within(sum, bound).over(n + 2));
        }
        let y = inputs.f(4, index);
        let bound = bound + gamma(1) * ((y + sum).abs() + bound) + flushed(&[y]);
        let (value, bound) = clip(y + sum, bound, p.low, p.high);
        Some(Eval::within(value, bound).over(n + 3))
    }
    fn cases(&self) -> Vec<AxisProductParams> {
        let p =
            AxisProductParams { clients: 2, batch: 4, outer: 3, n: 7, m: 5, inner: 2, plain: 2, ..Default::default() };
        let p = AxisProductParams { order_stride: 64, x_stride: 192, y_stride: 128, low: -1.0, high: 1.0, ..p };
        vec![
            p,
            AxisProductParams { add: 1, plain: 5, ..p },
            AxisProductParams { clients: 1, batch: 1, outer: 1, n: 1, m: 1, inner: 1, plain: 1, ..p },
            AxisProductParams { clients: 3, outer: 1, n: 64, m: 4, inner: 3, x_stride: 768, add: 1, high: 0.5, ..p },
        ]
    }
    fn contents(&self, p: &AxisProductParams) -> [Contents; 5] {
        let [order, state] = marks();
        let y = if p.add == 1 { Contents::NORMAL } else { Contents::Nan };
        [Contents::NORMAL, Contents::NORMAL, order, state, y]
    }
    fn exact_on_integers(&self, _: &AxisProductParams) -> bool {
        true
    }
}
