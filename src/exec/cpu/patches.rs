//! Convolution geometry on the host: patches of the large side to matrix rows and back.

use crate::kernels::nn::conv::ConvParams;
use std::ops::Range;

/// Words of one gathered matrix: it stays in a core's second-level cache together with the other factor.
const PATCH_WORDS: usize = 128 * 1024;
/// A patch is cut into slices of whole kernel rows of about this many words, so that a slice covers enough pixels.
const SLICE_WORDS: usize = 1024;
/// A launch is cut into at least this many tasks if there are enough pixels.
const MIN_TASKS: usize = 4;

/// The parameters as indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) n: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) ci: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) co: usize,
    pub(super) k: usize,
    pub(super) stride: usize,
    pub(super) pad: usize,
}

impl Geometry {
    pub(super) fn new(p: &ConvParams) -> Self {
        let [n, h, w, ci, oh, ow, co, k, stride, pad] =
            [p.n, p.h, p.w, p.ci, p.oh, p.ow, p.co, p.k, p.stride, p.pad].map(|v| v as usize);
        Geometry { n, h, w, ci, oh, ow, co, k, stride, pad }
    }

    /// Words of one image of the large side.
    pub(super) fn image(&self) -> usize {
        self.h * self.w * self.ci
    }
    /// Words of a patch: one weight row.
    pub(super) fn row(&self) -> usize {
        self.k * self.k * self.ci
    }
    /// Pixels of the small side.
    pub(super) fn pixels(&self) -> usize {
        self.n * self.oh * self.ow
    }

    /// True when pixel i's patch is words `i * row ..` of the large side: nothing needs to be gathered.
    pub(super) fn contiguous(&self) -> bool {
        let whole = (self.h, self.w, self.oh, self.ow) == (self.k, self.k, 1, 1);
        let same = (self.k, self.stride, self.h, self.w) == (1, 1, self.oh, self.ow);
        self.pad == 0 && (whole || same)
    }

    /// Slices of kernel rows, each gathered and multiplied separately.
    pub(super) fn slices(self) -> impl Iterator<Item = Range<usize>> {
        let step = self.slice_rows();
        (0..self.k).step_by(step).map(move |ky| ky..(ky + step).min(self.k))
    }

    fn slice_rows(&self) -> usize {
        (SLICE_WORDS / (self.k * self.ci)).clamp(1, self.k)
    }

    /// Leading dimension of a gathered slice; not a power of two, because rows would then compete for a few cache sets.
    pub(super) fn leading(&self) -> usize {
        let width = (self.slice_rows() * self.k * self.ci).next_multiple_of(16);
        if width.is_multiple_of(128) { width + 16 } else { width }
    }

    /// Pixels gathered at a time.
    pub(super) fn band(&self) -> usize {
        (PATCH_WORDS / self.leading() / 8 * 8).clamp(32, 1024)
    }

    /// Pixels per task where pixels are independent of each other. Depends on the shape alone.
    pub(super) fn task_pixels(&self) -> usize {
        let share = self.pixels().div_ceil(MIN_TASKS).next_multiple_of(8);
        self.band().min(share)
    }

    /// Images per task where whole images are needed. Depends on the shape alone.
    pub(super) fn task_images(&self) -> usize {
        (self.band() / (self.oh * self.ow)).clamp(1, self.n.div_ceil(MIN_TASKS))
    }

    /// Position of a pixel index: image, row, column.
    fn position(&self, pixel: usize) -> [usize; 3] {
        let (image, rest) = (pixel / (self.oh * self.ow), pixel % (self.oh * self.ow));
        [image, rest / self.ow, rest % self.ow]
    }

    /// The position after `at`.
    fn step(&self, at: &mut [usize; 3]) {
        at[2] += 1;
        if at[2] == self.ow {
            *at = if at[1] + 1 == self.oh { [at[0] + 1, 0, 0] } else { [at[0], at[1] + 1, 0] };
        }
    }

