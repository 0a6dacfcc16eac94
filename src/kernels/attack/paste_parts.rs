//! Pasting the clients' parts of a distributed trigger.

use super::poisoned::{Marks, ORDER, STATE, marks};
use super::window::{pasted, window};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, linear_grid, product, split, strided,
};

crate::params! {
    /// Parameters of [`PasteParts`].
    pub struct PastePartsParams {
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
        /// Trigger height.
        th: u32 in Between(|p| [1, p.h]),
        /// Trigger width.
        tw: u32 in Between(|p| [1, p.w]),
        /// Row of the trigger's first pixel.
        top: u32 in Between(|p| [0, p.h - p.th]),
        /// Column of the trigger's first pixel.
        left: u32 in Between(|p| [0, p.w - p.tw]),
        /// Client stride of `order`.
        order_stride: u32 in StrideFrom(|p| p.batch.saturating_mul(3)),
        /// Client stride of `x`.
        x_stride: u32 in Stride,
        /// Share a of the trigger, 0..=1; 1 copies it.
        opacity: f32 in Real(0.0, 1.0),
    }
}

/// x = (1 - a) x + a t where `parts[pixel]` is `part[client]`, in the window [top, top + th) x [left, left + tw) of the images
/// that `order` marks as poisoned (bit 31). Opacity 1 copies the trigger bit for bit.
pub struct PasteParts;

impl Kernel for PasteParts {
    type Params = PastePartsParams;
    type Operands = Arity<6>;
    const STEM: &'static str = "attack/paste_parts";
    const FORMULA: &'static str = "x = (1 - a) x + a t in the client's part of the window of poisoned images";
    const BINDINGS: &'static [Binding; 6] = &[
        Binding::write("x", "[clients][batch][h][w][c], client stride x_stride: images"),
        Binding::read("trigger", "[th][tw][c], in the images' range"),
        Binding::read_u32("parts", "[th][tw]: the part of each pixel; a number that no client has: none"),
        Binding::read_u32("part", "[clients]: the part that a client pastes"),
        ORDER,
        STATE,
    ];
    fn extents(&self, p: &PastePartsParams) -> Result<[usize; 6], String> {
        window!(p).check(p.opacity)?;
        let batch = product("batch", &[p.batch, p.h, p.w, p.c])?;
        Ok([
            strided(p.clients, p.x_stride, batch)?,
            (p.th * p.tw * p.c) as usize,
            (p.th * p.tw) as usize,
            p.clients as usize,
            // The number of steps is not a parameter: a client's row is its whole stride.
            strided(p.clients, p.order_stride, p.order_stride.max(p.batch))?,
            4,
        ])
    }
    fn build(&self, p: &PastePartsParams, _class: Class) -> Build {
        Build::plain("attack/paste_parts.wgsl", linear_grid(p.batch * p.th * p.tw * p.c, 256, p.clients))
    }
    fn cost(&self, p: &PastePartsParams) -> Cost {
        let n = p.clients as f64 * p.batch as f64 * p.th as f64 * p.tw as f64 * p.c as f64;
        Cost { flops: 4.0 * n, bytes: 12.0 * n + 4.0 * p.clients as f64 }
    }
    fn at(&self, p: &PastePartsParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.x_stride);
        let (image, place) = window!(p).find(i)?;
        let marks = Marks { slot: 4, stride: p.order_stride, batch: p.batch };
        if !marks.poisoned(inputs, client, image) || inputs.u(2, place) != inputs.u(3, client) {
            return None;
        }
        let t = inputs.f(1, place * p.c as usize + i % p.c as usize);
        Some(pasted(inputs.f(0, index), t, p.opacity))
    }
    fn cases(&self) -> Vec<PastePartsParams> {
        let p = PastePartsParams {
            clients: 2,
            batch: 4,
            h: 8,
            w: 8,
            c: 3,
            th: 3,
            tw: 4,
            top: 4,
            left: 3,
            ..Default::default()
        };
        let p = PastePartsParams { order_stride: 64, x_stride: 768, opacity: 1.0, ..p };
        vec![
            p,
            PastePartsParams { opacity: 0.3, top: 0, left: 4, ..p },
            PastePartsParams { clients: 1, batch: 1, h: 1, w: 1, c: 1, th: 1, tw: 1, top: 0, left: 0, ..p },
            PastePartsParams { clients: 3, h: 7, w: 5, c: 1, th: 7, tw: 2, top: 0, left: 3, x_stride: 192, ..p },
        ]
    }
    fn contents(&self, _: &PastePartsParams) -> [Contents; 6] {
        let [order, state] = marks();
        [
            Contents::NORMAL,
            Contents::NORMAL,
            // An odd period, so that the rows of a window differ; the last belongs to no client.
            Contents::Words(vec![0, 1, 1, 2, 0, 2, u32::MAX]),
            Contents::Words(vec![0, 1, 2]),
            order,
            state,
        ]
    }
}
