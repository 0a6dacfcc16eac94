//! Common parts of the three rows: parameters, bindings, shape rule, cases, and the random words.

use super::{Stream, threefry4x32};
use crate::kernels::{Binding, Build, Contents, Cost, Inputs, linear_grid, split, strided};

crate::params! {
    /// Parameters of `rng_bits`, `rng_uniform` and `rng_normal`.
    pub struct RngParams {
        /// Clients.
        clients: u32 in Count,
        /// Numbers of each client.
        n: u32 in Count,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// Client 0's number in the plan (chunks of clients start above 0).
        client_base: u32 in Any,
        /// Low word of the seed.
        seed_lo: u32 in Any,
        /// High word of the seed.
        seed_hi: u32 in Any,
        /// The use of the numbers: a [`super::Stream`]'s number.
        stream: u32 in Any,
        /// rng_uniform: low end; rng_normal: mean.
        a: f32 in Real(-2.0, 2.0),
        /// rng_uniform: high end; rng_normal: standard deviation.
        b: f32 in Real(-2.0, 2.0),
    }
}

pub(super) const STATE: Binding = Binding::read_u32("state", "[4]: step in the round, round, total steps, unused");

impl RngParams {
    /// The block of four words that contains elements 4 `block` .. 4 `block` + 4 of client `c`.
    pub fn block(&self, state: &[u32], c: u32, block: u32) -> [u32; 4] {
        let key = [self.seed_lo, self.seed_hi, self.stream, self.client_base.wrapping_add(c)];
        threefry4x32(key, [block, state[2], state[1], 0])
    }
}

pub(super) fn extents(p: &RngParams) -> Result<[usize; 2], String> {
    Ok([strided(p.clients, p.y_stride, p.n)?, 4])
}

pub(super) fn build(file: &'static str, p: &RngParams) -> Build {
    Build::plain(file, linear_grid(p.n, 1024, p.clients))
}

pub(super) fn cost(p: &RngParams, flops_each: f64) -> Cost {
    let n = p.clients as f64 * p.n as f64;
    Cost { flops: flops_each * n, bytes: 4.0 * n + 16.0 }
}

/// The block of output element `index` and the element's position in it; `None` between clients.
pub(super) fn element(p: &RngParams, inputs: &Inputs, index: usize) -> Option<([u32; 4], usize)> {
    let (c, i) = split(index, p.clients, p.y_stride);
    (i < p.n as usize).then(|| (p.block(inputs.0[1], c as u32, i as u32 / 4), i % 4))
}

pub(super) fn cases(a: f32, b: f32) -> Vec<RngParams> {
    let p = RngParams { seed_lo: 0xdead_beef, seed_hi: 7, stream: Stream::LATENT_D.0, a, b, ..Default::default() };
    vec![
        RngParams { clients: 1, n: 1, y_stride: 64, ..p },
        RngParams { clients: 3, n: 101, y_stride: 128, client_base: 5, ..p },
        RngParams { clients: 2, n: 5000, y_stride: 5056, stream: Stream::init(1, 3).0, ..p },
    ]
}

pub(super) fn contents() -> [Contents; 2] {
    [Contents::Nan, Contents::Words(vec![1, 3, 17, 0])]
}
