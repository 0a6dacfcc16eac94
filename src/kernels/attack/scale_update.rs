//! Malicious clients scale their update.

use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`ScaleUpdate`].
    pub struct ScaleUpdateParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `w`.
        stride: u32 in Stride,
    }
}

/// `w[c, i] = reference[i] + scales[c] (w[c, i] - reference[i])` (model replacement, Bagdasaryan et al. 2020). The
/// weights of a client with scale 1 are not changed, bit for bit.
pub struct ScaleUpdate;

impl Kernel for ScaleUpdate {
    type Params = ScaleUpdateParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "attack/scale_update";
    const FORMULA: &'static str = "w[c] = reference + scales[c] (w[c] - reference) where scales[c] != 1";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::write("w", "[clients][n], client stride `stride`"),
        Binding::read("reference", "[n], the same for all clients"),
        Binding::read("scales", "[clients]"),
    ];
    fn extents(&self, p: &ScaleUpdateParams) -> Result<[usize; 3], String> {
        Ok([strided(p.clients, p.stride, p.n)?, p.n as usize, p.clients as usize])
    }
    fn build(&self, p: &ScaleUpdateParams, _class: Class) -> Build {
        Build::plain("attack/scale_update.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &ScaleUpdateParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 3.0 * n, bytes: 8.0 * n + 4.0 * p.n as f64 }
    }
    fn at(&self, p: &ScaleUpdateParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.stride);
        let scale = inputs.f(2, c);
        if i >= p.n as usize || scale == 1.0 {
            return None;
        }
        let (from, own) = (inputs.f(1, i), inputs.f(0, index));
        let bound = gamma(3) * (from.abs() + scale.abs() * (own.abs() + from.abs())) + flushed(&[scale, own - from]);
        Some(Eval::within(from + scale * (own - from), bound))
    }
    fn cases(&self) -> Vec<ScaleUpdateParams> {
        [(1, 1, 64), (3, 1029, 1088), (5, 256, 256)]
            .map(|(clients, n, stride)| ScaleUpdateParams { clients, n, stride })
            .to_vec()
    }
    fn contents(&self, _: &ScaleUpdateParams) -> [Contents; 3] {
        let scales = [4.0f32, 1.0, -1.5, 0.0, 10.0].map(f32::to_bits).to_vec();
        [Contents::NORMAL, Contents::NORMAL, Contents::Words(scales)]
    }
    fn exact_on_integers(&self, _: &ScaleUpdateParams) -> bool {
        true
    }
}
