//! Convolutions with kernel 4, stride 2 and padding 1 in Winograd's form F(2 x 2, 2 x 2): the parameter block, the
//! transforms in f64, and what the four rows share.
//!
//! Write a tap as ky = 2 a + p. With the phase image P_p\[j\] = X\[2 j + p - 1\], one axis of the convolution is
//! y\[o\] = sum over p and a of P_p\[o + a\] W\[2 a + p\]: a correlation with two taps and stride 1, for each of two phases.
//! Two such outputs need three products instead of four (Winograd 1980; Lavin and Gray, arXiv 1509.09308; the split of
//! strided kernels: arXiv 2002.00552):
//!
//! ```text
//! y0 = x0 w0 + x1 w1 = m0 + m1      m0 = (x0 - x1) w0      m1 = x1 (w0 + w1)      m2 = (x2 - x1) w1
//! y1 = x1 w0 + x2 w1 = m1 + m2
//! ```
//!
//! Along both axes a *tile* of 2 x 2 pixels of the small side (4 x 4 of the large side) takes 9 products instead of 16,
//! its *components*. The same holds for both gradients: a phase of the data gradient is a correlation with the taps in
//! reverse order, and the weight gradient is one whose two taps are pixels of the small side.

use super::conv::ConvParams;
use crate::kernels::{Cost, Eval, Inputs, MAX_GROUPS, U, flushed, gamma, product, strided};

/// Channels of a panel of transformed weights: both sides have a multiple of it.
pub const PANEL: u32 = 16;
/// Components of a tile.
pub const COMPONENTS: u32 = 9;
/// Phases of the large side: parity of row and column.
pub const PHASES: u32 = 4;

/// Tiles of a workgroup of the convolutions, set in their shaders.
pub(super) const GROUP: u32 = 32;
/// Tiles of a client at most, for the same reason as [`MOST_CHANNELS`].
const MOST_TILES: u32 = MAX_GROUPS / 2 + 1;
/// Channels of a side at most: an invocation loops over them, and llvmpipe ends loops after 65535 iterations.
const MOST_CHANNELS: u32 = 16384;

crate::params! {
    /// Geometry of a convolution with kernel 4, stride 2 and padding 1; strides are client strides in words. The small
    /// side has half the height and width.
    pub struct WinogradParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of each client.
        n: u32 in Count,
        /// Height of the large side, a multiple of 4.
        h: u32 in Multiple(4),
        /// Width of the large side, a multiple of 4.
        w: u32 in Multiple(4),
        /// Channels of the large side, a multiple of 16.
        ci: u32 in Multiple(PANEL),
        /// Channels of the small side, a multiple of 16.
        co: u32 in Multiple(PANEL),
        /// Client stride of the large side.
        large_stride: u32 in Stride,
        /// Client stride of the transformed weights, or of the weight gradient.
        weight_stride: u32 in Stride,
        /// Client stride of the small side.
        small_stride: u32 in Stride,
        /// Weight gradient only: 1 adds to the old value.
        accumulate: u32 in Range(0, 1),
    }
}

impl WinogradParams {
    /// The geometry of a convolution if one client's shape has this form, however many clients there are. Client strides
    /// are those of `p`, except that of transformed weights.
    pub fn of(p: &ConvParams) -> Option<Self> {
        let form = (p.k, p.stride, p.pad, p.splits) == (4, 2, 1, 1);
        let sides = [p.h, p.w].iter().all(|s| s.is_multiple_of(4)) && (p.oh, p.ow) == (p.h / 2, p.w / 2);
        let channels = [p.ci, p.co].iter().all(|c| c.is_multiple_of(PANEL));
        let of = || WinogradParams {
            clients: p.clients,
            n: p.n,
            h: p.h,
            w: p.w,
            ci: p.ci,
            co: p.co,
            large_stride: p.large_stride,
            weight_stride: transformed(p.ci, p.co),
            small_stride: p.small_stride,
            accumulate: p.accumulate,
        };
        (form && sides && channels).then(of).filter(|p| WinogradParams { clients: 1, ..*p }.check(transformed).is_ok())
    }

