//! The largest magnitude in every client's row.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, split, strided};

crate::params! {
    /// Parameters of [`MaxAbs`].
    pub struct MaxAbsParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// The element of a client's row of `y` that receives the maximum.
        y_at: u32 in Range(0, 70),
    }
}

/// `y[c, y_at] = max_i |x[c, i]|`, exactly. Other elements of `y` keep their values.
pub struct MaxAbs;

/// `f64::max` drops NaN.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

impl Kernel for MaxAbs {
    type Params = MaxAbsParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "util/max_abs";
    const FORMULA: &'static str = "y[c, y_at] = max_i |x[c, i]|";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("y", "[clients][y_at + 1], client stride y_stride"),
    ];
    fn extents(&self, p: &MaxAbsParams) -> Result<[usize; 2], String> {
        let y = strided(p.clients, p.y_stride, p.y_at.saturating_add(1))?;
        Ok([strided(p.clients, p.x_stride, p.n)?, y])
    }
    fn build(&self, p: &MaxAbsParams, _class: Class) -> Build {
        Build::plain("util/max_abs.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &MaxAbsParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: n, bytes: 4.0 * n + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &MaxAbsParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        if i != p.y_at as usize {
            return None;
        }
        let row = c * p.x_stride as usize;
        Some(Eval::exact((row..row + p.n as usize).map(|j| inputs.f(0, j).abs()).fold(0.0, largest)))
    }
    fn cases(&self) -> Vec<MaxAbsParams> {
        [(1, 1, 64, 64, 0), (3, 10_007, 10_048, 64, 2), (2, 255, 256, 128, 3), (2, 129, 192, 64, 1)]
            .map(|(clients, n, x_stride, y_stride, y_at)| MaxAbsParams { clients, n, x_stride, y_stride, y_at })
            .to_vec()
    }
    /// Two cases increase along the row: the last element decides, and any element after it would.
    fn contents(&self, p: &MaxAbsParams) -> [Contents; 2] {
        let grows = (0..p.x_stride as i32).map(|i| if i % 2 == 0 { -i - 1 } else { i + 1 });
        let x = if [129, 255].contains(&p.n) {
            Contents::Words(grows.map(|v| (v as f32).to_bits()).collect())
        } else {
            Contents::NORMAL
        };
        [x, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &MaxAbsParams) -> bool {
        true
    }
}
