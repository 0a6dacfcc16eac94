//! A signal along the columns, clipped: the sinusoidal trigger.

use super::poisoned::{Marks, ORDER, STATE, clip, marks, range};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, product, split,
    strided,
};

crate::params! {
    /// Parameters of [`AddColumns`].
    pub struct AddColumnsParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of each client.
        batch: u32 in Count,
        /// Image height.
        h: u32 in Count,
        /// Image width.
        w: u32 in Count,
        /// Channels.
        c: u32 in Count,
        /// Client stride of `order`.
        order_stride: u32 in StrideFrom(|p| p.batch.saturating_mul(3)),
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Lower end of the images' range.
        low: f32 in Real(-2.0, 0.0),
        /// Upper end of the images' range.
        high: f32 in Real(0.0, 2.0),
    }
}

/// x = clip(x + `signal[column]`, low, high) in the images that `order` marks as poisoned (bit 31).
pub struct AddColumns;

impl Kernel for AddColumns {
    type Params = AddColumnsParams;
    type Operands = Arity<4>;
    const STEM: &'static str = "attack/add_columns";
    const FORMULA: &'static str = "x = clip(x + signal[column], low, high) in poisoned images";
    const BINDINGS: &'static [Binding; 4] = &[
        Binding::write("x", "[clients][batch][h][w][c], client stride x_stride: images"),
        Binding::read("signal", "[w]"),
        ORDER,
        STATE,
    ];
    fn extents(&self, p: &AddColumnsParams) -> Result<[usize; 4], String> {
        range(p.low, p.high)?;
        let batch = product("batch", &[p.batch, p.h, p.w, p.c])?;
        Ok([
            strided(p.clients, p.x_stride, batch)?,
            p.w as usize,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
        ])
    }
    fn build(&self, p: &AddColumnsParams, _class: Class) -> Build {
        let grid = linear_grid(p.batch * p.h * p.w * p.c, 256, p.clients);
        Build { file: "attack/add_columns.wgsl", consts: vec![("V", 1)], grid }
    }
    fn cost(&self, p: &AddColumnsParams) -> Cost {
        let n = p.clients as f64 * p.batch as f64 * p.h as f64 * p.w as f64 * p.c as f64;
        Cost { flops: 3.0 * n, bytes: 8.0 * n + 4.0 * p.w as f64 }
    }
    fn at(&self, p: &AddColumnsParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.x_stride);
        let image = i / (p.h * p.w * p.c) as usize;
        let marks = Marks { slot: 2, stride: p.order_stride, batch: p.batch };
        if !marks.poisoned(inputs, client, image) {
            return None;
        }
        let (x, signal) = (inputs.f(0, index), inputs.f(1, i / p.c as usize % p.w as usize));
        let bound = gamma(1) * (x + signal).abs() + flushed(&[x]) + flushed(&[signal]);
        let (value, bound) = clip(x + signal, bound, p.low, p.high);
        Some(Eval::within(value, bound))
    }
    fn cases(&self) -> Vec<AddColumnsParams> {
        let p = AddColumnsParams { clients: 2, batch: 4, h: 8, w: 8, c: 3, low: -1.0, high: 1.0, ..Default::default() };
        let p = AddColumnsParams { order_stride: 64, x_stride: 768, ..p };
        vec![
            p,
            AddColumnsParams { clients: 1, batch: 1, h: 1, w: 1, c: 1, ..p },
            AddColumnsParams { clients: 3, h: 7, w: 5, c: 1, x_stride: 192, low: -0.5, high: 2.0, ..p },
        ]
    }
    fn contents(&self, _: &AddColumnsParams) -> [Contents; 4] {
        let [order, state] = marks();
        [Contents::NORMAL, Contents::NORMAL, order, state]
    }
    fn exact_on_integers(&self, _: &AddColumnsParams) -> bool {
        true
    }
}
