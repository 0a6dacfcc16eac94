//! Sums over the coordinates of a slice for pairs of clients.

use crate::kernels::fed::pairs::SLICE;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Coordinates between two additions to the slice's sums in f64: few roundings, few conversions.
const BLOCK: usize = 512;
/// Clients of the two sides of a tile: its sums and values fit 16 vector registers.
const TILE: (usize, usize) = (2, 4);
const PAIRS: usize = TILE.0 * TILE.1;

/// The term of a sum over pairs.
pub(in crate::exec::cpu) trait Term: Copy + Sync {
    /// `sum` plus the terms of `a` and `b`.
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s;
    /// The term of `a` and `b`.
    fn of(self, a: f32, b: f32) -> f32;
}

/// (a - b)^2.
#[derive(Clone, Copy)]
pub(in crate::exec::cpu) struct SquaredDifference;

impl Term for SquaredDifference {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        let difference = simd.sub_f32s(a, b);
        simd.mul_add_e_f32s(difference, difference, sum)
    }
    #[inline(always)]
    fn of(self, a: f32, b: f32) -> f32 {
        (a - b) * (a - b)
    }
}

/// a b.
#[derive(Clone, Copy)]
pub(in crate::exec::cpu) struct Product;

impl Term for Product {
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, a: S::f32s, b: S::f32s, sum: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, sum)
    }
    #[inline(always)]
    fn of(self, a: f32, b: f32) -> f32 {
        a * b
    }
}

/// For every slice of `n` coordinates and every pair of `clients`, the sum of the terms of the slice's coordinates of both; `row(c)` are
/// the coordinates of client c. Writes `[slices][clients][clients]`, symmetric.
pub(in crate::exec::cpu) fn pair_sums<'a>(
    clients: usize,
    n: usize,
    row: impl Fn(usize) -> &'a [f32] + Sync,
    y: Vec<&mut [f32]>,
    term: impl Term,
) {
    let arch = Arch::new();
    y.into_par_iter().enumerate().for_each(|(slice, y)| {
        let columns = slice * SLICE as usize..((slice + 1) * SLICE as usize).min(n);
        let part = |c: usize| &row(c.min(clients - 1))[columns.clone()];
        for i in (0..clients).step_by(TILE.0) {
            for j in (i / TILE.1 * TILE.1..clients).step_by(TILE.1) {
                let (a, b) = (std::array::from_fn(|at| part(i + at)), std::array::from_fn(|at| part(j + at)));
                let sums = arch.dispatch(Tile { a, b, term });
                for (at, sum) in sums.into_iter().enumerate() {
                    let (i, j) = (i + at / TILE.1, j + at % TILE.1);
                    if i < clients && j < clients && i <= j {
                        (y[i * clients + j], y[j * clients + i]) = (sum, sum);
                    }
                }
            }
        }
    });
}

/// Coordinates of two clients and of four others.
struct Tile<'a, T> {
    a: [&'a [f32]; TILE.0],
    b: [&'a [f32]; TILE.1],
    term: T,
}

impl<T: Term> WithSimd for Tile<'_, T> {
    type Output = [f32; PAIRS];

    /// The sums of the eight pairs, each in a register of its own.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; PAIRS] {
        let Tile { a, b, term } = self;
        let (mut total, n, mut begin) = ([0f64; PAIRS], a[0].len(), 0);
        while begin < n {
            let end = (begin + BLOCK).min(n);
            let ((a0, a0_rest), (a1, a1_rest)) =
                (S::as_simd_f32s(&a[0][begin..end]), S::as_simd_f32s(&a[1][begin..end]));
            let ((b0, b0_rest), (b1, b1_rest)) =
                (S::as_simd_f32s(&b[0][begin..end]), S::as_simd_f32s(&b[1][begin..end]));
            let ((b2, b2_rest), (b3, b3_rest)) =
                (S::as_simd_f32s(&b[2][begin..end]), S::as_simd_f32s(&b[3][begin..end]));
            let zero = simd.splat_f32s(0.0);
            let (mut s0, mut s1, mut s2, mut s3) = (zero, zero, zero, zero);
            let (mut s4, mut s5, mut s6, mut s7) = (zero, zero, zero, zero);
            for (((((a0, a1), b0), b1), b2), b3) in a0.iter().zip(a1).zip(b0).zip(b1).zip(b2).zip(b3) {
                s0 = term.add(simd, *a0, *b0, s0);
                s1 = term.add(simd, *a0, *b1, s1);
                s2 = term.add(simd, *a0, *b2, s2);
                s3 = term.add(simd, *a0, *b3, s3);
                s4 = term.add(simd, *a1, *b0, s4);
                s5 = term.add(simd, *a1, *b1, s5);
                s6 = term.add(simd, *a1, *b2, s6);
                s7 = term.add(simd, *a1, *b3, s7);
            }
            let sums = [s0, s1, s2, s3, s4, s5, s6, s7].map(|sum| simd.reduce_sum_f32s(sum));
            let (a_rest, b_rest) = ([a0_rest, a1_rest], [b0_rest, b1_rest, b2_rest, b3_rest]);
            for (at, total) in total.iter_mut().enumerate() {
                let rest = a_rest[at / TILE.1].iter().zip(b_rest[at % TILE.1]);
                *total += f64::from(sums[at]) + rest.map(|(a, b)| f64::from(term.of(*a, *b))).sum::<f64>();
            }
            begin = end;
        }
        total.map(|sum| sum as f32)
    }
}
