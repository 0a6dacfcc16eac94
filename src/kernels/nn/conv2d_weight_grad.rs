//! Weight gradient of a convolution, and of a transposed convolution with exchanged sides.

use super::conv::{self, ConvParams, Sum};
use super::tile::{self, Gemm, Tile, Tiled};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, ceil_div, grid_fits, split,
};

/// `dw[co, ky, kx, ci] = sum over n, oy, ox of large[n, oy s + ky - pad, ox s + kx - pad, ci] small[n, oy, ox, co]`.
///
/// With `splits` > 1 the pixels (n, oy, ox) are cut into that many contiguous parts of ceil(pixels / splits), and the
/// output contains one partial sum each, `[clients][splits][co k k ci]`; `split_sum` adds them in order.
pub struct Conv2dWeightGrad;

impl Conv2dWeightGrad {
    /// The direct shader with `group` invocations per workgroup, each with `tn` columns or quads of columns.
    fn direct(p: &ConvParams, group: u32, tn: u32) -> Build {
        let ln = if p.ci.is_multiple_of(4) { 4 } else { 1 };
        let columns = ceil_div(p.taps() * p.ci, group * tn * ln);
        let lm = if p.co.is_multiple_of(4) { 4 } else { 1 };
        // Eight quads reuse a load more often than four, if there are enough workgroups for two cores.
        let wide = lm == 4 && p.co >= 64 && columns * ceil_div(p.co, 32) * p.splits >= 16;
        let tm = if wide { 8 } else { (p.co / lm).min(4) };
        Build {
            file: "nn/conv2d_weight_grad_direct.wgsl",
            consts: vec![("GROUP", group), ("TM", tm), ("TN", tn), ("LM", lm), ("LN", ln)],
            grid: [columns, ceil_div(p.co, tm * lm), p.clients * p.splits],
        }
    }
}

impl Conv2dWeightGrad {
    /// The shader for subgroups of 8 lanes, for at least 8 channels co: fewer would leave most of a load unused.
    fn lanes(p: &ConvParams) -> Build {
        let ln = if p.ci.is_multiple_of(4) { 4 } else { 1 };
        let tm = (p.co / 4).min(8);
        let groups = p.taps() * p.ci / ln;
        // Single columns: as few as possible beyond the last one.
        let tn = if ln == 4 {
            2
        } else if ceil_div(groups, 24) * 24 < ceil_div(groups, 32) * 32 {
            3
        } else {
            4
        };
        Build {
            file: "nn/conv2d_weight_grad_lanes.wgsl",
            consts: vec![("TM", tm), ("TN", tn), ("LN", ln)],
            grid: [ceil_div(groups, 8 * tn), ceil_div(p.co, 4 * tm), p.clients * p.splits],
        }
    }
}

impl Conv2dWeightGrad {
    /// The number of parts of the pixel sum: enough workgroups of the tiled variant to fill a large GPU, with at least
    /// 64 pixels each and at most half of the limit of one loop. Depends on the per-client shape and the plan's total
    /// clients, never on the chunk, so that chunked runs are bit-equal.
    pub fn splits(p: &ConvParams, total_clients: u32) -> u32 {
        let one = ConvParams { clients: 1, splits: 1, ..*p };
        let build = Conv2dWeightGrad.tiled(&one, Conv2dWeightGrad.gemm(&one).tile());
        let groups = build.grid.iter().fold(total_clients, |n, side| n.saturating_mul(*side));
        let parts = (256 / groups.max(1)).clamp(1, (p.pixels() / conv::LEAST_PART).max(1));
        parts.max(p.pixels().div_ceil(MAX_GROUPS / 2))
    }
}

impl Tiled for Conv2dWeightGrad {
    fn gemm(&self, p: &ConvParams) -> Gemm {
        let m = p.taps() * p.ci;
        // Few channels: an invocation computes all channels of its column, and neighbours load neighbours. If there are
        // few tiles, parts of the sum fill the device.
        Gemm {
            m,
            n: p.co,
            layers: (p.pixels() / conv::LEAST_PART).max(1),
            narrow: p.co <= 4 && m.div_ceil(64) <= MAX_GROUPS,
        }
    }
    fn tiled(&self, p: &ConvParams, tile: Tile) -> Build {
        if tile == Tile::Narrow {
            return Self::direct(p, 64, 1);
        }
        let [x, y] = self.gemm(p).grid(tile);
        let grid = [x, y, p.clients * p.splits];
        Build { file: "nn/conv2d_weight_grad_tiled.wgsl", consts: tile.consts(p.lanes()), grid }
    }
}

