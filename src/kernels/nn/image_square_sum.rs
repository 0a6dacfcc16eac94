//! The squared norm of every image.

use super::rows::{depth, images, locate, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, strided};

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

/// `y[client, image] = sum of x^2 over the image's words`: the squared norm of the gradient with respect to an image.
pub struct ImageSquareSum;

impl Kernel for ImageSquareSum {
    type Params = ImageSquareSumParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/image_square_sum";
    const FORMULA: &'static str = "y = sum x^2 over each image's words";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("x", "[clients][n][len], client stride x_stride"),
        Binding::write("y", "[clients][n], client stride y_stride"),
    ];
    fn extents(&self, p: &ImageSquareSumParams) -> Result<[usize; 2], String> {
        let x = strided(p.clients, p.x_stride, images(p.n, p.len)?)?;
        Ok([x, strided(p.clients, p.y_stride, p.n)?])
    }
    fn build(&self, p: &ImageSquareSumParams, _class: Class) -> Build {
        Build::plain("nn/image_square_sum.wgsl", [p.n, 1, p.clients])
    }
    fn cost(&self, p: &ImageSquareSumParams) -> Cost {
        let (images, len) = (p.clients as f64 * p.n as f64, p.len as f64);
        Cost { flops: 2.0 * images * len, bytes: 4.0 * images * (len + 1.0) }
    }
    fn at(&self, p: &ImageSquareSumParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, image) = locate(index, p.clients, p.y_stride, p.n)?;
        let first = client * p.x_stride as usize + image * p.len as usize;
        let values = (0..p.len as usize).map(|i| inputs.f(0, first + i));
        let (value, lost) = values.fold((0.0, 0.0), |(sum, lost), x| (sum + x * x, lost + flushed(&[x, x])));
        Some(Eval::within(value, gamma(depth(p.len) + 2) * value + lost).over(depth(p.len) + 2))
    }
    fn cases(&self) -> Vec<ImageSquareSumParams> {
        [(1, 1, 1), (2, 3, 37), (3, 5, 256), (1, 4, 3 * 1024)]
            .map(|(clients, n, len)| {
                let (x_stride, y_stride) = (stride(n * len, 1), stride(n, 1));
                ImageSquareSumParams { clients, n, len, x_stride, y_stride }
            })
            .to_vec()
    }
    fn contents(&self, _: &ImageSquareSumParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &ImageSquareSumParams) -> bool {
        true
    }
}
