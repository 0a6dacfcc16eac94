//! ReLU, leaky ReLU, tanh and sigmoid.

use super::rows::{TINY, linear_build, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, gamma, strided};

/// Values of [`ActivationParams::kind`] and of the backward kernel's.
pub mod kind {
    /// max(x, 0).
    pub const RELU: u32 = 0;
    /// x above 0, slope x elsewhere.
    pub const LEAKY_RELU: u32 = 1;
    /// tanh x.
    pub const TANH: u32 = 2;
    /// 1 / (1 + exp(-x)).
    pub const SIGMOID: u32 = 3;

    /// Rejects other kinds.
    pub(in crate::kernels::nn) fn check(kind: u32, slope: f32) -> Result<(), String> {
        match kind {
            RELU..=SIGMOID if slope.is_finite() => Ok(()),
            RELU..=SIGMOID => Err(format!("slope {slope}: must be finite")),
            _ => Err(format!("kind {kind}: must be 0 (relu), 1 (leaky_relu), 2 (tanh) or 3 (sigmoid)")),
        }
    }
}

crate::params! {
    /// Parameters of [`Activation`].
    pub struct ActivationParams {
        /// Clients.
        clients: u32 in Count,
        /// Elements of a client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// Which function: see [`kind`].
        kind: u32 in Range(kind::RELU, kind::SIGMOID),
        /// Slope of leaky ReLU below 0.
        slope: f32 in Real(-1.0, 1.0),
    }
}

/// y = f(x) elementwise.
pub struct Activation;

/// Relative error of exp(-a) according to the WGSL table, 3 + 2 a ulp of at most 2 u each.
pub(super) fn exp_error(a: f64) -> f64 {
    (3.0 + 2.0 * a) * 2.0 * U
}

/// From e = exp(-2|x|): (1 - e) / (1 + e); below 1/2, where that cancels, a polynomial of relative error 2^-27. Tighter
/// than the 1e-5 that WGSL allows its own tanh.
fn tanh(x: f64) -> Eval {
    let (value, e) = (x.tanh(), (-2.0 * x.abs()).exp());
    let bound = if x.abs() < 0.5 {
        gamma(6) * value.abs()
    } else {
        2.0 * e * exp_error(2.0 * x.abs().min(15.0)) / (1.0 + e).powi(2) + gamma(8) * value.abs()
    };
    Eval::within(value, bound + TINY)
}

/// From e = exp(-|x|): 1 / (1 + e) or e / (1 + e); relative error of a few roundings plus that of exp.
fn sigmoid(x: f64) -> Eval {
    let (a, e) = (x.abs(), (-x.abs()).exp());
    let carried = exp_error(a.min(87.0)) * e / (1.0 + e).powi(2);
    let value = if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) };
    Eval::within(value, carried + gamma(9) * value + 2.0 * TINY)
}

impl Kernel for Activation {
    type Params = ActivationParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/activation";
    const FORMULA: &'static str = "y = f(x), f: relu, leaky_relu, tanh or sigmoid";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &ActivationParams) -> Result<[usize; 2], String> {
        kind::check(p.kind, p.slope)?;
        Ok([strided(p.clients, p.x_stride, p.n)?, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &ActivationParams, _class: Class) -> Build {
        linear_build("nn/activation.wgsl", p.n, p.clients)
    }
    fn cost(&self, p: &ActivationParams) -> Cost {
        let elements = p.clients as f64 * p.n as f64;
        Cost { flops: elements * [1.0, 2.0, 6.0, 4.0][p.kind.min(3) as usize], bytes: 8.0 * elements }
    }
    fn at(&self, p: &ActivationParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = locate(index, p.clients, p.y_stride, p.n)?;
        let x = inputs.f(0, client * p.x_stride as usize + i);
        Some(match p.kind {
            kind::RELU => Eval::exact(if x <= 0.0 { 0.0 } else { x }),
            kind::LEAKY_RELU if x > 0.0 => Eval::exact(x),
            kind::LEAKY_RELU => Eval::within(f64::from(p.slope) * x, gamma(2) * (f64::from(p.slope) * x).abs() + TINY),
            kind::TANH => tanh(x),
            _ => sigmoid(x),
        })
    }
    fn cases(&self) -> Vec<ActivationParams> {
        let mut cases = Vec::new();
        for kind in kind::RELU..=kind::SIGMOID {
            for (clients, n) in [(1, 1), (2, 1000), (3, 257)] {
                let (x_stride, y_stride) = (stride(n, 0), stride(n, 1));
                cases.push(ActivationParams { clients, n, x_stride, y_stride, kind, slope: 0.2 });
            }
        }
        // More vectors than the grid's 4096 workgroups: a second iteration of the loop.
        let n = 4 * (4096 * 256 + 77);
        cases.push(ActivationParams { clients: 1, n, x_stride: n, y_stride: n, kind: kind::LEAKY_RELU, slope: 0.2 });
        cases
    }
    /// 257 elements: wide enough to saturate.
    fn contents(&self, p: &ActivationParams) -> [Contents; 2] {
        let scale = if p.n == 257 { 30.0 } else { 1.5 };
        [Contents::Real { scale, shift: 0.0 }, Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_far_below_one_per_cent_and_kinds_are_checked() {
        for i in 1..400 {
            let x = i as f64 / 20.0 - 10.0;
            assert!(x == 0.0 || tanh(x).bound < 1e-4 * tanh(x).value.abs(), "tanh {x}: {:?}", tanh(x));
            assert!(sigmoid(x).bound < 1e-4 * sigmoid(x).value, "sigmoid {x}: {:?}", sigmoid(x));
        }
        let words = ActivationParams { clients: 1, n: 1, kind: 4, ..Default::default() };
        assert!(Activation.extents(&words).unwrap_err().contains("kind 4"));
    }
}
