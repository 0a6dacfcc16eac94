//! y = value.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, split, strided};

crate::params! {
    /// Parameters of [`Fill`].
    pub struct FillParams {
        /// Clients.
        clients: u32 in Count,
        /// Words to fill per client.
        n: u32 in Count,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// The value.
        value: f32 in Real(-4.0, 4.0),
    }
}

/// `y[c, i] = value` for i in 0..n; words between n and the client stride are not changed.
pub struct Fill;

impl Kernel for Fill {
    type Params = FillParams;
    type Operands = Arity<1>;
    const STEM: &'static str = "util/fill";
    const FORMULA: &'static str = "y = value";
    const BINDINGS: &'static [Binding; 1] = &[Binding::write("y", "[clients][n], client stride y_stride")];
    fn extents(&self, p: &FillParams) -> Result<[usize; 1], String> {
        Ok([strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &FillParams, _class: Class) -> Build {
        Build::plain("util/fill.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &FillParams) -> Cost {
        Cost { flops: 0.0, bytes: 4.0 * p.clients as f64 * p.n as f64 }
    }
    fn at(&self, p: &FillParams, _inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        (split(index, p.clients, p.y_stride).1 < p.n as usize).then(|| Eval::exact(p.value as f64))
    }
    fn cases(&self) -> Vec<FillParams> {
        [(1, 1, 64), (2, 1000, 1024), (3, 257, 320)]
            .map(|(clients, n, y_stride)| FillParams { clients, n, y_stride, value: 0.25 })
            .to_vec()
    }
    fn contents(&self, _: &FillParams) -> [Contents; 1] {
        [Contents::Nan]
    }
}
