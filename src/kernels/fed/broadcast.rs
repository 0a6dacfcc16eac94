//! The server's tensor to every client.

use crate::kernels::{
    Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, linear_grid, split, strided,
};

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

/// y[c, i] = x[i], any words bit for bit; words between n and the client stride are left alone.
pub struct Broadcast;

impl Kernel for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }
    fn family(&self) -> &'static str {
        "fed"
    }
    fn formula(&self) -> &'static str {
        "y[c] = x"
    }
    fn fields(&self) -> &'static [Field] {
        BroadcastParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const { &[Binding::read_u32("x", "[n], any words"), Binding::write_u32("y", "[clients][n], client stride y_stride")] }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = BroadcastParams::from_words(words);
        Ok(vec![p.n as usize, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = BroadcastParams::from_words(words);
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, p.clients);
        Build { file: "fed/broadcast.wgsl", consts: vec![("LANES", lanes)], grid }
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = BroadcastParams::from_words(words);
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 0.0, bytes: 4.0 * n + 4.0 * p.n as f64 }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = BroadcastParams::from_words(words);
        let (_, i) = split(index, p.clients, p.y_stride);
        (i < p.n as usize).then(|| Eval::exact(inputs.u(0, i) as f64))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 64), (3, 516, 576), (2, 257, 320)]
            .map(|(clients, n, y_stride)| BroadcastParams { clients, n, y_stride }.words())
            .to_vec()
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::Below(u32::MAX), Fill::Nan]
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
