//! The parameter block and its rules, shared by the three convolution rows.

crate::params! {
    /// Geometry of a convolution and of its two gradients; strides are client strides in words.
    pub struct ConvParams {
        /// Clients.
        clients: u32 in Count,
        /// Images of each client.
        n: u32 in Count,
        /// Height of the large side.
        h: u32 in Count,
        /// Width of the large side.
        w: u32 in Count,
        /// Channels of the large side.
        ci: u32 in Count,
        /// Height of the small side.
        oh: u32 in Follows(|p| p.fitted(p.h)),
        /// Width of the small side.
        ow: u32 in Follows(|p| p.fitted(p.w)),
        /// Channels of the small side.
        co: u32 in Count,
        /// Kernel side, 1..=7.
        k: u32 in Range(1, 7),
        /// Stride, 1 or 2.
        stride: u32 in Range(1, 2),
        /// Padding, below k.
        pad: u32 in Between(|p| [0, p.k - 1]),
        /// Client stride of the large side.
        large_stride: u32 in Stride,
        /// Client stride of the weights (or their gradient).
        weight_stride: u32 in Stride,
        /// Client stride of the small side.
        small_stride: u32 in Stride,
        /// Weight gradient only: parts of the sum over pixels (1: written directly to the gradient; more: partial
        /// sums).
        splits: u32 in Range(1, 5),
        /// Weight gradient only, with one split: 1 adds to the old value.
        accumulate: u32 in Range(0, 1),
    }
}

use crate::kernels::{Contents, Cost, Inputs, MAX_GROUPS, U, flushed, gamma, product, strided};

/// Minimum pixels per part of a weight gradient's sum, if the sum has that many: four steps of a tiled shader.
pub(super) const LEAST_PART: u32 = 64;

impl ConvParams {
    /// Kernel taps, k^2.
    pub fn taps(&self) -> u32 {
        self.k * self.k
    }
    /// Words of one client's large side.
    pub fn large(&self) -> u32 {
        self.n * self.h * self.w * self.ci
    }
    /// Words of one client's small side.
    pub fn small(&self) -> u32 {
        self.n * self.oh * self.ow * self.co
    }
    /// Words of one client's weights.
    pub fn weights(&self) -> u32 {
        self.co * self.taps() * self.ci
    }
    /// Pixels of one client's small side.
    pub fn pixels(&self) -> u32 {
        self.n * self.oh * self.ow
    }

    /// The side of the small map of a convolution: floor((side + 2 pad - k) / stride) + 1; `None` if the kernel does not fit.
    pub fn small_side(side: u32, k: u32, stride: u32, pad: u32) -> Option<u32> {
        Some(side.checked_add(2 * pad)?.checked_sub(k)? / stride + 1)
    }

    /// The side of the large map of a transposed convolution: (side - 1) stride - 2 pad + k.
    pub fn large_side(side: u32, k: u32, stride: u32, pad: u32) -> Option<u32> {
        side.checked_sub(1)?.checked_mul(stride)?.checked_add(k)?.checked_sub(2 * pad).filter(|s| *s > 0)
    }

    /// The small side for a large side; 0, which the shape rule rejects, if the kernel does not fit.
    fn fitted(&self, side: u32) -> u32 {
        Self::small_side(side, self.k, self.stride, self.pad).unwrap_or(0)
    }

    /// Geometry with client strides rounded up to the bank's alignment, one split, no accumulation.
    pub fn new(clients: u32, n: u32, large: [u32; 3], small: [u32; 3], k: u32, stride: u32, pad: u32) -> Self {
        let mut p = ConvParams {
            clients,
            n,
            h: large[0],
            w: large[1],
            ci: large[2],
            oh: small[0],
            ow: small[1],
            co: small[2],
            k,
            stride,
            pad,
            splits: 1,
            ..Default::default()
        };
        p.large_stride = p.large().next_multiple_of(64);
        p.weight_stride = p.weights().next_multiple_of(64);
        p.small_stride = p.small().next_multiple_of(64);
        p
    }

