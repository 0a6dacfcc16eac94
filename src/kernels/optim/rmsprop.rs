//! RMSprop.

use super::decay::one_minus;
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`Rmsprop`].
    pub struct RmspropParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of each client.
        n: u32 in Count,
        /// Client stride of `w`, `g` and `v`.
        stride: u32 in Stride,
        /// Learning rate.
        lr: f32 in Positive(1e-5, 0.1),
        /// Decay of the second moment.
        alpha: f32 in Real(0.0, 0.9999),
        /// 1 - alpha, rounded once from f64 (f32 arithmetic would cancel).
        one_minus_alpha: f32 in Follows(|p| one_minus(p.alpha)),
        /// Added to the root of the second moment.
        eps: f32 in Positive(1e-8, 0.1),
    }
}

impl RmspropParams {
    /// Coefficients from f64, shapes zero.
    pub fn new(lr: f64, alpha: f64, eps: f64) -> Self {
        RmspropParams {
            lr: lr as f32,
            alpha: alpha as f32,
            one_minus_alpha: (1.0 - alpha) as f32,
            eps: eps as f32,
            ..Default::default()
        }
    }
}

const V: usize = 2;
/// An f32 result below 2^-126 may be flushed to 0.
const FLUSH: f64 = f32::MIN_POSITIVE as f64;

/// One step of RMSprop (Tieleman & Hinton 2012, as in PyTorch: not centred, no momentum) for every active client.
/// Inactive clients (`state[0] >= client_steps[c]`) do not change.
pub struct Rmsprop;

impl Kernel for Rmsprop {
    type Params = RmspropParams;
    type Operands = Arity<5>;
    const STEM: &'static str = "optim/rmsprop";
    const FORMULA: &'static str = "v = alpha v + (1 - alpha) g^2; w -= lr g / (sqrt(v) + eps)";
    const BINDINGS: &'static [Binding; 5] = &[
        Binding::write("w", "[clients][n], client stride `stride`: weights"),
        Binding::read("g", "like w: gradient"),
        Binding::write("v", "like w: second moment"),
        Binding::read_u32("state", "[4]: step in the round, round, total steps, unused"),
        Binding::read_u32("client_steps", "[clients]: active steps in the round"),
    ];
    fn extents(&self, p: &RmspropParams) -> Result<[usize; 5], String> {
        let n = strided(p.clients, p.stride, p.n)?;
        Ok([n, n, n, 4, p.clients as usize])
    }
    fn build(&self, p: &RmspropParams, _class: Class) -> Build {
        let lanes = if p.n.is_multiple_of(4) { 4 } else { 1 };
        let grid = linear_grid(p.n, 256 * lanes, p.clients);
        Build { file: "optim/rmsprop.wgsl", consts: vec![("V", lanes)], grid }
    }
    fn cost(&self, p: &RmspropParams) -> Cost {
        let n = p.clients as f64 * p.n as f64;
        Cost { flops: 9.0 * n, bytes: 20.0 * n }
    }
    fn at(&self, p: &RmspropParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (c, i) = split(index, p.clients, p.stride);
        if i >= p.n as usize || inputs.u(3, 0) >= inputs.u(4, c) {
            return None;
        }
        let [w, g, v] = [0, 1, 2].map(|slot| inputs.f(slot, index));
        let (kept, new) = (p.alpha as f64 * v, p.one_minus_alpha as f64 * g * g);
        let second = kept + new;
        let second_error = gamma(3) * (kept + new) + 4.0 * FLUSH;
        if slot == V {
            return Some(Eval::within(second, second_error));
        }
        // v's bound through the root, then the root (4.5 ulp), a division (2.5 ulp) and the remaining roundings
        let root = second.sqrt();
        let root_error = (second + second_error).sqrt() - (second - second_error).max(0.0).sqrt() + 10.0 * U * root;
        let below = root + p.eps as f64;
        let below_error = root_error + U * below + FLUSH;
        let change = p.lr as f64 * g / below;
        let change_error = (FLUSH + change.abs() * (below_error + 7.0 * U * below)) / (below - below_error);
        let value = w - change;
        Some(Eval::within(value, 1.01 * (change_error + U * value.abs())))
    }
    fn cases(&self) -> Vec<RmspropParams> {
        let p = RmspropParams { clients: 1, n: 1, stride: 64, ..RmspropParams::new(2e-4, 0.99, 1e-8) };
        vec![
            p,
            RmspropParams { clients: 3, n: 1028, stride: 1088, ..p },
            RmspropParams { clients: 3, n: 331, stride: 384, ..RmspropParams::new(1e-2, 0.9, 1e-3) },
        ]
    }
    fn contents(&self, _: &RmspropParams) -> [Contents; 5] {
        [
            Contents::Real { scale: 0.02, shift: 0.0 },
            Contents::Real { scale: 0.1, shift: 0.0 },
            Contents::Positive { scale: 0.01 },
            Contents::Words(vec![2, 0, 19, 0]),
            // The second client finishes after two steps.
            Contents::Words(vec![4, 2, 3]),
        ]
    }
}
