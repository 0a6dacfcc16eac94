//! Weight gradient of a convolution or a transposed convolution in Winograd's form.

use super::winograd::{self, PHASES, Sum, Transformed, WinogradParams, parts, plain, taps, window};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, grid_fits, split};

/// `dw[2 a + p, 2 b + q] = m[a, b] + m[a, b + 1] + m[a + 1, b] + m[a + 1, b + 1]` with `m[i, j] = sum over the tiles of
/// u[i, j] d[i, j]`, where u is the transform of the 3 x 3 window of phase (p, q) and d that of the tile's 2 x 2 pixels of the
/// small side, as of two taps.
pub struct WinogradWeightGrad;

impl Kernel for WinogradWeightGrad {
    type Params = WinogradParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/winograd_weight_grad";
    const FORMULA: &'static str = "dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, 2 oy+ky-1, 2 ox+kx-1, ci] small[n,oy,ox,co]: 9 products per 2 x 2 pixels";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("large", "[clients][n][h][w][ci], client stride large_stride"),
        Binding::read("small", "[clients][n][h/2][w/2][co], client stride small_stride"),
        Binding::write("dw", "[clients][co][4][4][ci], client stride weight_stride"),
    ];
    fn extents(&self, p: &WinogradParams) -> Result<[usize; 3], String> {
        let [large, weights, small] = p.check(plain)?;
        grid_fits(&self.build(p, Class::Direct))?;
        Ok([large, small, weights])
    }
    fn build(&self, p: &WinogradParams, _class: Class) -> Build {
        let grid = [PHASES * p.ci / 64, p.co / 4, p.clients];
        Build::plain("nn/winograd_weight_grad.wgsl", grid)
    }
    fn cost(&self, p: &WinogradParams) -> Cost {
        p.cost(plain(p.ci, p.co) * (1 + p.accumulate))
    }
    fn exact_on_integers(&self, _: &WinogradParams) -> bool {
        true
    }
    /// The zeros around the images.
    fn meets_padding(&self, _: &WinogradParams) -> &'static [usize] {
        &[1]
    }
    fn at(&self, p: &WinogradParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, at) = split(index, p.clients, p.weight_stride);
        let at = at as u32;
        if at >= plain(p.ci, p.co) {
            return None;
        }
        let (ci, kx, ky, co) = (at % p.ci, at / p.ci % 4, at / p.ci / 4 % 4, at / p.ci / 16);
        let mut sum = Sum::default();
        for n in 0..p.n {
            for tile in 0..p.down() * p.across() {
                let (ty, tx) = (tile / p.across(), tile % p.across());
                for i in parts(ky / 2) {
                    for j in parts(kx / 2) {
                        let (mut u, mut d) = (Transformed::default(), Transformed::default());
                        for (dy, sy) in window(i) {
                            for (dx, sx) in window(j) {
                                let row = (4 * ty + 2 * dy + ky % 2).wrapping_sub(1);
                                let column = (4 * tx + 2 * dx + kx % 2).wrapping_sub(1);
                                u.add(p.large_at(inputs, 0, client, [n, row, column, ci]), sy * sx);
                            }
                        }
                        for a in taps(i) {
                            for b in taps(j) {
                                d.add(p.small_at(inputs, 1, client, [n, 2 * ty + a, 2 * tx + b, co]), 1.0);
                            }
                        }
                        sum.add(u, d);
                    }
                }
            }
        }
        if p.accumulate == 1 {
            sum.old(inputs.f(2, index));
        }
        Some(sum.eval(p.tiles(), 4))
    }
    fn cases(&self) -> Vec<WinogradParams> {
        let mut list = winograd::cases(plain);
        list.iter_mut().step_by(2).for_each(|p| p.accumulate = 1);
        list
    }
    fn contents(&self, p: &WinogradParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, if p.accumulate == 1 { Contents::NORMAL } else { Contents::Nan }]
    }
}
