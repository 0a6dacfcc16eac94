//! Adds a bias to every channel.

use super::rows::{area, locate, map_build, stride};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, strided};

crate::params! {
    /// Parameters of [`BiasAdd`].
    pub struct BiasAddParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows per client: images times pixels.
        rows: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `y`.
        y_stride: u32 in Stride,
        /// Client stride of `b`.
        b_stride: u32 in Stride,
    }
}

/// y += b, the bias of the element's channel, in place.
pub struct BiasAdd;

impl Kernel for BiasAdd {
    type Params = BiasAddParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/bias_add";
    const FORMULA: &'static str = "y[row, c] += b[c]";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("b", "[clients][c], client stride b_stride"),
        Binding::write("y", "[clients][rows][c], client stride y_stride; in place"),
    ];
    fn extents(&self, p: &BiasAddParams) -> Result<[usize; 2], String> {
        Ok([strided(p.clients, p.b_stride, p.c)?, strided(p.clients, p.y_stride, area(p.rows, p.c)?)?])
    }
    fn build(&self, p: &BiasAddParams, _class: Class) -> Build {
        map_build("nn/bias_add.wgsl", p.rows, p.c, p.clients)
    }
    fn cost(&self, p: &BiasAddParams) -> Cost {
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        Cost { flops: channels * rows, bytes: 4.0 * channels * (2.0 * rows + 1.0) }
    }
    fn at(&self, p: &BiasAddParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, element) = locate(index, p.clients, p.y_stride, p.rows * p.c)?;
        let b = inputs.f(0, client * p.b_stride as usize + element % p.c as usize);
        let value = inputs.f(1, index) + b;
        Some(Eval::within(value, 2.0 * U * value.abs()))
    }
    fn cases(&self) -> Vec<BiasAddParams> {
        [(1, 1, 1), (2, 33, 5), (3, 257, 3), (1, 64, 8), (4, 37, 32), (2, 17, 101)]
            .map(|(clients, rows, c)| {
                let (y_stride, b_stride) = (stride(rows * c, 1), stride(c, 0));
                BiasAddParams { clients, rows, c, y_stride, b_stride }
            })
            .to_vec()
    }
    fn contents(&self, _: &BiasAddParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::NORMAL]
    }
    fn exact_on_integers(&self, _: &BiasAddParams) -> bool {
        true
    }
}
