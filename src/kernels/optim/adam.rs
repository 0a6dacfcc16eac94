//! Adam.

use super::decay::one_minus;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`Adam`].
    pub struct AdamParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `w`, `g`, `m` and `v`.
        stride: u32 in Stride,
        /// Client stride of `table`.
        table_stride: u32 in StrideFrom(|_| 6),
        /// Decay of the first moment.
        beta1: f32 in Real(0.0, 0.95),
        /// Decay of the second moment.
        beta2: f32 in Real(0.0, 0.9999),
        /// Added to the root of the second moment.
        eps: f32 in Positive(1e-8, 0.1),
        /// 1 - beta1, rounded once from f64 (f32 arithmetic would cancel).
        one_minus_beta1: f32 in Follows(|p| one_minus(p.beta1)),
        /// 1 - beta2, rounded once from f64.
        one_minus_beta2: f32 in Follows(|p| one_minus(p.beta2)),
    }
}

impl AdamParams {
    /// Coefficients from f64 decays, shapes zero.
    pub fn new(beta1: f64, beta2: f64, eps: f64) -> Self {
        AdamParams {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            eps: eps as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            ..Default::default()
        }
    }

    /// The step at word `index`, in f64, with bounds: two products and a sum (m), one more factor (v); w has m's bound
    /// and v's through the root, then a root (2 + 2.5 ulp), a division (2.5 ulp) and the remaining roundings. An f32
    /// result below 2^-126 may be flushed to 0.
    fn step(&self, inputs: &Inputs, index: usize, rate: f64, correction: f64) -> AdamStep {
        const FLUSH: f64 = 1.0 / (1u128 << 126) as f64;
        let [w, g, m, v] = [0, 1, 2, 3].map(|slot| inputs.f(slot, index));
        let (kept, new) = (self.beta1 as f64 * m, self.one_minus_beta1 as f64 * g);
        let first = kept + new;
        let first_error = gamma(2) * (kept.abs() + new.abs()) + 3.0 * FLUSH;
        let (kept, new) = (self.beta2 as f64 * v, self.one_minus_beta2 as f64 * g * g);
        let second = kept + new;
        let second_error = gamma(3) * (kept.abs() + new.abs()) + 4.0 * FLUSH;
        let root = second.sqrt();
        let root_error = (second + second_error).sqrt() - (second - second_error).max(0.0).sqrt() + 10.0 * U * root;
        let below = root * correction + self.eps as f64;
        let below_error = correction * root_error + U * (root * correction + below) + FLUSH;
        let change = rate * first / below;
        let smallest = below - below_error;
        let change_error = (rate * first_error + FLUSH + change.abs() * (below_error + 6.0 * U * below)) / smallest;
        let value = w - change;
        AdamStep {
            w: Eval::within(value, 1.01 * (change_error + U * value.abs())),
            m: Eval::within(first, first_error),
            v: Eval::within(second, second_error),
        }
    }
}

/// The updated values of one element.
struct AdamStep {
    w: Eval,
    m: Eval,
    v: Eval,
}

/// The table of `steps` steps, the first of which is step `first_step` >= 1 of the client: two words per step,
/// `lr / (1 - beta1^t)` and `1 / sqrt(1 - beta2^t)`, computed in f64.
pub fn adam_table(lr: f64, beta1: f64, beta2: f64, first_step: u32, steps: u32) -> Vec<f32> {
    (0..steps)
        .map(|s| first_step as f64 + s as f64)
        .flat_map(|t| [(lr / (1.0 - beta1.powf(t))) as f32, (1.0 / (1.0 - beta2.powf(t)).sqrt()) as f32])
        .collect()
}

/// One step of Adam (Kingma & Ba 2015) for every active client: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w -= lr
/// (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps), with the corrections from `table` ([`adam_table`]). Inactive
/// clients (`state[0] >= client_steps[c]`) do not change.
pub struct Adam;

impl Kernel for Adam {
    type Params = AdamParams;
    type Operands = Arity<7>;
    const STEM: &'static str = "optim/adam";
    const FORMULA: &'static str = "m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr_t m / (sqrt(v) k_t + eps)";
    const BINDINGS: &'static [Binding; 7] = &[
        Binding::write("w", "[clients][n], client stride `stride`: weights"),
        Binding::read("g", "like w: gradient"),
        Binding::write("m", "like w: first moment"),
        Binding::write("v", "like w: second moment"),
        Binding::read("table", "[clients][steps][2], client stride table_stride: lr / (1 - b1^t), 1 / sqrt(1 - b2^t)"),
        Binding::read_u32("state", "[4]: step in the round, round, total steps, unused"),
        Binding::read_u32("client_steps", "[clients]: active steps in the round"),
    ];
    fn extents(&self, p: &AdamParams) -> Result<[usize; 7], String> {
        let n = strided(p.clients, p.stride, p.n)?;
        // The number of steps is not a parameter: a client's row is its whole stride.
        let table = strided(p.clients, p.table_stride, p.table_stride.max(2))?;
        Ok([n, n, n, n, table, 4, p.clients as usize])
    }
    fn build(&self, p: &AdamParams, _class: Class) -> Build {
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, p.clients);
        Build { file: "optim/adam.wgsl", consts: vec![("V", lanes)], grid }
    }
    fn cost(&self, p: &AdamParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 13.0 * n, bytes: 28.0 * n }
    }
    fn at(&self, p: &AdamParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.stride);
        let step = inputs.u(5, 0);
        if i >= p.n as usize || step >= inputs.u(6, c) {
            return None;
        }
        let entry = c * p.table_stride as usize + 2 * step as usize;
        let step = p.step(inputs, index, inputs.f(4, entry), inputs.f(4, entry + 1));
        Some([step.w, step.w, step.m, step.v][slot])
    }
    fn cases(&self) -> Vec<AdamParams> {
        let p = AdamParams { clients: 1, n: 1, stride: 64, table_stride: 64, ..AdamParams::new(0.5, 0.999, 1e-8) };
        vec![
            p,
            AdamParams { clients: 3, n: 1028, stride: 1088, ..p },
            AdamParams { clients: 3, n: 331, stride: 384, table_stride: 128, ..AdamParams::new(0.9, 0.99, 1e-3) },
        ]
    }
    fn contents(&self, p: &AdamParams) -> [Contents; 7] {
        let table = adam_table(2e-4, p.beta1 as f64, p.beta2 as f64, 3, 10).into_iter().map(f32::to_bits).collect();
        [
            Contents::Real { scale: 0.02, shift: 0.0 },
            Contents::Real { scale: 0.1, shift: 0.0 },
            Contents::Real { scale: 0.05, shift: 0.0 },
            Contents::Positive { scale: 0.01 },
            Contents::Words(table),
            Contents::Words(vec![2, 0, 19, 0]),
            // The second client finishes after two steps.
            Contents::Words(vec![4, 2, 3]),
        ]
    }
}
