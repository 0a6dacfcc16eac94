//! Convolution in Winograd's form, large side to small side; also the data gradient of a transposed convolution.

use super::winograd::{self, GROUP, PHASES, Sum, Transformed, WinogradParams, forward_at, parts, transformed, window};
use crate::kernels::{Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, ceil_div, grid_fits, split};

/// A tile's output is `y[a, b] = m[a, b] + m[a, b + 1] + m[a + 1, b] + m[a + 1, b + 1]` with
/// `m[i, j] = sum over p, q, ci of u[i, j] v[i, j]`, where u is the transform of the 3 x 3 window of phase (p, q).
pub struct WinogradConv2d;

impl Kernel for WinogradConv2d {
    type Params = WinogradParams;
    type Operands = Arity<3>;
    const STEM: &'static str = "nn/winograd_conv2d";
    const FORMULA: &'static str =
        "small = large conv w (4 x 4, stride 2, padding 1) of v = winograd_weights(w): 9 products per 2 x 2 pixels";
    const BINDINGS: &'static [Binding; 3] = &[
        Binding::read("large", "[clients][n][h][w][ci], client stride large_stride"),
        Binding::read("v", "[clients][9][co/16][4][ci][16], client stride weight_stride"),
        Binding::write("small", "[clients][n][h/2][w/2][co], client stride small_stride"),
    ];
    fn extents(&self, p: &WinogradParams) -> Result<[usize; 3], String> {
        let extents = p.check(transformed)?;
        grid_fits(&self.build(p, Class::Direct))?;
        Ok(extents)
    }
    fn build(&self, p: &WinogradParams, _class: Class) -> Build {
        let grid = [ceil_div(p.tiles(), GROUP), p.co / 4, p.clients];
        Build { file: "nn/winograd_conv2d.wgsl", consts: vec![("GROUP", GROUP)], grid }
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
        let (client, at) = split(index, p.clients, p.small_stride);
        let at = at as u32;
        if at >= p.small() {
            return None;
        }
        let (co, x, y, n) = (at % p.co, at / p.co % p.ow(), at / p.co / p.ow() % p.oh(), at / p.co / p.ow() / p.oh());
        let mut sum = Sum::default();
        for i in parts(y % 2) {
            for j in parts(x % 2) {
                for phase in 0..PHASES {
                    for ci in 0..p.ci {
                        let mut u = Transformed::default();
                        for (dy, sy) in window(i) {
                            for (dx, sx) in window(j) {
                                let row = (y / 2 * 4 + 2 * dy + phase / 2).wrapping_sub(1);
                                let column = (x / 2 * 4 + 2 * dx + phase % 2).wrapping_sub(1);
                                u.add(p.large_at(inputs, 0, client, [n, row, column, ci]), sy * sx);
                            }
                        }
                        let at = forward_at([p.ci, p.co], 3 * i + j, phase, ci, co);
                        let v = inputs.f(1, client * p.weight_stride as usize + at as usize);
                        sum.add(u, Transformed { value: v, scale: v.abs() });
                    }
                }
            }
        }
        Some(sum.eval(PHASES * p.ci, 2))
    }
    fn cases(&self) -> Vec<WinogradParams> {
        winograd::cases(transformed)
    }
    fn contents(&self, _: &WinogradParams) -> [Contents; 3] {
        [Contents::NORMAL, Contents::NORMAL, Contents::Nan]
    }
}
