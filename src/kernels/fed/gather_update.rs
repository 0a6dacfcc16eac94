//! Some coordinates of clients' updates.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`GatherUpdate`].
    pub struct GatherUpdateParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Coordinates taken.
        count: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c, j] = x[c, columns[j]] - base[columns[j]]`.
pub struct GatherUpdate;

impl Kernel for GatherUpdate {
    type Params = GatherUpdateParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "fed/gather_update";
    const FORMULA: &'static str = "y[c, j] = x[c, columns[j]] - base[columns[j]]";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::read("base", "[n]"),
        Binding::read_u32("columns", "[count], each below n"),
        Binding::write("y", "[clients][count], client stride y_stride"),
    ];
    fn extents(&self, p: &GatherUpdateParams) -> Result<[usize; 4], String> {
        let x = strided(p.clients, p.x_stride, p.n)?;
        Ok([x, p.n as usize, p.count as usize, strided(p.clients, p.y_stride, p.count)?])
    }
    fn build(&self, p: &GatherUpdateParams, _class: Class) -> Build {
        Build::plain("fed/gather_update.wgsl", linear_grid(p.count, 256, p.clients))
    }
    fn cost(&self, p: &GatherUpdateParams) -> Cost {
        let (clients, count) = (f64::from(p.clients), f64::from(p.count));
        Cost { flops: clients * count, bytes: 4.0 * (2.0 * clients * count + 2.0 * count) }
    }
    fn at(&self, p: &GatherUpdateParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, j) = split(index, p.clients, p.y_stride);
        if j >= p.count as usize {
            return None;
        }
        let k = inputs.u(2, j) as usize;
        let value = inputs.f(0, c * p.x_stride as usize + k) - inputs.f(1, k);
        Some(Eval::within(value, U * value.abs() + flushed(&[1.0])))
    }
    fn cases(&self) -> Vec<GatherUpdateParams> {
        [(1, 1, 1, 64, 64), (3, 515, 70, 576, 128), (2, 60, 1300, 64, 1344)]
            .map(|(clients, n, count, x_stride, y_stride)| GatherUpdateParams { clients, n, count, x_stride, y_stride })
            .to_vec()
    }
    fn contents(&self, p: &GatherUpdateParams) -> [Contents; 4] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Below(p.n), Contents::Nan]
    }
    fn exact_on_integers(&self, _: &GatherUpdateParams) -> bool {
        true
    }
}