    /// Checks the geometry; returns the extents of (large, weights, small).
    ///
    /// # Errors
    /// Names the parameter that is out of range.
    pub fn check(&self) -> Result<[usize; 3], String> {
        if !(1..=7).contains(&self.k) {
            return Err(format!("kernel side {}: must be 1 to 7", self.k));
        }
        if !(1..=2).contains(&self.stride) {
            return Err(format!("stride {}: must be 1 or 2", self.stride));
        }
        if self.pad >= self.k {
            return Err(format!("padding {}: must be below the kernel side {}", self.pad, self.k));
        }
        for (large, small) in [(self.h, self.oh), (self.w, self.ow)] {
            if Self::small_side(large, self.k, self.stride, self.pad) != Some(small) {
                return Err(format!(
                    "sides {large} and {small} do not match at kernel {}, stride {}, padding {}",
                    self.k, self.stride, self.pad
                ));
            }
        }
        if self.splits == 0 || (self.splits > 1 && self.accumulate != 0) || self.accumulate > 1 {
            return Err(format!(
                "splits {}, accumulate {}: only one split can accumulate",
                self.splits, self.accumulate
            ));
        }
        if self.splits > MAX_GROUPS / self.clients.max(1) {
            return Err(format!("{} splits of {} clients: at most {MAX_GROUPS} in total", self.splits, self.clients));
        }
        product("large side", &[self.n, self.h, self.w, self.ci])?;
        product("weights", &[self.co, self.k, self.k, self.ci, self.splits])?;
        product("small side", &[self.n, self.oh, self.ow, self.co])?;
        Ok([
            strided(self.clients, self.large_stride, self.large())?,
            strided(self.clients, self.weight_stride, self.weights() * self.splits)?,
            strided(self.clients, self.small_stride, self.small())?,
        ])
    }

    /// Channels per load of the tiled shaders.
    pub(super) fn lanes(&self) -> u32 {
        if self.ci.is_multiple_of(4) && self.co.is_multiple_of(4) { 4 } else { 1 }
    }

    /// Rejects parts of the pixel sum that exceed the loop limit of one invocation: llvmpipe silently ends an
    /// invocation's loops after 65535 iterations in total, and an outer loop takes some.
    ///
    /// # Errors
    /// States the length of a part.
    pub(super) fn check_part(&self) -> Result<(), String> {
        let part = self.pixels().div_ceil(self.splits);
        if part > MAX_GROUPS / 2 + 1 {
            return Err(format!("{part} pixels in each of {} parts: at most {}", self.splits, MAX_GROUPS / 2 + 1));
        }
        Ok(())
    }

    /// Flops are the same for all three passes when every tap is counted, including those on padding.
    pub(super) fn cost(&self) -> Cost {
        let c = self.clients as f64;
        Cost {
            flops: 2.0 * c * self.pixels() as f64 * self.weights() as f64,
            bytes: 4.0 * c * (self.large() as f64 + self.weights() as f64 + self.small() as f64),
        }
    }

    /// The pixel of the large side that tap (ky, kx) of small pixel (oy, ox) meets, unless it is padding.
    pub(super) fn meet(&self, oy: u32, ox: u32, ky: u32, kx: u32) -> Option<(u32, u32)> {
        let y = (oy * self.stride + ky).checked_sub(self.pad)?;
        let x = (ox * self.stride + kx).checked_sub(self.pad)?;
        (y < self.h && x < self.w).then_some((y, x))
    }

    /// f64 value of a large-side element.
    pub(super) fn large_at(&self, i: &Inputs, slot: usize, client: usize, n: u32, yx: (u32, u32), c: u32) -> f64 {
        let at = ((n * self.h + yx.0) * self.w + yx.1) * self.ci + c;
        i.f(slot, client * self.large_stride as usize + at as usize)
    }

