//! Transposed convolution, small side to large side; also the data gradient of a convolution.

use super::conv::{self, ConvParams, Sum};
use crate::kernels::{
    Binding, Build, Class, Cost, Eval, Field, Fill, Inputs, Kernel, Params, ceil_div, grid_fits, split,
};

/// x[n, y, x, ci] = sum over the taps with y = oy s + ky - pad, x = ox s + kx - pad, and co, of small[n, oy, ox, co] w[co, ky, kx, ci].
pub struct ConvTranspose2d;

impl Kernel for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }
    fn formula(&self) -> &'static str {
        "large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad) small[n,oy,ox,co] w[co,ky,kx,ci]"
    }
    fn family(&self) -> &'static str {
        "nn"
    }
    fn fields(&self) -> &'static [Field] {
        ConvParams::FIELDS
    }
    fn cost(&self, words: &[u32]) -> Cost {
        ConvParams::from_words(words).cost()
    }
    fn exact_on_integers(&self, _words: &[u32]) -> bool {
        true
    }
    fn bindings(&self) -> &'static [Binding] {
        const {
            &[
                Binding::read("small", "[clients][n][oh][ow][co], client stride small_stride"),
                Binding::read("weights", "[clients][co][k][k][ci], client stride weight_stride"),
                Binding::write("large", "[clients][n][h][w][ci], client stride large_stride; every element is written"),
            ]
        }
    }
    fn extents(&self, words: &[u32]) -> Result<Vec<usize>, String> {
        let extents =
            ConvParams::from_words(words).check().map(|[large, weights, small]| vec![small, weights, large])?;
        Class::ALL.iter().try_for_each(|class| grid_fits(&self.build(words, *class)))?;
        Ok(extents)
    }
    fn build(&self, words: &[u32], class: Class) -> Build {
        let p = ConvParams::from_words(words);
        // One phase for each residue of (y, x) modulo the stride; each phase sees only its own taps.
        let phases = p.stride * p.stride;
        let pixels = p.n * ceil_div(p.h, p.stride) * ceil_div(p.w, p.stride);
        match class {
            Class::Tiled => Build::plain(
                "nn/conv_transpose2d_tiled.wgsl",
                [ceil_div(pixels, 64), ceil_div(p.ci, 64), p.clients * phases],
            ),
            Class::Direct => {
                let lm = if p.ci.is_multiple_of(4) { 4 } else { 1 };
                let tm = (p.ci / lm).min(4);
                let tn = if ceil_div(pixels, 16) * ceil_div(p.ci, tm * lm) * phases < 64 { 4 } else { 16 };
                let lk = if p.co.is_multiple_of(4) { 4 } else { 1 };
                Build {
                    file: "nn/conv_transpose2d_direct.wgsl",
                    consts: vec![("TM", tm), ("TN", tn), ("LM", lm), ("LK", lk)],
                    grid: [ceil_div(pixels, 8 * tn), ceil_div(p.ci, tm * lm), p.clients * phases],
                }
            }
        }
    }
    fn at(&self, words: &[u32], inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let p = ConvParams::from_words(words);
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
                    sum.add(s * p.weight_at(inputs, 1, client, co, ky * p.k + kx, ci));
                }
            }
        }
        Some(sum.eval())
    }
    fn cases(&self) -> Vec<Vec<u32>> {
        conv::case_words()
    }
    fn fills(&self, _words: &[u32]) -> Vec<Fill> {
        conv::fills(2)
    }
}
