//! Malicious clients leave out the coordinates of largest magnitude in a reference.

use super::magnitude::key;
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, split, strided};

crate::params! {
    /// Parameters of [`MaskUpdate`].
    pub struct MaskUpdateParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `w`.
        stride: u32 in Stride,
    }
}

/// `w[c, i] = base[i]` for clients with `chosen[c] != 0`, where the key of `reference[i]` is at most `found`: keys order the
/// elements by descending magnitude, equal ones by index (see [`RankDigits`](super::rank_digits::RankDigits)). With the key of rank
/// k those are the k elements of largest magnitude (Neurotoxin, Zhang et al. 2022). Everything else keeps its bits.
pub struct MaskUpdate;

impl Kernel for MaskUpdate {
    type Params = MaskUpdateParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "attack/mask_update";
    const FORMULA: &'static str = "w[c, i] = base[i] where chosen[c] != 0 and key(reference[i]) <= found";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::write("w", "[clients][n], client stride `stride`"),
        Binding::read("base", "[n], the same for all clients"),
        Binding::read_u32("reference", "[n] floats as words"),
        Binding::read("chosen", "[clients]"),
        Binding::read_u32("found", "[2]: a key"),
    ];
    fn extents(&self, p: &MaskUpdateParams) -> Result<[usize; 5], String> {
        let n = p.n as usize;
        Ok([strided(p.clients, p.stride, p.n)?, n, n, p.clients as usize, 2])
    }
    fn build(&self, p: &MaskUpdateParams, _class: Class) -> Build {
        Build::plain("attack/mask_update.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &MaskUpdateParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        Cost { flops: n, bytes: 4.0 * (n + 2.0 * f64::from(p.n) + f64::from(p.clients)) }
    }
    fn at(&self, p: &MaskUpdateParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.stride);
        let found = [inputs.u(4, 0), inputs.u(4, 1)];
        let is_masked = i < p.n as usize && inputs.f(3, c) != 0.0 && key(inputs.u(2, i), i) <= found;
        is_masked.then(|| Eval::exact(inputs.f(1, i)))
    }
    fn cases(&self) -> Vec<MaskUpdateParams> {
        [(1, 1, 64), (3, 1029, 1088), (5, 256, 256)]
            .map(|(clients, n, stride)| MaskUpdateParams { clients, n, stride })
            .to_vec()
    }
    fn contents(&self, p: &MaskUpdateParams) -> [Contents; 5] {
        // Magnitudes above, at and below that of the key, with equal ones before and behind its index.
        let reference = [1.5f32, -1.5, 2.0, -3.0, 0.5, 0.0, -0.25, 1.5].map(f32::to_bits).to_vec();
        let chosen = [1.0f32, 0.0, 1.0, 0.0, 0.5].map(f32::to_bits).to_vec();
        let found = key(1.5f32.to_bits(), p.n as usize / 2).to_vec();
        [
            Contents::NORMAL,
            Contents::NORMAL,
            Contents::Words(reference),
            Contents::Words(chosen),
            Contents::Words(found),
        ]
    }
}