    /// f64 value of a small-side element.
    pub(super) fn small_at(&self, i: &Inputs, slot: usize, client: usize, n: u32, yx: (u32, u32), c: u32) -> f64 {
        let at = ((n * self.oh + yx.0) * self.ow + yx.1) * self.co + c;
        i.f(slot, client * self.small_stride as usize + at as usize)
    }

    /// f64 value of a weight.
    pub(super) fn weight_at(&self, i: &Inputs, slot: usize, client: usize, co: u32, tap: u32, ci: u32) -> f64 {
        let at = (co * self.taps() + tap) * self.ci + ci;
        i.f(slot, client * self.weight_stride as usize + at as usize)
    }
}

/// Pixels of a lane in the shaders for subgroups of 8 lanes: four, or fewer on small maps, so that there are enough workgroups
/// for two cores. `groups`: the workgroups of one client with that many pixels each.
pub(super) fn enough(groups: impl Fn(u32) -> u32) -> u32 {
    [4, 2].into_iter().find(|tn| groups(*tn) >= 8).unwrap_or(1)
}

/// Sum of products in index order with its magnitude: value, sum of |terms|, number of terms.
#[derive(Default)]
pub(super) struct Sum {
    value: f64,
    scale: f64,
    lost: f64,
    terms: usize,
}

impl Sum {
    pub(super) fn add(&mut self, x: f64, w: f64) {
        let term = x * w;
        self.value += term;
        self.scale += term.abs();
        self.lost += flushed(&[x, w]);
        self.terms += 1;
    }
    /// |error| <= gamma(K + 1) sum|terms| for K products summed in any order, plus the rounding of the reference itself
    /// and what a device may flush to 0.
    pub(super) fn eval(&self) -> crate::kernels::Eval {
        let bound = gamma(self.terms + 1) * self.scale + U * self.value.abs() + self.lost;
        crate::kernels::Eval::within(self.value, bound).over(self.terms + 1)
    }
}

/// A validation shape.
pub(super) fn case(
    clients: u32,
    n: u32,
    [h, w]: [u32; 2],
    [ci, co]: [u32; 2],
    k: u32,
    stride: u32,
    pad: u32,
) -> ConvParams {
    let side = |s| ConvParams::small_side(s, k, stride, pad).expect("case fits");
    let mut p = ConvParams::new(clients, n, [h, w, ci], [side(h), side(w), co], k, stride, pad);
    if clients > 1 {
        p.large_stride += 64;
        p.weight_stride += 128;
    }
    p
}

/// Validation shapes of all three rows: the network's layers at small size, both ends, odd and prime sides, every
/// kernel side, several clients. Rows add shapes for their larger tiles.
pub(super) fn cases() -> Vec<ConvParams> {
    vec![
        case(1, 2, [16, 16], [3, 8], 4, 2, 1),
        case(2, 3, [8, 8], [16, 32], 4, 2, 1),
        case(3, 5, [8, 8], [32, 16], 4, 2, 1),
        case(2, 3, [4, 4], [32, 1], 4, 1, 0),
        case(2, 5, [4, 4], [20, 10], 4, 1, 0),
        case(1, 1, [7, 5], [5, 7], 3, 1, 1),
        case(2, 2, [9, 11], [4, 17], 5, 2, 2),
        case(1, 3, [13, 6], [12, 68], 3, 2, 1),
        case(1, 1, [1, 1], [1, 1], 1, 1, 0),
        case(2, 1, [10, 10], [1, 3], 7, 2, 6),
        case(1, 2, [12, 9], [6, 4], 6, 1, 3),
        case(1, 4, [6, 6], [64, 96], 2, 2, 0),
        // One more than whole steps of the sum, in every row.
        case(1, 1, [11, 3], [17, 17], 1, 1, 0),
        // More large-side channels than one workgroup computes.
        case(1, 1, [5, 6], [68, 7], 3, 1, 1),
    ]
}

/// The contents of the three operands of a case, except the output.
pub(super) fn contents(output: usize) -> [Contents; 3] {
    [0, 1, 2].map(|slot| if slot == output { Contents::Nan } else { Contents::NORMAL })
}
