//! Matrix products of operands in panels, on the calling thread. A matrix `[rows][columns]` is stored as
//! `[columns / 16][rows][16]`: the layout in which the inner loop reads both operands, so nothing is packed.

#![expect(clippy::needless_range_loop, reason = "closures are compiled without their caller's vector instructions")]

use crate::kernels::nn::winograd::PANEL;
use pulp::{Simd, WithSimd};

/// Columns of a panel.
pub(in crate::exec::cpu) const WIDTH: usize = PANEL as usize;
/// Terms between two additions to the result: with these a panel's rows stay in the first-level cache.
const DEPTH: usize = 256;

/// The layout of a left operand `[m][k]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::exec::cpu) enum Left {
    /// In panels, `[k / 16][m][16]`.
    Panels,
    /// Its transpose in panels, `[m / 16][k][16]`.
    Transposed,
}

/// `c = [c +] a b` for a `[m][k]`, b `[k][n]` and c `[m][n]`, b and c in panels. The order of a sum depends on k only.
pub(in crate::exec::cpu) struct Product<'a> {
    /// m, n, k.
    pub(in crate::exec::cpu) shape: [usize; 3],
    pub(in crate::exec::cpu) left: Left,
    pub(in crate::exec::cpu) a: &'a [f32],
    pub(in crate::exec::cpu) b: &'a [f32],
    pub(in crate::exec::cpu) c: &'a mut [f32],
    /// Rows of the panels of a, b and c, of which the product uses the first.
    pub(in crate::exec::cpu) rows: [usize; 3],
    pub(in crate::exec::cpu) add: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    /// # Panics
    /// If an operand is smaller than its shape and rows require.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { shape: [m, n, k], left, a, b, c, rows: [a_rows, b_rows, c_rows], add } = self;
        if m == 0 || n == 0 {
            return;
        }
        // Words of panels of which the last has `used` rows.
        let end =
            |columns: usize, used: usize, rows: usize| ((columns / WIDTH).max(1) - 1) * rows * WIDTH + used * WIDTH;
        let (a_columns, a_used) = if left == Left::Panels { (k, m) } else { (m, k) };
        assert!(a_columns.is_multiple_of(WIDTH) && n.is_multiple_of(WIDTH), "product {m}x{n}x{k} of broken panels");
        assert!(a_used <= a_rows && k <= b_rows && m <= c_rows, "product {m}x{n}x{k} exceeds its panels' rows");
        assert!(k == 0 || end(a_columns, a_used, a_rows) <= a.len(), "left operand {m}x{k} exceeds its slice");
        assert!(end(n, k, b_rows) <= b.len(), "right operand {k}x{n} exceeds its slice");
        assert!(end(n, m, c_rows) <= c.len(), "product {m}x{n} exceeds its slice");
        let mut first = 0;
        while first < k || first == 0 {
            let depth = DEPTH.min(k - first);
            let a = match left {
                Left::Panels => &a[first * a_rows..],
                Left::Transposed => &a[first * WIDTH..],
            };
            let block =
                Rows { m, k: depth, left, a: a.as_ptr(), rows: [a_rows, b_rows, c_rows], add: add || first > 0 };
            let mut column = 0;
            while column < n {
                // Vectors of 16 elements: two panels at a time, so that the sums fill the registers.
                let wide = S::F32_LANES == 16 && n - column >= 2 * WIDTH;
                let (b, c) = (b[column * b_rows + first * WIDTH..].as_ptr(), c[column * c_rows..].as_mut_ptr());
                // SAFETY: the asserted sizes cover every row of these panels; `c` is borrowed exclusively.
                unsafe {
                    match S::F32_LANES {
                        16 if wide => block.all::<S, 12, 11, 10, 2>(simd, b, c),
                        16 => block.all::<S, 12, 11, 10, 1>(simd, b, c),
                        8 => block.all::<S, 6, 5, 4, 2>(simd, b, c),
                        4 => block.all::<S, 6, 5, 4, 4>(simd, b, c),
                        _ => block.all::<S, 4, 3, 2, 16>(simd, b, c),
                    }
                }
                column += if wide { 2 * WIDTH } else { WIDTH };
            }
            first += depth.max(1);
        }
    }
}