    /// Height of the small side.
    pub fn oh(&self) -> u32 {
        self.h / 2
    }
    /// Width of the small side.
    pub fn ow(&self) -> u32 {
        self.w / 2
    }
    /// Tiles side by side.
    pub fn across(&self) -> u32 {
        self.w / 4
    }
    /// Tiles one below the other, in an image.
    pub fn down(&self) -> u32 {
        self.h / 4
    }
    /// Tiles of a client.
    pub fn tiles(&self) -> u32 {
        self.n * self.down() * self.across()
    }
    /// Words of one client's large side.
    pub fn large(&self) -> u32 {
        self.n * self.h * self.w * self.ci
    }
    /// Words of one client's small side.
    pub fn small(&self) -> u32 {
        self.n * self.oh() * self.ow() * self.co
    }

    /// Checks the geometry; returns the extents of (large, weights, small), with `weights(ci, co)` words of weights.
    ///
    /// # Errors
    /// Names the parameter that is out of range.
    pub(super) fn check(&self, weights: fn(u32, u32) -> u32) -> Result<[usize; 3], String> {
        for (side, name) in [(self.h, "height"), (self.w, "width")] {
            if !side.is_multiple_of(4) {
                return Err(format!("{name} {side} of the large side: must be a multiple of 4"));
            }
        }
        check_channels(self.ci, self.co)?;
        if self.accumulate > 1 {
            return Err(format!("accumulate {}: must be 0 or 1", self.accumulate));
        }
        product("large side", &[self.n, self.h, self.w, self.ci])?;
        product("small side", &[self.n, self.oh(), self.ow(), self.co])?;
        if self.tiles() > MOST_TILES {
            return Err(format!("{} tiles of each client: at most {MOST_TILES}", self.tiles()));
        }
        Ok([
            strided(self.clients, self.large_stride, self.large())?,
            strided(self.clients, self.weight_stride, weights(self.ci, self.co))?,
            strided(self.clients, self.small_stride, self.small())?,
        ])
    }

    /// Operations on the nine products of every tile, and bytes with `weights` words of weights. The additions of the
    /// transforms are few beside the products and not counted.
    pub(super) fn cost(&self, weights: u32) -> Cost {
        let (c, tiles) = (self.clients as f64, self.tiles() as f64);
        Cost {
            flops: 2.0 * c * tiles * f64::from(transformed(self.ci, self.co)),
            bytes: 4.0 * c * (self.large() as f64 + weights as f64 + self.small() as f64),
        }
    }

    /// f64 value of a large-side element at a position that may be padding: `None` there.
    pub(super) fn large_at(&self, i: &Inputs, slot: usize, client: usize, [n, y, x, c]: [u32; 4]) -> Option<f64> {
        if y >= self.h || x >= self.w {
            return None;
        }
        let at = ((n * self.h + y) * self.w + x) * self.ci + c;
        Some(i.f(slot, client * self.large_stride as usize + at as usize))
    }

    /// f64 value of a small-side element at a position that may be padding: `None` there.
    pub(super) fn small_at(&self, i: &Inputs, slot: usize, client: usize, [n, y, x, c]: [u32; 4]) -> Option<f64> {
        if y >= self.oh() || x >= self.ow() {
            return None;
        }
        let at = ((n * self.oh() + y) * self.ow() + x) * self.co + c;
        Some(i.f(slot, client * self.small_stride as usize + at as usize))
    }
}

/// Words of one client's transformed weights of a layer.
pub fn transformed(ci: u32, co: u32) -> u32 {
    COMPONENTS * PHASES * ci * co
}

/// Words of one client's weights of a layer.
pub fn plain(ci: u32, co: u32) -> u32 {
    16 * ci * co
}

/// Word of a transformed weight for the convolution, `[9][co / 16][4][ci][16]`.
pub(super) fn forward_at([ci, co]: [u32; 2], component: u32, phase: u32, c: u32, o: u32) -> u32 {
    (((component * (co / PANEL) + o / PANEL) * PHASES + phase) * ci + c) * PANEL + o % PANEL
}

