//! Transforms of Winograd's form ([`crate::kernels::nn::winograd`]) on vectors of channels. Transformed values lie in
//! panels of 16 channels, `[9][panels][tiles][16]`, as [`Product`](super::panel::Product) reads them.

mod gradient;
mod passes;
mod weights;
mod windows;

pub(in crate::exec::cpu) use gradient::Gradient;
pub(in crate::exec::cpu) use passes::{Backward, Forward};
pub(in crate::exec::cpu) use weights::{BackwardWeights, ForwardWeights};
pub(in crate::exec::cpu) use windows::{LargeWindows, Part, SmallTaps};

use crate::kernels::nn::winograd::{COMPONENTS, PHASES, WinogradParams};
use pulp::Simd;
use std::marker::PhantomData;

const NINE: usize = COMPONENTS as usize;
const FOUR: usize = PHASES as usize;
/// Tiles of a task: a multiple of the heights 6 and 12 of full groups of rows.
const TASK_TILES: usize = 48;
/// Scratch words of a task at most, if one row of tiles does not need more.
const TASK_WORDS: usize = 1024 * 1024;
/// A client is cut into at least this many tasks if it has enough rows of tiles.
const MIN_TASKS: usize = 4;

/// The geometry as indices.
#[derive(Clone, Copy, Debug)]
pub(in crate::exec::cpu) struct Tiles {
    pub(in crate::exec::cpu) h: usize,
    pub(in crate::exec::cpu) w: usize,
    pub(in crate::exec::cpu) ci: usize,
    pub(in crate::exec::cpu) co: usize,
    /// Tiles side by side.
    pub(in crate::exec::cpu) across: usize,
    /// Rows of tiles of all images.
    pub(in crate::exec::cpu) rows: usize,
}

impl Tiles {
    pub(in crate::exec::cpu) fn new(p: &WinogradParams) -> Self {
        let [h, w, ci, co, across, rows] = [p.h, p.w, p.ci, p.co, p.across(), p.n * p.down()].map(|v| v as usize);
        Tiles { h, w, ci, co, across, rows }
    }

    /// Words of a row of tiles of the large side.
    pub(in crate::exec::cpu) fn large_row(&self) -> usize {
        4 * self.w * self.ci
    }
    /// Words of a row of tiles of the small side.
    pub(in crate::exec::cpu) fn small_row(&self) -> usize {
        self.w * self.co
    }
    /// Words of a client's transformed weights.
    pub(in crate::exec::cpu) fn transformed(&self) -> usize {
        NINE * FOUR * self.ci * self.co
    }

    /// Rows of tiles of a task that needs so many panel columns of scratch. Depends on the shape alone.
    pub(in crate::exec::cpu) fn task_rows(&self, columns: usize) -> usize {
        let tiles = (TASK_WORDS / (NINE * columns)).min(TASK_TILES);
        (tiles / self.across).min(self.rows.div_ceil(MIN_TASKS)).max(1)
    }

    /// Scratch words of `rows` rows of tiles in so many panel columns.
    pub(in crate::exec::cpu) fn scratch(&self, rows: usize, columns: usize) -> usize {
        NINE * padded(rows * self.across) * columns
    }
}

/// Rows of a panel of `tiles` tiles: odd, because panels whose distance is a power of two compete for a few cache sets.
pub(in crate::exec::cpu) fn padded(tiles: usize) -> usize {
    tiles | 1
}

/// Memory in which several tasks write words of their own.
pub(in crate::exec::cpu) struct Shared<'a> {
    ptr: *mut f32,
    len: usize,
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: a shared `Shared` gives access through `Shared::at` only, whose caller promises words of its own.
unsafe impl Sync for Shared<'_> {}
// SAFETY: it is an exclusive borrow of plain f32.
unsafe impl Send for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(in crate::exec::cpu) fn new(data: &'a mut [f32]) -> Self {
        Shared { ptr: data.as_mut_ptr(), len: data.len(), owner: PhantomData }
    }

    /// The vector at `word`.
    ///
    /// # Safety
    /// It must lie within the memory, and no other task may use it at the same time.
    #[inline(always)]
    unsafe fn at<S: Simd>(&self, word: usize) -> *mut S::f32s {
        debug_assert!(word + S::F32_LANES <= self.len, "vector at {word} of {} words", self.len);
        // SAFETY: as promised by the caller.
        unsafe { self.ptr.add(word).cast() }
    }
}

/// Components of a 3 x 3 window: (x0 - x1, x1, x2 - x1) along both axes.
#[inline(always)]
pub(super) fn window<S: Simd>(simd: S, x: [[S::f32s; 3]; 3]) -> [S::f32s; NINE] {
    let mut rows = x;
    for j in 0..3 {
        rows[0][j] = simd.sub_f32s(x[0][j], x[1][j]);
        rows[2][j] = simd.sub_f32s(x[2][j], x[1][j]);
    }
    let mut out = [x[0][0]; NINE];
    for i in 0..3 {
        out[3 * i] = simd.sub_f32s(rows[i][0], rows[i][1]);
        out[3 * i + 1] = rows[i][1];
        out[3 * i + 2] = simd.sub_f32s(rows[i][2], rows[i][1]);
    }
    out
}

/// Components of 2 x 2 taps: (w0, w0 + w1, w1) along both axes.
#[inline(always)]
pub(super) fn taps<S: Simd>(simd: S, w: [[S::f32s; 2]; 2]) -> [S::f32s; NINE] {
    let mut rows = [w[0], w[0], w[1]];
    for j in 0..2 {
        rows[1][j] = simd.add_f32s(w[0][j], w[1][j]);
    }
    let mut out = [w[0][0]; NINE];
    for i in 0..3 {
        out[3 * i] = rows[i][0];
        out[3 * i + 1] = simd.add_f32s(rows[i][0], rows[i][1]);
        out[3 * i + 2] = rows[i][1];
    }
    out
}

/// The 2 x 2 results of nine products: (m0 + m1, m1 + m2) along both axes.
#[inline(always)]
pub(super) fn results<S: Simd>(simd: S, m: [S::f32s; NINE]) -> [[S::f32s; 2]; 2] {
    let mut rows = [[m[0]; 3]; 2];
    for j in 0..3 {
        rows[0][j] = simd.add_f32s(m[j], m[3 + j]);
        rows[1][j] = simd.add_f32s(m[3 + j], m[6 + j]);
    }
    let mut out = [[m[0]; 2]; 2];
    for i in 0..2 {
        out[i][0] = simd.add_f32s(rows[i][0], rows[i][1]);
        out[i][1] = simd.add_f32s(rows[i][1], rows[i][2]);
    }
    out
}

/// The nine vectors at `at` of nine equal planes.
#[inline(always)]
pub(super) fn gather<S: Simd>(simd: S, planes: &[S::f32s], at: usize) -> [S::f32s; NINE] {
    let plane = planes.len() / NINE;
    let mut out = [simd.splat_f32s(0.0); NINE];
    for i in 0..NINE {
        out[i] = planes[i * plane + at];
    }
    out
}
