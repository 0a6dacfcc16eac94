//! Copies the server's tensor to every client.

use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, split, strided};

crate::params! {
    /// Parameters of [`Broadcast`].
    pub struct BroadcastParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements.
        n: u32 in Count,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// `y[c, i] = x[i]`, any words bit for bit; words between n and the client stride are not changed.
pub struct Broadcast;

impl Kernel for Broadcast {
    type Params = BroadcastParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "fed/broadcast";
    const FORMULA: &'static str = "y[c] = x";
    const BINDINGS: &'static [Binding; 2] =
        &[Binding::read_u32("x", "[n], any words"), Binding::write_u32("y", "[clients][n], client stride y_stride")];
    fn extents(&self, p: &BroadcastParams) -> Result<[usize; 2], String> {
        Ok([p.n as usize, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &BroadcastParams, _class: Class) -> Build {
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, p.clients);
        Build { file: "fed/broadcast.wgsl", consts: vec![("V", lanes)], grid }
    }
    fn cost(&self, p: &BroadcastParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 0.0, bytes: 4.0 * n + 4.0 * p.n as f64 }
    }
    fn at(&self, p: &BroadcastParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (_, i) = split(index, p.clients, p.y_stride);
        (i < p.n as usize).then(|| Eval::exact(inputs.u(0, i) as f64))
    }
    fn cases(&self) -> Vec<BroadcastParams> {
        [(1, 1, 64), (3, 516, 576), (2, 257, 320)]
            .map(|(clients, n, y_stride)| BroadcastParams { clients, n, y_stride })
            .to_vec()
    }
    fn contents(&self, _: &BroadcastParams) -> [Contents; 2] {
        [Contents::Below(u32::MAX), Contents::Nan]
    }
    fn exact_on_integers(&self, _: &BroadcastParams) -> bool {
        true
    }
}