/// Word of a transformed weight for the transposed convolution, `[9][4][ci / 16][co][16]`.
pub(super) fn transposed_at([ci, co]: [u32; 2], component: u32, phase: u32, c: u32, o: u32) -> u32 {
    (((component * PHASES + phase) * (ci / PANEL) + c / PANEL) * co + o) * PANEL + c % PANEL
}

/// Checks the channels of both sides and the size of the transformed weights.
pub(super) fn check_channels(ci: u32, co: u32) -> Result<(), String> {
    for (channels, side) in [(ci, "large"), (co, "small")] {
        if channels == 0 || !channels.is_multiple_of(PANEL) || channels > MOST_CHANNELS {
            return Err(format!(
                "{channels} channels of the {side} side: must be a multiple of {PANEL}, at most {MOST_CHANNELS}"
            ));
        }
    }
    product("transformed weights", &[COMPONENTS, PHASES, ci, co]).map(|_| ())
}

/// The components that output 0 or 1 of an axis adds up.
pub(super) fn parts(output: u32) -> [u32; 2] {
    [output, output + 1]
}

/// Component `i` of one axis of a window: x0 - x1, x1 or x2 - x1, as positions with their signs.
pub(super) fn window(i: u32) -> &'static [(u32, f64)] {
    [&[(0, 1.0), (1, -1.0)][..], &[(1, 1.0)], &[(2, 1.0), (1, -1.0)]][i as usize]
}

/// Component `i` of one axis of two taps: w0, w0 + w1 or w1, as positions.
pub(super) fn taps(i: u32) -> &'static [u32] {
    [&[0][..], &[0, 1], &[1]][i as usize]
}

/// A transformed value: a sum, and the sum of its terms' magnitudes.
#[derive(Clone, Copy, Default)]
pub(super) struct Transformed {
    pub(super) value: f64,
    pub(super) scale: f64,
}

impl Transformed {
    /// Adds a value with its sign; padding counts as 0.
    pub(super) fn add(&mut self, value: Option<f64>, sign: f64) {
        let value = value.unwrap_or(0.0);
        self.value += sign * value;
        self.scale += value.abs();
    }
}

/// A sum of products of transformed values.
#[derive(Default)]
pub(super) struct Sum {
    value: f64,
    scale: f64,
    lost: f64,
}

impl Sum {
    /// Adds the product of a component.
    pub(super) fn add(&mut self, u: Transformed, v: Transformed) {
        self.value += u.value * v.value;
        self.scale += u.scale * v.scale;
        // A transform flushes at most four terms and two sums.
        self.lost += 3.0 * flushed(&[u.scale, v.scale]);
    }

    /// Adds an old value.
    pub(super) fn old(&mut self, value: f64) {
        self.value += value;
        self.scale += value.abs();
    }

    /// The element, if each of its four components sums `depth` products. Roundings of a term: `depth` in the product
    /// and its sum, two in the transform of each factor that the kernel transforms (`transforms` in all), two in the
    /// transform of the result, one for an old value.
    ///
    /// The bound counts the magnitudes of all products that enter the element, also of those that cancel. It is the
    /// form's own, wider than that of the direct sum.
    pub(super) fn eval(&self, depth: u32, transforms: usize) -> Eval {
        let roundings = depth as usize + 3 + transforms;
        let bound = gamma(roundings) * self.scale + U * self.value.abs() + self.lost;
        Eval::within(self.value, bound).over(roundings)
    }
}

/// Validation shapes of the three convolution rows: one tile, an image that is not square, several panels of either
/// side, several clients.
pub(super) fn cases(weights: fn(u32, u32) -> u32) -> Vec<WinogradParams> {
    [(1, 1, [4, 4], [16, 16]), (2, 3, [8, 4], [16, 32]), (3, 1, [4, 12], [32, 16]), (1, 5, [8, 8], [16, 16])]
        .map(|(clients, n, [h, w], [ci, co])| {
            let mut p = WinogradParams { clients, n, h, w, ci, co, ..Default::default() };
            let gap = if clients > 1 { 64 } else { 0 };
            p.large_stride = p.large().next_multiple_of(64) + gap;
            p.weight_stride = weights(ci, co) + 2 * gap;
            p.small_stride = p.small().next_multiple_of(64) + gap;
            p
        })
        .to_vec()
}
