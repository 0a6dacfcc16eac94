//! Weights of a 4 x 4 convolution as Winograd's form multiplies them.

use super::winograd::{PANEL, PHASES, Transformed, check_channels, forward_at, taps, transformed, transposed_at};
use crate::kernels::{
    Arity, Binding, Build, Class, Contents, Cost, Eval, Inputs, Kernel, U, flushed, gamma, linear_grid, split, strided,
};

crate::params! {
    /// Parameters of [`WinogradWeights`].
    pub struct WinogradWeightsParams {
        /// Clients.
        clients: u32 in Count,
        /// Channels of the large side, a multiple of 16.
        ci: u32 in Multiple(PANEL),
        /// Channels of the small side, a multiple of 16.
        co: u32 in Multiple(PANEL),
        /// Client stride of the weights.
        w_stride: u32 in Stride,
        /// Client stride of the transformed weights.
        y_stride: u32 in Stride,
        /// 0: for the convolution; 1: for the transposed convolution.
        transposed: u32 in Range(0, 1),
    }
}

/// `y[i, j] = sum of the taps w[2 a + p, 2 b + q]` with a in taps(i), b in taps(j), where taps are (0), (0, 1), (1); in reverse
/// order for the transposed convolution.
pub struct WinogradWeights;

impl Kernel for WinogradWeights {
    type Params = WinogradWeightsParams;
    type Operands = Arity<2>;
    const STEM: &'static str = "nn/winograd_weights";
    const FORMULA: &'static str =
        "y[i,j; p,q; ci,co] = sum(a in taps(i), b in taps(j)) w[co, 2a+p, 2b+q, ci], taps = (0), (0,1), (1)";
    const BINDINGS: &'static [Binding; 2] = &[
        Binding::read("w", "[clients][co][4][4][ci], client stride w_stride"),
        Binding::write(
            "y",
            "[clients][9][co/16][4][ci][16], transposed [clients][9][4][ci/16][co][16], client stride y_stride",
        ),
    ];
    fn extents(&self, p: &WinogradWeightsParams) -> Result<[usize; 2], String> {
        if p.transposed > 1 {
            return Err(format!("transposed {}: must be 0 or 1", p.transposed));
        }
        check_channels(p.ci, p.co)?;
        Ok([
            strided(p.clients, p.w_stride, 16 * p.ci * p.co)?,
            strided(p.clients, p.y_stride, transformed(p.ci, p.co))?,
        ])
    }
    fn build(&self, p: &WinogradWeightsParams, _class: Class) -> Build {
        Build::plain("nn/winograd_weights.wgsl", linear_grid(PHASES * p.ci * p.co, 256, p.clients))
    }
    fn cost(&self, p: &WinogradWeightsParams) -> Cost {
        let weights = f64::from(p.clients) * f64::from(p.ci) * f64::from(p.co);
        Cost { flops: 32.0 * weights, bytes: 4.0 * weights * (16.0 + 36.0) }
    }
    fn at(&self, p: &WinogradWeightsParams, inputs: &Inputs, _slot: usize, index: usize) -> Option<Eval> {
        let (client, at) = split(index, p.clients, p.y_stride);
        let at = at as u32;
        if at >= transformed(p.ci, p.co) {
            return None;
        }
        let (component, within) = (at / (PHASES * p.ci * p.co), at % (PHASES * p.ci * p.co));
        let (phase, c, o) = if p.transposed == 1 {
            let (panel, row, lane) = (within / PANEL / p.co, within / PANEL % p.co, within % PANEL);
            (panel / (p.ci / PANEL), panel % (p.ci / PANEL) * PANEL + lane, row)
        } else {
            let (panel, row, lane) =
                (within / PANEL / (PHASES * p.ci), within / PANEL % (PHASES * p.ci), within % PANEL);
            (row / p.ci, row % p.ci, panel * PANEL + lane)
        };
        let place = if p.transposed == 1 { transposed_at } else { forward_at };
        debug_assert_eq!(place([p.ci, p.co], component, phase, c, o), at);
        let mut sum = Transformed::default();
        for a in taps(component / 3) {
            for b in taps(component % 3) {
                let [a, b] = [*a, *b].map(|tap| if p.transposed == 1 { 1 - tap } else { tap });
                let (ky, kx) = (2 * a + phase / 2, 2 * b + phase % 2);
                let from = client * p.w_stride as usize + (((o * 4 + ky) * 4 + kx) * p.ci + c) as usize;
                sum.add(Some(inputs.f(0, from)), 1.0);
            }
        }
        // A single tap is copied; two or four are added in pairs.
        if taps(component / 3).len() * taps(component % 3).len() == 1 {
            return Some(Eval::exact(sum.value));
        }
        let bound = gamma(2) * sum.scale + U * sum.value.abs() + flushed(&[sum.scale]);
        Some(Eval::within(sum.value, bound).over(2))
    }
    fn cases(&self) -> Vec<WinogradWeightsParams> {
        [(1, 16, 16, 0), (2, 32, 16, 0), (2, 16, 48, 0), (1, 16, 32, 1), (3, 48, 16, 1), (1, 32, 48, 1)]
            .map(|(clients, ci, co, transposed)| {
                let gap = if clients > 1 { 64 } else { 0 };
                let [w_stride, y_stride] = [16 * ci * co + gap, transformed(ci, co) + 2 * gap];
                WinogradWeightsParams { clients, ci, co, w_stride, y_stride, transposed }
            })
            .to_vec()
    }
    fn contents(&self, _: &WinogradWeightsParams) -> [Contents; 2] {
        [Contents::NORMAL, Contents::Nan]
    }
    fn exact_on_integers(&self, _: &WinogradWeightsParams) -> bool {
        true
    }
}
