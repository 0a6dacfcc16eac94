//! y = x.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, split, strided};

crate::params! {
    /// Parameters of [`struct@Copy`].
    pub struct CopyParams {
        /// Clients.
        clients: u32 in Count,
        /// Words of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c, i] = x[c, i]`, any words bit for bit; words between n and the client stride are not changed.
pub struct Copy;

impl Kernel for Copy {
    type Params = CopyParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "util/copy";
    const FORMULA: &'static str = "y = x";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read_u32("x", "[clients][n], client stride x_stride, any words"),
        Binding::write_u32("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &CopyParams) -> Result<[usize; 2], String> {
        Ok([strided(p.clients, p.x_stride, p.n)?, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &CopyParams, _class: Class) -> Build {
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, p.clients);
        Build { file: "util/copy.wgsl", consts: vec![("V", lanes)], grid }
    }
    fn cost(&self, p: &CopyParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 0.0, bytes: 8.0 * n }
    }
    fn at(&self, p: &CopyParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.y_stride);
        (i < p.n as usize).then(|| Eval::exact(inputs.u(0, c * p.x_stride as usize + i) as f64))
    }
    fn cases(&self) -> Vec<CopyParams> {
        [(1, 1, 64, 64), (2, 1000, 1024, 1088), (3, 257, 384, 320)]
            .map(|(clients, n, x_stride, y_stride)| CopyParams { clients, n, x_stride, y_stride })
            .to_vec()
    }
    fn contents(&self, _: &CopyParams) -> [Contents; 2] {
        [Contents::Below(u32::MAX), Contents::Nan]
    }
    fn exact_on_integers(&self, _: &CopyParams) -> bool {
        true
    }
}
