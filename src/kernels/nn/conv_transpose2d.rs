//! Transposed convolution, small side to large side; also the data gradient of a convolution.

use super::conv::{self, ConvParams, Sum};
use super::tile::{self, Gemm, Tile, Tiled};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, MAX_GROUPS, ceil_div, grid_fits, split,
};

/// `x[n, y, x, ci]` = sum over the taps with `y = oy s + ky - pad`, `x = ox s + kx - pad`, and over co, of
/// `small[n, oy, ox, co] w[co, ky, kx, ci]`.
pub struct ConvTranspose2d;

impl ConvTranspose2d {
    /// One phase for each residue of (y, x) modulo the stride; each phase has its own taps.
    fn phases(p: &ConvParams) -> u32 {
        p.stride * p.stride
    }

    /// Pixels per phase.
    fn pixels(p: &ConvParams) -> u32 {
        p.n * ceil_div(p.h, p.stride) * ceil_div(p.w, p.stride)
    }

    /// Channels per weight load of the direct shader, and loads per invocation.
    fn channels(p: &ConvParams) -> [u32; 2] {
        let lm = if p.ci.is_multiple_of(4) { 4 } else { 1 };
        // Eight quads reuse a load more often than four, if there are enough workgroups for two cores.
        let groups = ceil_div(Self::pixels(p), 16) * ceil_div(p.ci, 32) * Self::phases(p);
        let wide = lm == 4 && p.ci >= 32 && groups >= 256;
        [lm, if wide { 8 } else { (p.ci / lm).min(4) }]
    }

    /// The direct shader with `group` invocations per workgroup, each with `tn` pixels.
    fn direct(p: &ConvParams, group: u32, tn: u32) -> Build {
        let [lm, tm] = Self::channels(p);
        let lk = if p.co.is_multiple_of(4) { 4 } else { 1 };
        Build {
            file: "nn/conv_transpose2d_direct.wgsl",
            consts: vec![("GROUP", group), ("TM", tm), ("TN", tn), ("LM", lm), ("LK", lk)],
            grid: [ceil_div(Self::pixels(p), group * tn), ceil_div(p.ci, tm * lm), p.clients * Self::phases(p)],
        }
    }
}

impl ConvTranspose2d {
    /// The shader for subgroups of 8 lanes, for at least 8 channels ci: fewer would leave most of a load unused.
    fn lanes(p: &ConvParams) -> Build {
        let tm = (p.ci / 4).min(8);
        let groups = |tn: u32| ceil_div(Self::pixels(p), 8 * tn) * ceil_div(p.ci, 4 * tm) * Self::phases(p);
        let tn = conv::enough(groups);
        Build {
            file: "nn/conv_transpose2d_lanes.wgsl",
            consts: vec![("TM", tm), ("TN", tn)],
            grid: [ceil_div(Self::pixels(p), 8 * tn), ceil_div(p.ci, 4 * tm), p.clients * Self::phases(p)],
        }
    }
}

impl Tiled for ConvTranspose2d {
    fn gemm(&self, p: &ConvParams) -> Gemm {
        // Few channels: an invocation computes all channels of its pixels.
        let narrow = p.ci <= 4 && Self::pixels(p).div_ceil(256) <= MAX_GROUPS;
        Gemm { m: p.ci, n: Self::pixels(p), layers: Self::phases(p), narrow }
    }
    fn tiled(&self, p: &ConvParams, tile: Tile) -> Build {
        if tile == Tile::Narrow {
            return Self::direct(p, 64, 4);
        }
        let [x, y] = self.gemm(p).grid(tile);
        let grid = [x, y, p.clients * Self::phases(p)];
        Build { file: "nn/conv_transpose2d_tiled.wgsl", consts: tile.consts(p.lanes()), grid }
    }
}

impl Kernel for ConvTranspose2d {
    type Params = ConvParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/conv_transpose2d";
    const FORMULA: &'static str =
        "large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad) small[n,oy,ox,co] w[co,ky,kx,ci]";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("small", "[clients][n][oh][ow][co], client stride small_stride"),
        Binding::read("weights", "[clients][co][k][k][ci], client stride weight_stride"),
        Binding::write("large", "[clients][n][h][w][ci], client stride large_stride; every element is written"),
    ];
    fn cost(&self, p: &ConvParams) -> Cost {
        p.cost()
    }
    fn exact_on_integers(&self, _: &ConvParams) -> bool {
        true
    }
    /// The zeros around the small images: a phase reaches beyond them at any padding.
    fn meets_padding(&self, _: &ConvParams) -> &'static [usize] {
        &[1]
    }
    fn extents(&self, p: &ConvParams) -> Result<[usize; 3], String> {
        let extents = p.check().map(|[large, weights, small]| [small, weights, large])?;
        Class::ALL.iter().try_for_each(|class| grid_fits(&self.build(p, *class)))?;
        Ok(extents)
    }
    fn build(&self, p: &ConvParams, class: Class) -> Build {
        match class {
            Class::Tiled => self.tiled(p, self.gemm(p).tile()),
            Class::Lanes if p.lanes() == 4 && p.ci >= 8 => Self::lanes(p),
            Class::Direct | Class::Lanes => {
                let [lm, tm] = Self::channels(p);
                let groups = ceil_div(Self::pixels(p), 16) * ceil_div(p.ci, tm * lm) * Self::phases(p);
                // Small maps: fewer pixels per invocation, so that there are enough invocations for two cores.
                Self::direct(p, 8, if groups < 64 { 4 } else { 16 })
            }
        }
    }
    fn variants(&self, p: &ConvParams) -> Vec<(&'static str, Build)> {
        tile::variants(self, p)
    }
    fn at(&self, p: &ConvParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, i) = split(index, p.clients, p.large_stride);
        let i = i as u32;
        if i >= p.large() {
            return None;
        }
        let (ci, x, y, n) = (i % p.ci, i / p.ci % p.w, i / p.ci / p.w % p.h, i / p.ci / p.w / p.h);
        let mut sum = Sum::default();
        for ky in 0..p.k {
            for kx in 0..p.k {
                let (Some(sy), Some(sx)) = ((y + p.pad).checked_sub(ky), (x + p.pad).checked_sub(kx)) else { continue };
                let (oy, ox) = (sy / p.stride, sx / p.stride);
                if sy % p.stride != 0 || sx % p.stride != 0 || oy >= p.oh || ox >= p.ow {
                    continue;
                }
                for co in 0..p.co {
                    let s = p.small_at(inputs, 0, client, n, (oy, ox), co);
                    sum.add(s, p.weight_at(inputs, 1, client, co, ky * p.k + kx, ci));
                }
            }
        }
        Some(sum.eval())
    }
    fn cases(&self) -> Vec<ConvParams> {
        let mut list = conv::cases();
        list.extend([
            conv::case(2, 1, [45, 45], [60, 8], 3, 2, 1),
            conv::case(1, 1, [45, 46], [59, 5], 3, 2, 1),
            conv::case(1, 1, [45, 45], [252, 8], 3, 2, 1),
            conv::case(1, 1, [46, 45], [251, 5], 3, 2, 0),
        ]);
        list
    }
    fn contents(&self, _: &ConvParams) -> [Contents; 3] {
        conv::contents(2)
    }
}
