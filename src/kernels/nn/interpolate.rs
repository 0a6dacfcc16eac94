//! Points between real and generated images, at which the gradient penalty is taken.

use super::rows::{image_build, images, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`Interpolate`].
    pub struct InterpolateParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        n: u32 in Count,
        /// Words of an image.
        len: u32 in Count,
        /// Client stride of `x`, `z` and `y`.
        x_stride: u32 in Stride,
        /// Client stride of `a`.
        a_stride: u32 in Stride,
    }
}

/// y = a x + (1 - a) z with one weight a for each image.
pub struct Interpolate;

impl Kernel for Interpolate {
    type Params = InterpolateParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "nn/interpolate";
    const FORMULA: &'static str = "y = a x + (1 - a) z, one a per image";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::read("x", "[clients][n][len], client stride x_stride"),
        Binding::read("z", "[clients][n][len], client stride x_stride"),
        Binding::read("a", "[clients][n], client stride a_stride"),
        Binding::write("y", "[clients][n][len], client stride x_stride"),
    ];
    fn extents(&self, p: &InterpolateParams) -> Result<[usize; 4], String> {
        let x = strided(p.clients, p.x_stride, images(p.n, p.len)?)?;
        Ok([x, x, strided(p.clients, p.a_stride, p.n)?, x])
    }
    fn build(&self, p: &InterpolateParams, _class: Class) -> Build {
        image_build("nn/interpolate.wgsl", p.n, p.len, p.clients)
    }
    fn cost(&self, p: &InterpolateParams) -> Cost {
        let elements = p.clients as f64 * p.n as f64 * p.len as f64;
        Cost { flops: 3.0 * elements, bytes: 12.0 * elements + 4.0 * p.clients as f64 * p.n as f64 }
    }
    fn at(&self, p: &InterpolateParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = locate(index, p.clients, p.x_stride, p.n * p.len)?;
        let a = inputs.f(2, client * p.a_stride as usize + i / p.len as usize);
        let (x, z) = (a * inputs.f(0, index), (1.0 - a) * inputs.f(1, index));
        Some(Eval::within(
            x + z,
            gamma(4) * (x.abs() + z.abs())
                + flushed(&[a, inputs.f(0, index)])
                + flushed(&[1.0 - a, inputs.f(1, index)]),
        ))
    }
    fn cases(&self) -> Vec<InterpolateParams> {
        [(1, 1, 1), (2, 3, 37), (3, 5, 256), (1, 4, 768)]
            .map(|(clients, n, len)| {
                let (x_stride, a_stride) = (stride(n * len, 1), stride(n, 0));
                InterpolateParams { clients, n, len, x_stride, a_stride }
            })
            .to_vec()
    }
    /// A normally distributed weight leaves the interval between the images: it extrapolates.
    fn contents(&self, _: &InterpolateParams) -> [Contents; 4] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Real { scale: 1.0, shift: 0.5 }, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &InterpolateParams) -> bool {
        true
    }
}
