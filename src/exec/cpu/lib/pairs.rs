//! Sums over the coordinates of a slice for pairs of clients.

use crate::kernels::fed::pairs::SLICE;
use rayon::prelude::*;

/// Numbers that a sum is spread over: enough for the widest vector registers of two kinds.
const LANES: usize = 16;
/// Coordinates between two additions to the slice's sums in f64: few roundings, few conversions.
const BLOCK: usize = 512;

/// For every slice of `n` coordinates and every pair of `clients`, the sum of `term(a, b)` over the slice's coordinates a of the first
/// client and b of the second; `row(c)` are the coordinates of client c. Writes `[slices][clients][clients]`, symmetric.
pub(in crate::exec::cpu) fn pair_sums<'a>(
    clients: usize,
    n: usize,
    row: impl Fn(usize) -> &'a [f32] + Sync,
    y: Vec<&mut [f32]>,
    term: impl Fn(f32, f32) -> f32 + Copy + Sync,
) {
    y.into_par_iter().enumerate().for_each(|(slice, y)| {
        let columns = slice * SLICE as usize..((slice + 1) * SLICE as usize).min(n);
        let part = |c: usize| &row(c.min(clients - 1))[columns.clone()];
        for i in (0..clients).step_by(2) {
            for j in (i..clients).step_by(2) {
                let sums = four([part(i), part(i + 1)], [part(j), part(j + 1)], term);
                for (at, sum) in sums.into_iter().enumerate() {
                    let (i, j) = (i + at / 2, j + at % 2);
                    if i < clients && j < clients && i <= j {
                        (y[i * clients + j], y[j * clients + i]) = (sum, sum);
                    }
                }
            }
        }
    });
}

/// The sums of the four pairs of two rows by two rows.
#[inline(always)]
fn four(a: [&[f32]; 2], b: [&[f32]; 2], term: impl Fn(f32, f32) -> f32 + Copy) -> [f32; 4] {
    let mut total = [0f64; 4];
    let n = a[0].len();
    for from in (0..n).step_by(BLOCK) {
        let block = from..(from + BLOCK).min(n);
        let [a0, a1, b0, b1] = [a[0], a[1], b[0], b[1]].map(|row| &row[block.clone()]);
        let mut sums = [[0f32; LANES]; 4];
        let whole = a0.len() / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let load = |row: &[f32]| -> [f32; LANES] { std::array::from_fn(|l| row[at + l]) };
            let [a0, a1, b0, b1] = [load(a0), load(a1), load(b0), load(b1)];
            for l in 0..LANES {
                sums[0][l] += term(a0[l], b0[l]);
                sums[1][l] += term(a0[l], b1[l]);
                sums[2][l] += term(a1[l], b0[l]);
                sums[3][l] += term(a1[l], b1[l]);
            }
        }
        for at in whole..a0.len() {
            let l = at - whole;
            sums[0][l] += term(a0[at], b0[at]);
            sums[1][l] += term(a0[at], b1[at]);
            sums[2][l] += term(a1[at], b0[at]);
            sums[3][l] += term(a1[at], b1[at]);
        }
        for (total, sums) in total.iter_mut().zip(sums) {
            *total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        }
    }
    total.map(|sum| sum as f32)
}
