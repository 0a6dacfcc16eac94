//! The largest magnitude in every client's row.

use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, split, strided};

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
        /// Element of a client's row of `y` that takes the maximum.
        y_at: u32 in Range(0, 70),
    }
}

/// y[c, y_at] = max_i |x[c, i]|, exactly. Other elements of `y` keep their values.
pub struct MaxAbs;

/// `f64::max` drops NaN.
fn largest(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

impl Kernel for MaxAbs {
    fn name(&self) -> &'static str {
        "max_abs"
    }
    fn family(&self) -> &'static str {
        "util"
    }
    fn formula(&self) -> &'static str {
        "y[c, y_at] = max_i |x[c, i]|"
    }
    fn fields(&self) -> &'static [Field] {
        MaxAbsParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("x", "[clients][n], client stride x_stride"),
                Binding::write("y", "[clients][y_at + 1], client stride y_stride"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = MaxAbsParams::from_words(words);
        let y = strided(p.clients, p.y_stride, p.y_at.saturating_add(1))?;
        Ok(vec![strided(p.clients, p.x_stride, p.n)?, y])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = MaxAbsParams::from_words(words);
        Build::plain("util/max_abs.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = MaxAbsParams::from_words(words);
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: n, bytes: 4.0 * n + 4.0 * p.clients as f64 }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = MaxAbsParams::from_words(words);
        let (c, i) = split(index, p.clients, p.y_stride);
        if i != p.y_at as usize {
            return None;
        }
        let row = c * p.x_stride as usize;
        Some(Eval::exact((row..row + p.n as usize).map(|j| inputs.f(0, j).abs()).fold(0.0, largest)))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 64, 64, 0), (3, 10_007, 10_048, 64, 2), (2, 255, 256, 128, 3), (2, 129, 192, 64, 1)]
            .map(|(clients, n, x_stride, y_stride, y_at)| MaxAbsParams { clients, n, x_stride, y_stride, y_at }.words())
            .to_vec()
    }
    /// Two cases grow along the row: the last element decides, and what follows it would.
    fn fills(&self, words: &[u32]) -> Vec<Fill> {
        let p = MaxAbsParams::from_words(words);
        let grows = (0..p.x_stride as i32).map(|i| if i % 2 == 0 { -i - 1 } else { i + 1 });
        let x = if [129, 255].contains(&p.n) {
            Fill::Words(grows.map(|v| (v as f32).to_bits()).collect())
        } else {
            Fill::NORMAL
        };
        vec![x, Fill::Nan]
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
