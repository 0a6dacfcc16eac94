//! Sums over the coordinates of a slice for pairs of clients.

use super::wide::widest;
use crate::kernels::fed::pairs::SLICE;
use rayon::prelude::*;

/// Numbers that a sum is spread over.
const LANES: usize = 8;
/// Coordinates between two additions to the slice's sums in f64: few roundings, few conversions.
const BLOCK: usize = 512;
/// Clients of the two sides of a tile: its sums and values fit 16 vector registers.
const TILE: (usize, usize) = (2, 4);

/// The term of a sum over pairs.
pub(in crate::exec::cpu) trait Term: Copy + Sync {
    /// `sum` plus the term of `a` and `b`; `fused` if the machine multiplies and adds in one instruction.
    fn add(self, a: f32, b: f32, sum: f32, fused: bool) -> f32;
}

/// (a - b)^2.
#[derive(Clone, Copy)]
pub(in crate::exec::cpu) struct SquaredDifference;

impl Term for SquaredDifference {
    #[inline(always)]
    fn add(self, a: f32, b: f32, sum: f32, fused: bool) -> f32 {
        let d = a - b;
        if fused { d.mul_add(d, sum) } else { sum + d * d }
    }
}

/// a b.
#[derive(Clone, Copy)]
pub(in crate::exec::cpu) struct Product;

impl Term for Product {
    #[inline(always)]
    fn add(self, a: f32, b: f32, sum: f32, fused: bool) -> f32 {
        if fused { a.mul_add(b, sum) } else { sum + a * b }
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
    y.into_par_iter().enumerate().for_each(|(slice, y)| {
        let columns = slice * SLICE as usize..((slice + 1) * SLICE as usize).min(n);
        let part = |c: usize| &row(c.min(clients - 1))[columns.clone()];
        for i in (0..clients).step_by(TILE.0) {
            for j in (i / TILE.1 * TILE.1..clients).step_by(TILE.1) {
                let (a, b) = (std::array::from_fn(|at| part(i + at)), std::array::from_fn(|at| part(j + at)));
                let sums = widest(
                    #[inline(always)]
                    |fused| if fused { tile::<true>(a, b, term) } else { tile::<false>(a, b, term) },
                );
                for (at, sum) in sums.into_iter().flatten().enumerate() {
                    let (i, j) = (i + at / TILE.1, j + at % TILE.1);
                    if i < clients && j < clients && i <= j {
                        (y[i * clients + j], y[j * clients + i]) = (sum, sum);
                    }
                }
            }
        }
    });
}

/// The sums of all pairs of some rows and some others.
#[inline(always)]
fn tile<const FUSED: bool>(a: [&[f32]; TILE.0], b: [&[f32]; TILE.1], term: impl Term) -> [[f32; TILE.1]; TILE.0] {
    let mut total = [[0f64; TILE.1]; TILE.0];
    let n = a[0].len();
    for begin in (0..n).step_by(BLOCK) {
        let block = begin..(begin + BLOCK).min(n);
        let (a, b) = (a.map(|row| &row[block.clone()]), b.map(|row| &row[block.clone()]));
        let mut sums = [[[0f32; LANES]; TILE.1]; TILE.0];
        let whole = block.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let load = |row: &[f32]| -> [f32; LANES] { std::array::from_fn(|l| row[at + l]) };
            let (a, b) = (a.map(load), b.map(load));
            for (sums, a) in sums.iter_mut().zip(&a) {
                for (sums, b) in sums.iter_mut().zip(&b) {
                    for l in 0..LANES {
                        sums[l] = term.add(a[l], b[l], sums[l], FUSED);
                    }
                }
            }
        }
        for at in whole..block.len() {
            for (sums, a) in sums.iter_mut().zip(&a) {
                for (sums, b) in sums.iter_mut().zip(&b) {
                    sums[at - whole] = term.add(a[at], b[at], sums[at - whole], FUSED);
                }
            }
        }
        for (total, sums) in total.iter_mut().flatten().zip(sums.iter().flatten()) {
            *total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        }
    }
    total.map(|row| row.map(|sum| sum as f32))
}