/// The left operand's part of a block of a product: m rows and k terms.
struct Rows {
    m: usize,
    k: usize,
    left: Left,
    a: *const f32,
    rows: [usize; 3],
    add: bool,
}

impl Rows {
    /// All rows in groups of nearly equal height, R0 at most: fewer rows than R2 do not hide the latency of an addition.
    ///
    /// # Safety
    /// As [`Rows::group`], for all rows.
    #[inline(always)]
    unsafe fn all<S: Simd, const R0: usize, const R1: usize, const R2: usize, const NV: usize>(
        &self,
        simd: S,
        b: *const f32,
        c: *mut f32,
    ) {
        let groups = self.m.div_ceil(R0);
        let (height, higher) = (self.m / groups, self.m % groups);
        let mut row = 0;
        if height >= R2 {
            for group in 0..groups {
                let height = height + usize::from(group < higher);
                // SAFETY: as promised by the caller; the groups have m rows together.
                unsafe {
                    if height == R0 {
                        self.group::<S, R0, NV>(simd, row, b, c);
                    } else if height == R1 {
                        self.group::<S, R1, NV>(simd, row, b, c);
                    } else {
                        self.group::<S, R2, NV>(simd, row, b, c);
                    }
                }
                row += height;
            }
        }
        // SAFETY: as promised by the caller; `row` stays within the m rows.
        unsafe {
            while row + R2 <= self.m {
                self.group::<S, R2, NV>(simd, row, b, c);
                row += R2;
            }
            while row + 4 <= self.m {
                self.group::<S, 4, NV>(simd, row, b, c);
                row += 4;
            }
            while row < self.m {
                self.group::<S, 1, NV>(simd, row, b, c);
                row += 1;
            }
        }
    }

    /// R rows from `row` on, with NV vectors of columns, all sums in registers.
    ///
    /// # Safety
    /// The left operand, `b` and `c` must cover these rows, their terms and vectors; nobody else may use those of `c`.
    #[inline(always)]
    unsafe fn group<S: Simd, const R: usize, const NV: usize>(&self, simd: S, row: usize, b: *const f32, c: *mut f32) {
        let (k, [a_rows, b_rows, c_rows]) = (self.k, self.rows);
        let mut sums = [[simd.splat_f32s(0.0); NV]; R];
        let mut at = [self.a; R];
        let mut b = b;
        // SAFETY: the caller promises the rows, terms and vectors that these offsets reach; pointers that only step
        // past the last term are not read.
        unsafe {
            match self.left {
                Left::Panels => {
                    let mut a = self.a.add(row * WIDTH);
                    for _ in 0..k / WIDTH {
                        for term in 0..WIDTH {
                            for i in 0..R {
                                at[i] = a.add(i * WIDTH + term);
                            }
                            add_term::<S, R, NV>(simd, at, b.add(term * WIDTH), b_rows, &mut sums);
                        }
                        a = a.wrapping_add(a_rows * WIDTH);
                        b = b.wrapping_add(WIDTH * WIDTH);
                    }
                }
                Left::Transposed => {
                    for i in 0..R {
                        let (panel, lane) = ((row + i) / WIDTH, (row + i) % WIDTH);
                        at[i] = self.a.add(panel * a_rows * WIDTH + lane);
                    }
                    for _ in 0..k {
                        add_term::<S, R, NV>(simd, at, b, b_rows, &mut sums);
                        for i in 0..R {
                            at[i] = at[i].wrapping_add(WIDTH);
                        }
                        b = b.wrapping_add(WIDTH);
                    }
                }
            }
            for i in 0..R {
                for j in 0..NV {
                    let to = c.add((row + i) * WIDTH + vector::<S>(j, c_rows)).cast::<S::f32s>();
                    let sum = if self.add { simd.add_f32s(to.read_unaligned(), sums[i][j]) } else { sums[i][j] };
                    to.write_unaligned(sum);
                }
            }
        }
    }
}