impl Kernel for Conv2dWeightGrad {
    type Params = ConvParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/conv2d_weight_grad";
    const FORMULA: &'static str =
        "dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, oy s+ky-pad, ox s+kx-pad, ci] small[n,oy,ox,co], in ordered parts";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("large", "[clients][n][h][w][ci], client stride large_stride"),
        Binding::read("small", "[clients][n][oh][ow][co], client stride small_stride"),
        Binding::write("dw", "[clients][splits][co][k][k][ci], client stride weight_stride"),
    ];
    fn cost(&self, p: &ConvParams) -> Cost {
        p.cost()
    }
    fn exact_on_integers(&self, _: &ConvParams) -> bool {
        true
    }
    /// The zeros around the images.
    fn meets_padding(&self, p: &ConvParams) -> &'static [usize] {
        if p.pad > 0 { &[1] } else { &[] }
    }
    fn extents(&self, p: &ConvParams) -> Result<[usize; 3], String> {
        let [large, weights, small] = p.check()?;
        p.check_part()?;
        let extents = [large, small, weights];
        Class::ALL.iter().try_for_each(|class| grid_fits(&self.build(p, *class)))?;
        Ok(extents)
    }
    fn build(&self, p: &ConvParams, class: Class) -> Build {
        match class {
            Class::Tiled => self.tiled(p, self.gemm(p).tile()),
            Class::Lanes if p.co.is_multiple_of(4) && p.co >= 8 => Self::lanes(p),
            Class::Direct | Class::Lanes => Self::direct(p, 8, if p.ci.is_multiple_of(4) { 4 } else { 8 }),
        }
    }
    fn variants(&self, p: &ConvParams) -> Vec<(&'static str, Build)> {
        tile::variants(self, p)
    }
    fn at(&self, p: &ConvParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.weight_stride);
        let i = i as u32;
        if i >= p.weights() * p.splits {
            return None;
        }
        let (part_index, i) = (i / p.weights(), i % p.weights());
        let (ci, tap, co) = (i % p.ci, i / p.ci % p.taps(), i / p.ci / p.taps());
        let part = p.pixels().div_ceil(p.splits);
        let mut sum = Sum::default();
        for pixel in (part_index * part).min(p.pixels())..((part_index + 1) * part).min(p.pixels()) {
            let (ox, oy, n) = (pixel % p.ow, pixel / p.ow % p.oh, pixel / p.ow / p.oh);
            let Some(yx) = p.meet(oy, ox, tap / p.k, tap % p.k) else { continue };
            let x = p.large_at(inputs, 0, client, n, yx, ci);
            sum.add(x, p.small_at(inputs, 1, client, n, (oy, ox), co));
        }
        if p.accumulate == 1 {
            sum.add(1.0, inputs.f(2, index));
        }
        Some(sum.eval())
    }
    fn cases(&self) -> Vec<ConvParams> {
        let mut list = conv::cases();
        list.extend([
            conv::case(2, 2, [32, 33], [12, 60], 2, 1, 1),
            conv::case(1, 1, [47, 46], [7, 59], 3, 1, 1),
            conv::case(1, 2, [33, 32], [28, 100], 2, 1, 1),
            conv::case(1, 1, [46, 45], [11, 97], 3, 1, 1),
        ]);
        for (i, p) in list.iter_mut().enumerate() {
            match i % 3 {
                1 => p.accumulate = 1,
                2 => {
                    p.splits = 3;
                    p.weight_stride = (p.weights() * 3).next_multiple_of(64) + 64;
                }
                _ => {}
            }
        }
        // The longest part.
        list.push(ConvParams { accumulate: 1, ..conv::case(1, 1, [128, 256], [1, 1], 1, 1, 0) });
        list
    }
    fn contents(&self, p: &ConvParams) -> [Contents; 3] {
        if p.accumulate == 1 { [const { Contents::NORMAL }; 3] } else { conv::contents(2) }
    }
}
