//! Clients send the momentum of their updates.

use crate::kernels::optim::decay::one_minus;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`ClientMomentum`].
    pub struct ClientMomentumParams {
        /// Clients.
        clients: u32 in Count,
        /// Coordinates of each client.
        n: u32 in Count,
        /// Client stride of `w`.
        w_stride: u32 in Stride,
        /// Client stride of `m`.
        m_stride: u32 in Stride,
        /// Decay of the momentum.
        beta: f32 in Real(0.0, 0.9999),
        /// 1 - beta, rounded once from f64 (f32 arithmetic would cancel).
        one_minus_beta: f32 in Follows(|p| one_minus(p.beta)),
    }
}

impl ClientMomentumParams {
    /// Coefficients from f64, shapes zero.
    pub fn new(beta: f64) -> Self {
        ClientMomentumParams { beta: beta as f32, one_minus_beta: (1.0 - beta) as f32, ..Default::default() }
    }
}

/// The slot of `m`.
const MOMENTUM: usize = 2;

/// `m = beta m + (1 - beta) (w - base); w = base + m`: what a client sends is the momentum of its updates (Karimireddy et al.
/// 2021, algorithm 2), whose variance over rounds is smaller.
pub struct ClientMomentum;

impl Kernel for ClientMomentum {
    type Params = ClientMomentumParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "fed/client_momentum";
    const FORMULA: &'static str =
        "m[c, k] = beta m[c, k] + (1 - beta) (w[c, k] - base[k]); w[c, k] = base[k] + m[c, k]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::write("w", "[clients][n], client stride w_stride"),
        Binding::read("base", "[n], the same for all clients"),
        Binding::write("m", "[clients][n], client stride m_stride: momentum"),
    ];
    fn extents(&self, p: &ClientMomentumParams) -> Result<[usize; 3], String> {
        Ok([strided(p.clients, p.w_stride, p.n)?, p.n as usize, strided(p.clients, p.m_stride, p.n)?])
    }
    fn build(&self, p: &ClientMomentumParams, _class: Class) -> Build {
        Build::plain("fed/client_momentum.wgsl", linear_grid(p.n, 256, p.clients))
    }
    fn cost(&self, p: &ClientMomentumParams) -> Cost {
        let n = f64::from(p.clients) * f64::from(p.n);
        Cost { flops: 5.0 * n, bytes: 4.0 * (4.0 * n + f64::from(p.n)) }
    }
    fn at(&self, p: &ClientMomentumParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (own, other) = if slot == MOMENTUM { (p.m_stride, p.w_stride) } else { (p.w_stride, p.m_stride) };
        let (c, k) = split(index, p.clients, own);
        if k >= p.n as usize {
            return None;
        }
        let beside = c * other as usize + k;
        let (at_w, at_m) = if slot == MOMENTUM { (beside, index) } else { (index, beside) };
        let (w, base, m) = (inputs.f(0, at_w), inputs.f(1, k), inputs.f(2, at_m));
        let (kept, new) = (f64::from(p.beta), f64::from(p.one_minus_beta));
        let momentum = kept * m + new * (w - base);
        // A difference, two products, a sum; for `w` one more sum. Each product may be flushed.
        let magnitude = kept * m.abs() + new * (w.abs() + base.abs());
        let error = gamma(3) * magnitude + flushed(&[kept, m]) + flushed(&[new, w - base]);
        Some(match slot {
            MOMENTUM => Eval::within(momentum, error).over(3),
            _ => Eval::within(base + momentum, gamma(4) * (base.abs() + magnitude) + error).over(4),
        })
    }
    fn cases(&self) -> Vec<ClientMomentumParams> {
        let of = |beta, (clients, n, w_stride, m_stride)| ClientMomentumParams {
            clients,
            n,
            w_stride,
            m_stride,
            ..ClientMomentumParams::new(beta)
        };
        vec![of(0.9, (1, 7, 64, 64)), of(0.9, (3, 515, 576, 640)), of(0.25, (2, 1300, 1344, 1344))]
    }
    fn contents(&self, _: &ClientMomentumParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::NORMAL]
    }
}
