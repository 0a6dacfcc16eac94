//! Maps over elements: pieces for the threads, and branch-free functions shared by twins.

use rayon::prelude::*;

/// Words that one thread processes at a time.
const PIECE: usize = 1 << 14;

/// Runs `f(client, first element, piece)` over every client's slice in pieces of whole rows of `row` words.
pub(in crate::exec::cpu) fn pieces(clients: Vec<&mut [f32]>, row: usize, f: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let len = (PIECE / row).max(1) * row;
    let list: Vec<(usize, usize, &mut [f32])> = clients
        .into_iter()
        .enumerate()
        .flat_map(|(client, all)| all.chunks_mut(len).enumerate().map(move |(i, piece)| (client, i * len, piece)))
        .collect();
    match list.len() {
        1 => list.into_iter().for_each(|(client, start, piece)| f(client, start, piece)),
        _ => list.into_par_iter().for_each(|(client, start, piece)| f(client, start, piece)),
    }
}

/// y, but NaN where x is NaN: `min` and comparisons would lose it.
#[inline(always)]
pub(in crate::exec::cpu) fn kept(x: f32, y: f32) -> f32 {
    if x.is_nan() { x } else { y }
}

/// max(x, 0), but NaN for NaN.
#[inline(always)]
pub(in crate::exec::cpu) fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element is in exactly one piece; rows are not divided.
    #[test]
    fn pieces_cover_everything() {
        let (mut a, mut b) = (vec![0f32; 3 * 20_000], vec![0f32; 3 * 20_000]);
        pieces(vec![&mut a, &mut b], 3, |client, start, piece| {
            assert!(start % 3 == 0 && piece.len() % 3 == 0);
            piece.iter_mut().enumerate().for_each(|(i, v)| *v += (client * 100_000 + start + i) as f32);
        });
        assert!(a.iter().enumerate().all(|(i, v)| *v == i as f32));
        assert!(b.iter().enumerate().all(|(i, v)| *v == (100_000 + i) as f32));
    }
}
