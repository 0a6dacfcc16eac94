//! Sums of clients' updates over rounds.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`AddUpdate`].
    pub struct AddUpdateParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c, k] += x[c, k] - base[k]`: a client's updates, added up.
pub struct AddUpdate;

impl Kernel for AddUpdate {
    type Params = AddUpdateParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "fed/add_update";
    const FORMULA: &'static str = "y[c, k] += x[c, k] - base[k]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("base", "[n], the same for all clients"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &AddUpdateParams) -> Result<[usize; 3], String> {
        Ok([strided(p.clients, p.x_stride, p.n)?, p.n as usize, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &AddUpdateParams, _class: Class) -> Build {
        Build::plain("fed/add_update.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &AddUpdateParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        Cost { flops: 2.0 * n, bytes: 4.0 * (3.0 * n + f64::from(p.n)) }
    }
    fn at(&self, p: &AddUpdateParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, k) = split(index, p.clients, p.y_stride);
        if k >= p.n as usize {
            return None;
        }
        let (x, base, before) = (inputs.f(0, c * p.x_stride as usize + k), inputs.f(1, k), inputs.f(2, index));
        // WGSL allows the compiler to add in another order.
        let magnitude = x.abs() + base.abs() + before.abs();
        Some(Eval::within(before + (x - base), gamma(2) * magnitude + 2.0 * flushed(&[1.0])).over(2))
    }
    fn cases(&self) -> Vec<AddUpdateParams> {
        [(1, 1, 64, 64), (3, 515, 576, 640), (2, 1300, 1344, 1344)]
            .map(|(clients, n, x_stride, y_stride)| AddUpdateParams { clients, n, x_stride, y_stride })
            .to_vec()
    }
    fn contents(&self, _: &AddUpdateParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::NORMAL]
    }
    fn exact_on_integers(&self, _: &AddUpdateParams) -> bool {
        true
    }
}
