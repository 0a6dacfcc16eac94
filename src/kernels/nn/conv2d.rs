//! Convolution, large side to small side; also the data gradient of a transposed convolution.

use super::conv::{self, ConvParams, Sum};
use super::tile::{self, Gemm, Tile, Tiled};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, ceil_div, grid_fits, split,
};

/// `y[n, oy, ox, co] = sum over ky, kx, ci of x[n, oy s + ky - pad, ox s + kx - pad, ci] w[co, ky, kx, ci]`.
pub struct Conv2d;

impl Conv2d {
    /// The shader for subgroups of 8 lanes, for at least 8 channels: fewer would leave most of a load unused.
    fn lanes(p: &ConvParams) -> Build {
        let weights = ceil_div(p.co, 8).min(4);
        let groups = |tn: u32| ceil_div(p.pixels(), 8 * tn) * ceil_div(p.co, 8 * weights);
        let tn = conv::enough(groups);
        let v = if p.ci.is_multiple_of(4) { 4 } else { 1 };
        let s = if p.co.is_multiple_of(4) { 4 } else { 1 };
        let tm = 8 * weights;
        Build {
            file: "nn/conv2d_lanes.wgsl",
            consts: vec![("TM", tm), ("TW", weights), ("TN", tn), ("V", v), ("S", s), ("TS", tm / s)],
            grid: [ceil_div(p.pixels(), 8 * tn), ceil_div(p.co, tm), p.clients],
        }
    }
}

impl Tiled for Conv2d {
    fn gemm(&self, p: &ConvParams) -> Gemm {
        // Few channels: a workgroup per pixel shares a sum if it is long enough.
        let narrow = p.co <= 4 && p.taps() * p.ci >= 256 && p.pixels() <= MAX_GROUPS;
        Gemm { m: p.co, n: p.pixels(), layers: 1, narrow }
    }
    fn tiled(&self, p: &ConvParams, tile: Tile) -> Build {
        if tile == Tile::Narrow {
            let consts = vec![("CO", p.co), ("V", if p.ci.is_multiple_of(4) { 4 } else { 1 })];
            return Build { file: "nn/conv2d_narrow.wgsl", consts, grid: [p.pixels(), 1, p.clients] };
        }
        let [x, y] = self.gemm(p).grid(tile);
        Build { file: "nn/conv2d_tiled.wgsl", consts: tile.consts(p.lanes()), grid: [x, y, p.clients] }
    }
}

impl Kernel for Conv2d {
    type Params = ConvParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/conv2d";
    const FORMULA: &'static str =
        "small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("large", "[clients][n][h][w][ci], client stride large_stride"),
        Binding::read("weights", "[clients][co][k][k][ci], client stride weight_stride"),
        Binding::write("small", "[clients][n][oh][ow][co], client stride small_stride"),
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
        let extents = p.check()?;
        Class::ALL.iter().try_for_each(|class| grid_fits(&self.build(p, *class)))?;
        Ok(extents)
    }
    fn build(&self, p: &ConvParams, class: Class) -> Build {
        match class {
            Class::Tiled => self.tiled(p, self.gemm(p).tile()),
            Class::Lanes if p.co >= 8 => Self::lanes(p),
            Class::Direct | Class::Lanes => {
                let tm = [16, 8, 4, 2].into_iter().find(|t| *t <= p.co).unwrap_or(1);
                // Small maps: fewer pixels per invocation, so that there are enough invocations for two cores.
                let tn = if ceil_div(p.pixels(), 16) * ceil_div(p.co, tm) < 64 { 4 } else { 16 };
                let lanes = if p.ci.is_multiple_of(4) { 4 } else { 1 };
                Build {
                    file: "nn/conv2d_direct.wgsl",
                    consts: vec![("TM", tm), ("TN", tn), ("V", lanes)],
                    grid: [ceil_div(p.pixels(), 8 * tn), ceil_div(p.co, tm), p.clients],
                }
            }
        }
    }
    fn variants(&self, p: &ConvParams) -> Vec<(&'static str, Build)> {
        tile::variants(self, p)
    }
    fn at(&self, p: &ConvParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.small_stride);
        let i = i as u32;
        if i >= p.small() {
            return None;
        }
        let (co, ox, oy, n) = (i % p.co, i / p.co % p.ow, i / p.co / p.ow % p.oh, i / p.co / p.ow / p.oh);
        let mut sum = Sum::default();
        for ky in 0..p.k {
            for kx in 0..p.k {
                let Some(yx) = p.meet(oy, ox, ky, kx) else { continue };
                for ci in 0..p.ci {
                    let x = p.large_at(inputs, 0, client, n, yx, ci);
                    sum.add(x, p.weight_at(inputs, 1, client, co, ky * p.k + kx, ci));
                }
            }
        }
        Some(sum.eval())
    }
    fn cases(&self) -> Vec<ConvParams> {
        let mut list = conv::cases();
        list.extend([
            conv::case(2, 2, [9, 7], [29, 3], 3, 2, 1),
            conv::case(2, 2, [4, 5], [16, 4], 4, 1, 0),
            conv::case(2, 1, [46, 46], [8, 60], 2, 1, 0),
            conv::case(1, 1, [46, 46], [5, 59], 2, 1, 0),
            conv::case(1, 1, [46, 46], [8, 252], 2, 1, 0),
            conv::case(1, 1, [45, 45], [3, 251], 3, 1, 1),
        ]);
        list
    }
    fn contents(&self, _: &ConvParams) -> [Contents; 3] {
        conv::contents(2)
    }
}
