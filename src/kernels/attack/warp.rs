//! Images sampled along a field of source positions.

use super::poisoned::{Marks, ORDER, STATE, marks};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, flushed, gamma, linear_grid, product, split,
    strided,
};

crate::params! {
    /// Parameters of [`Warp`].
    pub struct WarpParams {
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
        /// Client stride of `y`.
        y_stride: u32 in Stride,
    }
}

/// y = (1 - v) ((1 - u) a + u b) + v ((1 - u) c + u d) in the images that `order` marks as poisoned (bit 31), with (u, v) from
/// `weights` and the four pixels a, b (right), c (below), d from `source`; y = x in the other images.
pub struct Warp;

impl Kernel for Warp {
    type Params = WarpParams;
    type Operands = Arity<6>;
    const STEM: &'static str = "attack/warp";
    const FORMULA: &'static str = "y = x between the four pixels from source[pixel] on in poisoned images, else x";
    const BINDINGS: &'static [Binding; 6] = &[
        Binding::read("x", "[clients][batch][h][w][c], client stride x_stride: images"),
        Binding::read_u32("source", "[h][w]: row * w + column of the upper left source pixel, below h * w"),
        Binding::read("weights", "[h][w][2]: shares of the right and of the lower neighbours"),
        ORDER,
        STATE,
        Binding::write("y", "[clients][batch][h][w][c], client stride y_stride; every element is written"),
    ];
    fn extents(&self, p: &WarpParams) -> Result<[usize; 6], String> {
        let batch = product("batch", &[p.batch, p.h, p.w, p.c])?;
        let pixels = product("field", &[p.h, p.w, 2])? as usize / 2;
        Ok([
            strided(p.clients, p.x_stride, batch)?,
            pixels,
            2 * pixels,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
            strided(p.clients, p.y_stride, batch)?,
        ])
    }
    fn build(&self, p: &WarpParams, _class: Class) -> Build {
        Build::plain("attack/warp.wgsl", linear_grid(p.batch * p.h * p.w * p.c, 256, p.clients))
    }
    fn cost(&self, p: &WarpParams) -> Cost {
        let n = p.clients as f64 * p.batch as f64 * p.h as f64 * p.w as f64 * p.c as f64;
        Cost { flops: 11.0 * n, bytes: 8.0 * n + 12.0 * p.h as f64 * p.w as f64 }
    }
    fn at(&self, p: &WarpParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.y_stride);
        let [h, w, c] = [p.h, p.w, p.c].map(|side| side as usize);
        let (image, pixel, channel) = (i / (h * w * c), i % (h * w * c) / c, i % c);
        let from = client * p.x_stride as usize + image * h * w * c;
        if image >= p.batch as usize {
            return None;
        }
        let marks = Marks { slot: 3, stride: p.order_stride, batch: p.batch };
        if !marks.poisoned(inputs, client, image) {
            return Some(Eval::exact(inputs.f(0, from + pixel * c + channel)));
        }
        let source = inputs.u(1, pixel) as usize;
        let (row, column) = (source / w, source % w);
        let (right, lower) = ((column + 1).min(w - 1), (row + 1).min(h - 1));
        let (share, down) = (inputs.f(2, 2 * pixel), inputs.f(2, 2 * pixel + 1));
        let taps = [
            (1.0 - down, 1.0 - share, row, column),
            (1.0 - down, share, row, right),
            (down, 1.0 - share, lower, column),
            (down, share, lower, right),
        ];
        let (mut value, mut magnitude, mut lost) = (0.0, 0.0, 0.0);
        for (v, u, row, column) in taps {
            let x = inputs.f(0, from + (row * w + column) * c + channel);
            value += v * (u * x);
            magnitude += (v * (u * x)).abs();
            lost += flushed(&[v, u, x]);
        }
        // Two differences, two products and two sums.
        Some(Eval::within(value, gamma(6) * magnitude + lost).over(6))
    }
    fn cases(&self) -> Vec<WarpParams> {
        let p = WarpParams { clients: 2, batch: 4, h: 8, w: 8, c: 3, ..Default::default() };
        let p = WarpParams { order_stride: 64, x_stride: 768, y_stride: 832, ..p };
        vec![
            p,
            WarpParams { clients: 1, batch: 1, h: 1, w: 1, c: 1, ..p },
            WarpParams { clients: 3, h: 7, w: 5, c: 1, x_stride: 256, y_stride: 192, ..p },
        ]
    }
    /// Shares outside [0, 1] extrapolate.
    fn contents(&self, p: &WarpParams) -> [Contents; 6] {
        let [order, state] = marks();
        let weights = Contents::Real { scale: 0.5, shift: 0.5 };
        [Contents::NORMAL, Contents::Below(p.h.saturating_mul(p.w)), weights, order, state, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &WarpParams) -> bool {
        true
    }
}
