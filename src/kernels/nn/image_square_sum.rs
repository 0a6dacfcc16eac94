//! The squared norm of every image.

use super::rows::{depth, images, locate, stride};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, flushed, gamma, strided};

crate::params! {
    /// Parameters of [`ImageSquareSum`].
    pub struct ImageSquareSumParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of a client.
        n: u32 in Count,
        /// Words of an image.
        len: u32 in Count,
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// y[client, image] = sum of x^2 over the image's words: the squared norm of a gradient by its image.
pub struct ImageSquareSum;

impl Kernel for ImageSquareSum {
    fn name(&self) -> &'static str {
        "image_square_sum"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "y = sum x^2 over each image's words"
    }
    fn fields(&self) -> &'static [Field] {
        ImageSquareSumParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("x", "[clients][n][len], client stride x_stride"),
                Binding::write("y", "[clients][n], client stride y_stride"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = ImageSquareSumParams::from_words(words);
        let x = strided(p.clients, p.x_stride, images(p.n, p.len)?)?;
        Ok(vec![x, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = ImageSquareSumParams::from_words(words);
        Build::plain("nn/image_square_sum.wgsl", [p.n, 1, p.clients])
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = ImageSquareSumParams::from_words(words);
        let (images, len) = (p.clients as f64 * p.n as f64, p.len as f64);
        Cost { flops: 2.0 * images * len, bytes: 4.0 * images * (len + 1.0) }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = ImageSquareSumParams::from_words(words);
        let (client, image) = locate(index, p.clients, p.y_stride, p.n)?;
        let first = client * p.x_stride as usize + image * p.len as usize;
        let values = (0..p.len as usize).map(|i| inputs.f(0, first + i));
        let (value, lost) = values.fold((0.0, 0.0), |(sum, lost), x| (sum + x * x, lost + flushed(&[x, x])));
        Some(Eval::within(value, gamma(depth(p.len) + 2) * value + lost).over(depth(p.len) + 2))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 1), (2, 3, 37), (3, 5, 256), (1, 4, 3 * 1024)]
            .map(|(clients, n, len)| {
                let (x_stride, y_stride) = (stride(n * len, 1), stride(n, 1));
                ImageSquareSumParams { clients, n, len, x_stride, y_stride }.words()
            })
            .to_vec()
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::NORMAL, Fill::Nan]
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
