//! y = value.

use crate::kernels::{
    Binding, Build, Class, Cost, Eval, Field, Fill as CaseFill, Inputs, Kernel, Params, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`Fill`].
    pub struct FillParams {
        /// Clients.
        clients: u32 in Count,
        /// Words of each client to fill.
        n: u32 in Count,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// The value.
        value: f32 in Real(-4.0, 4.0),
    }
}

/// y[c, i] = value for i in 0..n; words between n and the client stride are left alone.
pub struct Fill;

impl Kernel for Fill {
    fn name(&self) -> &'static str {
        "fill"
    }
    fn family(&self) -> &'static str {
        "util"
    }
    fn formula(&self) -> &'static str {
        "y = value"
    }
    fn fields(&self) -> &'static [Field] {
        FillParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const { &[Binding::write("y", "[clients][n], client stride y_stride")] }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = FillParams::from_words(words);
        Ok(vec![strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = FillParams::from_words(words);
        Build::plain("util/fill.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = FillParams::from_words(words);
        Cost { flops: 0.0, bytes: 4.0 * p.clients as f64 * p.n as f64 }
    }
    fn at(&self, words: &[u32], _inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = FillParams::from_words(words);
        (split(index, p.clients, p.y_stride).1 < p.n as usize).then(|| Eval::exact(p.value as f64))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 64), (2, 1000, 1024), (3, 257, 320)]
            .map(|(clients, n, y_stride)| FillParams { clients, n, y_stride, value: 0.25 }.words())
            .to_vec()
    }
    fn fills(&self, _words: &[u32]) -> Vec<CaseFill> {
        vec![CaseFill::Nan]
    }
}
