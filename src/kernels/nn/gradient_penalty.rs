//! The gradient penalty of WGAN-GP.

use super::rows::{TINY, depth, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, gamma, strided};

crate::params! {
    /// Parameters of [`GradientPenalty`].
    pub struct GradientPenaltyParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        n: u32 in Count,
        /// Client stride of `squares`.
        square_stride: u32 in Stride,
        /// Client stride of `loss`.
        loss_stride: u32 in Stride,
        /// The element of a client's losses to write.
        slot: u32 in Range(0, 70),
        /// Weight of the penalty, at least 0.
        lambda: f32 in Real(0.0, 100.0),
    }
}

/// Rejects a weight that is negative or not a number.
pub(super) fn check_lambda(lambda: f32) -> Result<(), String> {
    if lambda >= 0.0 && lambda.is_finite() { Ok(()) } else { Err(format!("lambda {lambda}: must be at least 0")) }
}

/// Error of a square root, which WGSL may compute as 1 / inverseSqrt: 4.5 ulp, plus a flushed subnormal square.
pub(super) fn root_error(root: f64) -> f64 {
    9.5 * U * root + TINY.sqrt()
}

/// `loss[slot] = lambda mean over images of (||g|| - 1)^2`, from the squared norms of the gradients g (Gulrajani et al. 2017).
pub struct GradientPenalty;

impl Kernel for GradientPenalty {
    type Params = GradientPenaltyParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/gradient_penalty";
    const FORMULA: &'static str = "loss[slot] = lambda mean((sqrt(squares) - 1)^2)";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("squares", "[clients][n], client stride square_stride: ||g||^2 of each image"),
        Binding::write("loss", "[clients][more than slot], client stride loss_stride"),
    ];
    fn extents(&self, p: &GradientPenaltyParams) -> Result<[usize; 2], String> {
        check_lambda(p.lambda)?;
        let losses = p.slot.checked_add(1).ok_or("slot: out of range")?;
        Ok([strided(p.clients, p.square_stride, p.n)?, strided(p.clients, p.loss_stride, losses)?])
    }
    fn build(&self, p: &GradientPenaltyParams, _class: Class) -> Build {
        Build::plain("nn/gradient_penalty.wgsl", [1, 1, p.clients])
    }
    fn cost(&self, p: &GradientPenaltyParams) -> Cost {
        let (clients, n) = (p.clients as f64, p.n as f64);
        Cost { flops: 4.0 * clients * n, bytes: 4.0 * clients * (n + 1.0) }
    }
    fn at(&self, p: &GradientPenaltyParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = locate(index, p.clients, p.loss_stride, p.slot + 1)?;
        if i != p.slot as usize {
            return None;
        }
        let (mut sum, mut bound) = (0.0, 0.0);
        for image in 0..p.n as usize {
            let root = inputs.f(0, client * p.square_stride as usize + image).sqrt();
            let distance = root - 1.0;
            let error = root_error(root) + U * distance.abs();
            sum += distance * distance;
            bound += 2.0 * distance.abs() * error + error * error + U * distance * distance;
        }
        let scale = f64::from(p.lambda) / p.n as f64;
        Some(
            Eval::within(scale * sum, scale * (1.01 * bound + gamma(depth(p.n) + 8) * sum) + TINY).over(depth(p.n) + 8),
        )
    }
    fn cases(&self) -> Vec<GradientPenaltyParams> {
        [(1, 1, 0), (2, 37, 3), (3, 257, 1)]
            .map(|(clients, n, slot)| {
                let (square_stride, loss_stride) = (stride(n, 1), 64);
                GradientPenaltyParams { clients, n, square_stride, loss_stride, slot, lambda: 10.0 }
            })
            .to_vec()
    }
    fn contents(&self, _: &GradientPenaltyParams) -> [Contents; 2] {
        [Contents::Positive { scale: 2.0 }, Contents::Nan]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The penalty is 0 at norm 1, lambda at norm 0, and a penalty without lambda is outside the bound.
    #[test]
    fn has_its_minimum_at_norm_one() {
        let p = GradientPenaltyParams { clients: 1, n: 2, lambda: 10.0, ..Default::default() };
        let at = |squares: [f32; 2]| {
            let squares = squares.map(f32::to_bits);
            GradientPenalty.at(&p, &Inputs(vec![&squares, &[0]]), 1, 0).expect("written")
        };
        assert_eq!(at([1.0, 1.0]).value, 0.0);
        assert_eq!(at([0.0, 0.0]).value, 10.0);
        let eval = at([4.0, 9.0]);
        assert_eq!(eval.value, 25.0);
        assert!(eval.bound < 1e-4);
        let negative = GradientPenaltyParams { lambda: -1.0, ..p };
        assert!(GradientPenalty.extents(&negative).unwrap_err().contains("lambda -1"));
    }
}
