//! Sorted values of the clients, coordinate by coordinate.

use crate::exec::cpu::lib::CHUNK;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Coordinates that are sorted side by side; 64 clients take 16 KiB.
pub(in crate::exec::cpu) const LANES: usize = 64;

/// The values of a coordinate in [`LANES`] places.
pub(in crate::exec::cpu) type Lanes = [f32; LANES];

/// The comparisons of Batcher's odd-even merge sort of `n` values: pairs of places to be brought into order. Those of the next power
/// of two, without the places beyond, which would hold the largest values.
fn network(n: usize) -> Vec<(usize, usize)> {
    let (mut pairs, all) = (Vec::new(), n.next_power_of_two());
    let mut p = 1;
    while p < all {
        let mut k = p;
        while k >= 1 {
            for j in (k % p..all - k).step_by(2 * k) {
                for i in j..(j + k).min(all - k) {
                    if i / (2 * p) == (i + k) / (2 * p) && i + k < n {
                        pairs.push((i, i + k));
                    }
                }
            }
            k /= 2;
        }
        p *= 2;
    }
    pairs
}

/// Calls `result` with the sorted values of the `taken` clients and the base, for [`LANES`] coordinates at a time, and writes what it
/// returns; NaN where a value is NaN. `row(c)` are the coordinates of client c.
pub(in crate::exec::cpu) fn by_rank<'a>(
    taken: &[f32],
    row: impl Fn(usize) -> &'a [f32] + Sync,
    base: &[f32],
    y: &mut [f32],
    result: impl Fn(&[Lanes], &Lanes) -> Lanes + Sync,
) {
    let rows: Vec<&[f32]> = (0..taken.len()).filter(|c| taken[*c] != 0.0).map(&row).collect();
    let (network, arch) = (network(rows.len()), Arch::new());
    y.par_chunks_mut(CHUNK).enumerate().for_each_init(
        || vec![[0f32; LANES]; rows.len()],
        |sorted, (chunk, y)| {
            for (block, y) in y.chunks_mut(LANES).enumerate() {
                let from = chunk * CHUNK + block * LANES;
                let mut unknown = [false; LANES];
                for (values, row) in sorted.iter_mut().zip(&rows) {
                    values[..y.len()].copy_from_slice(&row[from..from + y.len()]);
                    for l in 0..LANES {
                        unknown[l] |= values[l].is_nan();
                    }
                }
                arch.dispatch(Sort { values: sorted, network: &network });
                let mut own = [0f32; LANES];
                own[..y.len()].copy_from_slice(&base[from..from + y.len()]);
                let values = result(sorted, &own);
                for (l, y) in y.iter_mut().enumerate() {
                    *y = if unknown[l] { f32::NAN } else { values[l] };
                }
            }
        },
    );
}

/// Brings pairs of places into order, in every lane.
struct Sort<'a> {
    values: &'a mut [Lanes],
    network: &'a [(usize, usize)],
}

impl WithSimd for Sort<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (a, b) in self.network {
            // The first place of a pair comes before the second.
            let (head, tail) = self.values.split_at_mut(*b);
            let ((low, low_rest), (high, high_rest)) =
                (S::as_mut_simd_f32s(&mut head[*a]), S::as_mut_simd_f32s(&mut tail[0]));
            debug_assert!(low_rest.is_empty() && high_rest.is_empty());
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (simd.min_f32s(*low, *high), simd.max_f32s(*low, *high));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn networks_sort_every_arrangement_of_zeros_and_ones() {
        // By the zero-one principle they then sort every arrangement of numbers.
        for n in 1..=12usize {
            let network = network(n);
            for bits in 0..1u32 << n {
                let mut values: Vec<u32> = (0..n).map(|i| bits >> i & 1).collect();
                for (a, b) in &network {
                    if values[*b] < values[*a] {
                        values.swap(*a, *b);
                    }
                }
                assert!(values.is_sorted(), "{n}: {bits:b}");
            }
        }
        assert_eq!([4, 8, 16, 32, 64].map(|n| network(n).len()), [5, 19, 63, 191, 543]);
    }
}