/// Word of vector `j` of a row, counted through panels of `rows` rows.
#[inline(always)]
fn vector<S: Simd>(j: usize, rows: usize) -> usize {
    let per = WIDTH / S::F32_LANES;
    j / per * rows * WIDTH + j % per * S::F32_LANES
}

/// Adds one term to every sum: the R values at `at` times NV vectors of the row of the right operand at `b`.
///
/// # Safety
/// All of them must be readable.
#[inline(always)]
unsafe fn add_term<S: Simd, const R: usize, const NV: usize>(
    simd: S,
    at: [*const f32; R],
    b: *const f32,
    b_rows: usize,
    sums: &mut [[S::f32s; NV]; R],
) {
    let mut right = [simd.splat_f32s(0.0); NV];
    for j in 0..NV {
        // SAFETY: as promised by the caller.
        right[j] = unsafe { b.add(vector::<S>(j, b_rows)).cast::<S::f32s>().read_unaligned() };
    }
    for i in 0..R {
        // SAFETY: as promised by the caller.
        let left = simd.splat_f32s(unsafe { *at[i] });
        for j in 0..NV {
            sums[i][j] = simd.mul_add_e_f32s(left, right[j], sums[i][j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    /// Every height of a group and its leftovers, one and two panels, more terms than a block, against sums in integers.
    #[test]
    fn products_of_integers_are_exact() {
        let value = |i: usize, j: usize, seed: usize| ((i * 7 + j * 13 + seed) % 9) as f32 - 4.0;
        for (m, n, k) in
            (1..=40usize).map(|m| (m, 48, 16)).chain([(16, 32, 272), (32, 16, 528), (48, 16, 16), (64, 48, 32)])
        {
            for left in [Left::Panels, Left::Transposed] {
                if left == Left::Transposed && !m.is_multiple_of(WIDTH) {
                    continue;
                }
                // Odd numbers of rows, NaN in those that no product may use.
                let pack = |rows: usize, columns: usize, padded: usize, at: &dyn Fn(usize, usize) -> f32| {
                    let mut panels = vec![f32::NAN; columns * padded];
                    for i in 0..rows {
                        for j in 0..columns {
                            panels[(j / WIDTH * padded + i) * WIDTH + j % WIDTH] = at(i, j);
                        }
                    }
                    panels
                };
                let (a, a_rows) = match left {
                    Left::Panels => (pack(m, k, m + 3, &|i, j| value(i, j, 0)), m + 3),
                    Left::Transposed => (pack(k, m, k + 3, &|i, j| value(j, i, 0)), k + 3),
                };
                let b = pack(k, n, k + 1, &|i, j| value(i, j, 5));
                for add in [false, true] {
                    let mut c = pack(m, n, m + 2, &|i, j| if add { value(i, j, 3) } else { f32::NAN });
                    let rows = [a_rows, k + 1, m + 2];
                    Arch::new().dispatch(Product { shape: [m, n, k], left, a: &a, b: &b, c: &mut c, rows, add });
                    let sum = |i, j| (0..k).map(|t| value(i, t, 0) * value(t, j, 5)).sum::<f32>();
                    let expected = pack(m, n, m + 2, &|i, j| sum(i, j) + if add { value(i, j, 3) } else { 0.0 });
                    let bits = |v: &[f32]| {
                        v.iter()
                            .map(|v| (v.is_nan(), *v + 0.0))
                            .map(|(n, v)| if n { None } else { Some(v) })
                            .collect::<Vec<_>>()
                    };
                    assert_eq!(bits(&c), bits(&expected), "{m}x{n}x{k}, add {add}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "right operand 16x32 exceeds its slice")]
    fn a_product_stays_within_its_operands() {
        let (a, b, mut c) = (vec![0.0; 16], vec![0.0; 32 * 16 - 1], vec![0.0; 32]);
        let rows = [1, 16, 1];
        let shape = [1, 32, 16];
        Arch::new().dispatch(Product { shape, left: Left::Panels, a: &a, b: &b, c: &mut c, rows, add: false });
    }
}
