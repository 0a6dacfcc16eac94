//! Binary cross entropy of logits: the mean loss and its gradient.

use super::activation::exp_error;
use super::rows::{TINY, depth, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, gamma, strided};

crate::params! {
    /// Parameters of [`BceWithLogits`].
    pub struct BceParams {
        /// Clients.
        clients: u32 in Count,
        /// Logits of a client.
        n: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `dx`.
        dx_stride: u32 in Stride,
        /// Client stride of `loss`.
        loss_stride: u32 in Stride,
        /// The element of a client's losses to write.
        slot: u32 in Range(0, 70),
        /// The target of every logit, 0 to 1.
        target as label: f32 in Real(0.0, 1.0),
    }
}

/// `loss[slot] = mean of max(x, 0) - x t + log(1 + exp(-|x|))`, `dx = (sigmoid(x) - t) / n`.
pub struct BceWithLogits;

const DX: usize = 1;

/// One logit's loss. The kernel adds |x| w (w = 1 - t above 0, t below) and log(1 + e), e = exp(-|x|), the latter as 2
/// atanh(e / (2 + e)): both are positive, nothing cancels, and WGSL's inaccurate log is not used.
fn loss(x: f64, t: f64) -> Eval {
    let log = (-x.abs()).exp().ln_1p();
    let value = x.max(0.0) - x * t + log;
    Eval::within(value, gamma(16) * value + exp_error(x.abs().min(87.0)) * log + 2.0 * TINY)
}

/// sigmoid(x) - t. The kernel computes (1 - t) - q above 0 and q - t below, q = e / (1 + e).
fn gradient(x: f64, t: f64) -> Eval {
    let e = (-x.abs()).exp();
    let q = e / (1.0 + e);
    let (value, other) = if x > 0.0 { ((1.0 - t) - q, 1.0 - t) } else { (q - t, t) };
    Eval::within(value, (exp_error(x.abs().min(87.0)) + gamma(9)) * q + gamma(3) * other + 2.0 * TINY)
}

impl Kernel for BceWithLogits {
    type Params = BceParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/bce_with_logits";
    const FORMULA: &'static str = "loss = mean(max(x,0) - x t + log(1+exp(-|x|))), dx = (sigmoid(x) - t)/n";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("x", "[clients][n], client stride x_stride"),
        Binding::write("dx", "[clients][n], client stride dx_stride"),
        Binding::write("loss", "[clients][more than slot], client stride loss_stride"),
    ];
    fn extents(&self, p: &BceParams) -> Result<[usize; 3], String> {
        if !(0.0..=1.0).contains(&p.target) {
            return Err(format!("target {}: must be 0 to 1", p.target));
        }
        let losses = p.slot.checked_add(1).ok_or("slot: out of range")?;
        Ok([
            strided(p.clients, p.x_stride, p.n)?,
            strided(p.clients, p.dx_stride, p.n)?,
            strided(p.clients, p.loss_stride, losses)?,
        ])
    }
    fn build(&self, p: &BceParams, _class: Class) -> Build {
        Build::plain("nn/bce_with_logits.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &BceParams) -> Cost {
        let (clients, n) = (p.clients as f64, p.n as f64);
        Cost { flops: 30.0 * clients * n, bytes: 4.0 * clients * (2.0 * n + 1.0) }
    }
    fn at(&self, p: &BceParams, inputs: &Inputs, slot: usize, index: usize) -> Option<Eval> {
        let (n, t) = (p.n as f64, f64::from(p.target));
        let x = |client: usize, i: usize| inputs.f(0, client * p.x_stride as usize + i);
        if slot == DX {
            let (client, i) = locate(index, p.clients, p.dx_stride, p.n)?;
            let g = gradient(x(client, i), t);
            return Some(Eval::within(g.value / n, (g.bound + gamma(6) * g.value.abs()) / n + TINY));
        }
        let (client, i) = locate(index, p.clients, p.loss_stride, p.slot + 1)?;
        if i != p.slot as usize {
            return None;
        }
        let (mut value, mut bound) = (0.0, 0.0);
        for i in 0..p.n as usize {
            let one = loss(x(client, i), t);
            value += one.value;
            bound += one.bound;
        }
        Some(Eval::within(value / n, bound / n + gamma(depth(p.n) + 6) * value / n + TINY).over(depth(p.n) + 6))
    }
    fn cases(&self) -> Vec<BceParams> {
        [(1, 1, 0, 1.0), (2, 37, 3, 0.0), (3, 257, 1, 1.0), (2, 1000, 0, 0.3), (4, 64, 2, 0.9), (2, 5, 1, 0.2)]
            .map(|(clients, n, slot, target)| {
                let (x_stride, dx_stride, loss_stride) = (stride(n, 0), stride(n, 1), 64);
                BceParams { clients, n, x_stride, dx_stride, loss_stride, slot, target }
            })
            .to_vec()
    }
    /// 257 logits: a range wide enough to saturate on both sides. 5: close enough to 0 for the late terms of log(1 + e)
    /// to matter.
    fn contents(&self, p: &BceParams) -> [Contents; 3] {
        let scale = match p.n {
            257 => 30.0,
            5 => 1e-3,
            _ => 2.0,
        };
        [Contents::Real { scale, shift: 0.0 }, Contents::Nan, Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturated logits give the linear loss and an exact gradient; a wrong target is far outside the bound.
    #[test]
    fn saturates_without_overflow() {
        assert_eq!(loss(200.0, 0.0).value, 200.0);
        assert!(loss(200.0, 1.0).value < 1e-80);
        assert_eq!(gradient(-200.0, 1.0).value, -1.0);
        let (right, wrong) = (gradient(0.5, 1.0), gradient(0.5, 0.99));
        assert!((right.value - wrong.value).abs() > 100.0 * right.bound);
        let words = BceParams { clients: 1, n: 1, target: 1.5, ..Default::default() };
        assert!(BceWithLogits.extents(&words).unwrap_err().contains("target 1.5"));
    }
}
