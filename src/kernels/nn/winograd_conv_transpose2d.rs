//! Transposed convolution in Winograd's form, small side to large side; also the data gradient of a convolution.

use super::winograd::{
    self, GROUP, PHASES, Sum, Transformed, WinogradParams, parts, transformed, transposed_at, window,
};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, ceil_div, grid_fits, split};

/// Each phase (p, q) of the large side is a correlation of the small side with two taps along each axis, in reverse
/// order: a tile's 2 x 2 pixels of a phase are those of [`WinogradConv2d`](super::winograd_conv2d::WinogradConv2d), with
/// the 3 x 3 window of the small side that starts at (2 ty - p, 2 tx - q).
pub struct WinogradConvTranspose2d;

impl Kernel for WinogradConvTranspose2d {
    type Params = WinogradParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/winograd_conv_transpose2d";
    const FORMULA: &'static str = "large = small conv-transposed w (4 x 4, stride 2, padding 1) of v = winograd_weights(w, transposed): 9 products per 2 x 2 \
         pixels of each phase";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("small", "[clients][n][h/2][w/2][co], client stride small_stride"),
        Binding::read("v", "[clients][9][4][ci/16][co][16], client stride weight_stride"),
        Binding::write("large", "[clients][n][h][w][ci], client stride large_stride"),
    ];
    fn extents(&self, p: &WinogradParams) -> Result<[usize; 3], String> {
        let [large, weights, small] = p.check(transformed)?;
        grid_fits(&self.build(p, Class::Direct))?;
        Ok([small, weights, large])
    }
    fn build(&self, p: &WinogradParams, _class: Class) -> Build {
        let grid = [ceil_div(p.tiles(), GROUP), p.ci / 4, p.clients * PHASES];
        Build { file: "nn/winograd_conv_transpose2d.wgsl", consts: vec![("GROUP", GROUP)], grid }
    }
    fn cost(&self, p: &WinogradParams) -> Cost {
        p.cost(transformed(p.ci, p.co))
    }
    fn exact_on_integers(&self, _: &WinogradParams) -> bool {
        true
    }
    /// The zeros around the images.
    fn meets_padding(&self, _: &WinogradParams) -> &'static [usize] {
        &[1]
    }
    fn at(&self, p: &WinogradParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, at) = split(index, p.clients, p.large_stride);
        let at = at as u32;
        if at >= p.large() {
            return None;
        }
        let (ci, x, y, n) = (at % p.ci, at / p.ci % p.w, at / p.ci / p.w % p.h, at / p.ci / p.w / p.h);
        // Row 4 ty + 2 a + 1 - p of the large side is row a of phase p in tile ty.
        let (py, px) = (1 - y % 2, 1 - x % 2);
        let mut sum = Sum::default();
        for i in parts(y % 4 / 2) {
            for j in parts(x % 4 / 2) {
                for co in 0..p.co {
                    let mut u = Transformed::default();
                    for (dy, sy) in window(i) {
                        for (dx, sx) in window(j) {
                            let row = (y / 4 * 2 + dy).wrapping_sub(py);
                            let column = (x / 4 * 2 + dx).wrapping_sub(px);
                            u.add(p.small_at(inputs, 0, client, [n, row, column, co]), sy * sx);
                        }
                    }
                    let at = transposed_at([p.ci, p.co], 3 * i + j, 2 * py + px, ci, co);
                    let v = inputs.f(1, client * p.weight_stride as usize + at as usize);
                    sum.add(u, Transformed { value: v, scale: v.abs() });
                }
            }
        }
        Some(sum.eval(p.co, 2))
    }
    fn cases(&self) -> Vec<WinogradParams> {
        winograd::cases(transformed)
    }
    fn contents(&self, _: &WinogradParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
}
