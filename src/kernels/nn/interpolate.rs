//! Points between real and generated images, where the gradient penalty is taken.

use super::rows::{image_build, images, locate, stride};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, flushed, gamma, strided};

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
    fn name(&self) -> &'static str {
        "interpolate"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "y = a x + (1 - a) z, one a an image"
    }
    fn fields(&self) -> &'static [Field] {
        InterpolateParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("x", "[clients][n][len], client stride x_stride"),
                Binding::read("z", "[clients][n][len], client stride x_stride"),
                Binding::read("a", "[clients][n], client stride a_stride"),
                Binding::write("y", "[clients][n][len], client stride x_stride"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = InterpolateParams::from_words(words);
        let x = strided(p.clients, p.x_stride, images(p.n, p.len)?)?;
        Ok(vec![x, x, strided(p.clients, p.a_stride, p.n)?, x])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = InterpolateParams::from_words(words);
        image_build("nn/interpolate.wgsl", p.n, p.len, p.clients)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = InterpolateParams::from_words(words);
        let elements = p.clients as f64 * p.n as f64 * p.len as f64;
        Cost { flops: 3.0 * elements, bytes: 12.0 * elements + 4.0 * p.clients as f64 * p.n as f64 }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = InterpolateParams::from_words(words);
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
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 1), (2, 3, 37), (3, 5, 256), (1, 4, 768)]
            .map(|(clients, n, len)| {
                let (x_stride, a_stride) = (stride(n * len, 1), stride(n, 0));
                InterpolateParams { clients, n, len, x_stride, a_stride }.words()
            })
            .to_vec()
    }
    /// A normal weight leaves the interval between the images: it extrapolates.
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::NORMAL, Fill::NORMAL, Fill::Real { scale: 1.0, shift: 0.5 }, Fill::Nan]
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