    /// The taps along one axis that meet the large side of `side` from small coordinate `o`.
    fn meets(&self, o: usize, side: usize) -> Range<usize> {
        let first = self.pad.saturating_sub(o * self.stride);
        let end = (side + self.pad).saturating_sub(o * self.stride).min(self.k);
        first..end.max(first)
    }

    /// For each kernel row of `rows` that meets the image at pixel `at`, calls `f` with the offset in a patch slice,
    /// the offset on the large side and the word count of the run of taps.
    #[inline]
    fn runs(&self, at: [usize; 3], rows: Range<usize>, mut f: impl FnMut(usize, usize, usize)) {
        let [image, oy, ox] = at;
        let (ys, xs) = (self.meets(oy, self.h), self.meets(ox, self.w));
        if xs.is_empty() {
            return;
        }
        let x = ox * self.stride + xs.start - self.pad;
        let words = xs.len() * self.ci;
        for ky in ys.start.max(rows.start)..ys.end.min(rows.end) {
            let y = oy * self.stride + ky - self.pad;
            f(((ky - rows.start) * self.k + xs.start) * self.ci, ((image * self.h + y) * self.w + x) * self.ci, words);
        }
    }

    /// Gathers kernel rows `rows` of the patches of `pixels` into `out`, [`Geometry::leading`] words per pixel.
    pub(super) fn im2col(&self, large: &[f32], pixels: Range<usize>, rows: Range<usize>, out: &mut [f32]) {
        let width = rows.len() * self.k * self.ci;
        let full = rows.len() * self.k;
        let mut at = self.position(pixels.start);
        for patch in out.chunks_mut(self.leading()).take(pixels.len()) {
            let patch = &mut patch[..width];
            let mut met = 0;
            self.runs(at, rows.clone(), |_, _, words| met += words);
            if met < full * self.ci {
                patch.fill(0.0);
            }
            self.runs(at, rows.clone(), |to, from, words| copy(&mut patch[to..to + words], &large[from..from + words]));
            self.step(&mut at);
        }
    }

    /// Adds kernel rows `rows` of the patches of `pixels` onto the large side; the inverse of [`Geometry::im2col`].
    pub(super) fn col2im(&self, patches: &[f32], pixels: Range<usize>, rows: Range<usize>, large: &mut [f32]) {
        let mut at = self.position(pixels.start);
        for patch in patches.chunks(self.leading()).take(pixels.len()) {
            self.runs(at, rows.clone(), |from, to, words| {
                for (y, x) in large[to..to + words].iter_mut().zip(&patch[from..from + words]) {
                    *y += x;
                }
            });
            self.step(&mut at);
        }
    }

    /// Gathers the values that one tap meets at each of `pixels`: `ci` words per pixel, zeros for padding.
    pub(super) fn gather_tap(&self, large: &[f32], pixels: Range<usize>, [ky, kx]: [usize; 2], out: &mut [f32]) {
        let mut at = self.position(pixels.start);
        for to in out.chunks_mut(self.ci).take(pixels.len()) {
            let [image, oy, ox] = at;
            if self.meets(oy, self.h).contains(&ky) && self.meets(ox, self.w).contains(&kx) {
                let (y, x) = (oy * self.stride + ky - self.pad, ox * self.stride + kx - self.pad);
                let from = ((image * self.h + y) * self.w + x) * self.ci;
                copy(to, &large[from..from + self.ci]);
            } else {
                to.fill(0.0);
            }
            self.step(&mut at);
        }
    }
}

/// Copies a run; the short lengths of images with 1 and 3 channels without a call.
#[inline]
fn copy(to: &mut [f32], from: &[f32]) {
    fn fixed<const N: usize>(to: &mut [f32], from: &[f32]) {
        if let (Ok(to), Ok(from)) = (<&mut [f32; N]>::try_from(to), <&[f32; N]>::try_from(from)) {
            *to = *from;
        }
    }
    match to.len() {
        4 => fixed::<4>(to, from),
        9 => fixed::<9>(to, from),
        12 => fixed::<12>(to, from),
        _ => to.copy_from_slice(from),
    }
}
