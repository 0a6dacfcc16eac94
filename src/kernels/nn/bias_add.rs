//! Add a bias to every channel.

use super::rows::{area, locate, map_build, stride};
use crate::kernels::{Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, U, strided};

crate::params! {
    /// Parameters of [`BiasAdd`].
    pub struct BiasAddParams {
        /// Clients.
        clients: u32 in Count,
        /// Rows of a client: images times pixels.
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
    fn name(&self) -> &'static str {
        "bias_add"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn formula(&self) -> &'static str {
        "y[row, c] += b[c]"
    }
    fn fields(&self) -> &'static [Field] {
        BiasAddParams::FIELDS
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("b", "[clients][c], client stride b_stride"),
                Binding::write("y", "[clients][rows][c], client stride y_stride; in place"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let p = BiasAddParams::from_words(words);
        Ok(vec![strided(p.clients, p.b_stride, p.c)?, strided(p.clients, p.y_stride, area(p.rows, p.c)?)?])
    }
    fn build(&self, words: &[u32], _class: Class) -> Build {
        let p = BiasAddParams::from_words(words);
        map_build("nn/bias_add.wgsl", p.rows, p.c, p.clients)
    }
    fn cost(&self, words: &[u32]) -> Cost {
        let p = BiasAddParams::from_words(words);
        let (channels, rows) = (p.clients as f64 * p.c as f64, p.rows as f64);
        Cost { flops: channels * rows, bytes: 4.0 * channels * (2.0 * rows + 1.0) }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = BiasAddParams::from_words(words);
        let (client, element) = locate(index, p.clients, p.y_stride, p.rows * p.c)?;
        let b = inputs.f(0, client * p.b_stride as usize + element % p.c as usize);
        let value = inputs.f(1, index) + b;
        Some(Eval::within(value, 2.0 * U * value.abs()))
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        [(1, 1, 1), (2, 33, 5), (3, 257, 3), (1, 64, 8), (4, 37, 32), (2, 17, 101)]
            .map(|(clients, rows, c)| {
                let (y_stride, b_stride) = (stride(rows * c, 1), stride(c, 0));
                BiasAddParams { clients, rows, c, y_stride, b_stride }.words()
            })
            .to_vec()
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        vec![Fill::NORMAL, Fill::NORMAL]
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
}
