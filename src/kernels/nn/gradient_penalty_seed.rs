//! The direction along which the gradient penalty is differentiated.

use super::gradient_penalty::{check_lambda, root_error};
use super::rows::{image_build, images, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`GradientPenaltySeed`].
    pub struct GradientPenaltySeedParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        n: u32 in Count,
        /// Words of an image.
        len: u32 in Count,
        /// Client stride of `g` and `v`.
        x_stride: u32 in Stride,
        /// Client stride of `squares`.
        square_stride: u32 in Stride,
        /// Weight of the penalty, at least 0.
        lambda: f32 in Real(0.0, 100.0),
    }
}

/// v = (2 lambda / n) (||g|| - 1) g / ||g|| for each image: the penalty's derivative with respect to g. The penalty's
/// parameter gradient is that of sum v . g with v held constant. Where g is 0 the norm has no derivative, and v is 0.
pub struct GradientPenaltySeed;

impl Kernel for GradientPenaltySeed {
    type Params = GradientPenaltySeedParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/gradient_penalty_seed";
    const FORMULA: &'static str = "v = (2 lambda / n) (||g|| - 1) g / ||g||, 0 where g is 0";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read(
            "g",
            "[clients][n][len], client stride x_stride: gradient of the critic with respect to each image",
        ),
        Binding::read("squares", "[clients][n], client stride square_stride: ||g||^2 of each image"),
        Binding::write("v", "[clients][n][len], client stride x_stride"),
    ];
    fn extents(&self, p: &GradientPenaltySeedParams) -> Result<[usize; 3], String> {
        check_lambda(p.lambda)?;
        let x = strided(p.clients, p.x_stride, images(p.n, p.len)?)?;
        Ok([x, strided(p.clients, p.square_stride, p.n)?, x])
    }
    fn build(&self, p: &GradientPenaltySeedParams, _class: Class) -> Build {
        image_build("nn/gradient_penalty_seed.wgsl", p.n, p.len, p.clients)
    }
    fn cost(&self, p: &GradientPenaltySeedParams) -> Cost {
        let (images, len) = (p.clients as f64 * p.n as f64, p.len as f64);
        Cost { flops: images * (len + 6.0), bytes: 4.0 * images * (2.0 * len + 1.0) }
    }
    fn at(&self, p: &GradientPenaltySeedParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = locate(index, p.clients, p.x_stride, p.n * p.len)?;
        let root = inputs.f(1, client * p.square_stride as usize + i / p.len as usize).sqrt();
        if root == 0.0 {
            // A norm of 0 has the gradient 0, and 0 times a non-finite value is NaN.
            return Some(Eval::exact(0.0 * inputs.f(0, index)));
        }
        let scale = 2.0 * f64::from(p.lambda) / p.n as f64 * inputs.f(0, index).abs();
        let share = (root - 1.0) / root;
        let value = scale.copysign(inputs.f(0, index)) * share;
        // the root's error enters ||g|| - 1 and again the division by ||g||
        let error = 1.01 * (root_error(root) * (1.0 + share.abs()) + U * (root - 1.0).abs()) / root;
        Some(Eval::within(
            value,
            scale * (error + gamma(14) * share.abs())
                + flushed(&[2.0 * f64::from(p.lambda), inputs.f(0, index), share]),
        ))
    }
    fn cases(&self) -> Vec<GradientPenaltySeedParams> {
        [(1, 1, 1), (2, 3, 37), (3, 5, 256), (1, 4, 768)]
            .map(|(clients, n, len)| {
                let (x_stride, square_stride) = (stride(n * len, 1), stride(n, 0));
                GradientPenaltySeedParams { clients, n, len, x_stride, square_stride, lambda: 10.0 }
            })
            .to_vec()
    }
    /// Norms on both sides of 1, one of them 0, one NaN.
    fn contents(&self, _: &GradientPenaltySeedParams) -> [Contents; 3] {
        let squares = [0.25f32, 1.0, 0.0, 9.5, 1e-4, f32::NAN].map(f32::to_bits).to_vec();
        [Contents::NORMAL, Contents::Words(squares), Contents::Nan]
    }
}
