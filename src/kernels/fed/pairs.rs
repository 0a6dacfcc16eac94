//! What the kernels over pairs of clients and over slices of coordinates share.

use crate::kernels::{Build, MAX_GROUPS, MOST_WORDS, strided};

/// Coordinates of a slice.
pub const SLICE: u32 = 4096;

/// Largest number of clients: with more, the tiles of pairs exceed a dimension of the grid.
pub const MOST_CLIENTS: u32 = 1024;

/// Slices of `n` coordinates.
pub const fn slices(n: u32) -> u32 {
    n.div_ceil(SLICE)
}

/// Additions that a term passes through in a sum over a slice by `lanes` lanes and a tree.
pub(in crate::kernels) fn slice_depth(n: u32, lanes: u32) -> usize {
    (n.min(SLICE).div_ceil(lanes) + lanes.ilog2()) as usize
}

/// A build whose shader has the number of a slice's coordinates.
pub(in crate::kernels) fn sliced(file: &'static str, grid: [u32; 3]) -> Build {
    Build { file, consts: vec![("SLICE", SLICE)], grid }
}

/// The power of two that brings a number into [1, 2), within 2^-126 to 2^100; `magnitude` are its bits without the sign.
pub(crate) fn power(magnitude: u32) -> f32 {
    f32::from_bits((254 - (magnitude >> 23).clamp(27, 253)) << 23)
}

/// Extents of the rows and of the sums over pairs, `[slices][clients][clients]`.
pub(super) fn pair_extents(clients: u32, n: u32, x_stride: u32) -> Result<[usize; 2], String> {
    let x = strided(clients, x_stride, n)?;
    if clients > MOST_CLIENTS {
        return Err(format!("{clients} clients: pairs of at most {MOST_CLIENTS} are compared"));
    }
    if slices(n) > MAX_GROUPS {
        return Err(format!("{n} coordinates: at most {} fit the grid", u64::from(MAX_GROUPS) * u64::from(SLICE)));
    }
    let words = slices(n) as usize * clients as usize * clients as usize;
    if words > MOST_WORDS {
        return Err(format!("{} slices of {clients} x {clients} pairs exceed a u32 byte index", slices(n)));
    }
    Ok([x, words])
}

/// Workgroups: slices, and tiles of `side` x `side` pairs on and above the diagonal.
pub(super) fn pair_grid(clients: u32, n: u32, side: u32) -> [u32; 3] {
    let tiles = clients.div_ceil(side);
    [slices(n), tiles * (tiles + 1) / 2, 1]
}

/// The clients of pair `index` of `[slices][clients][clients]`, and the coordinates of its slice.
pub(super) fn pair_of(index: usize, clients: u32, n: u32) -> ([usize; 2], std::ops::Range<usize>) {
    let (all, first) = (clients as usize, index / (clients * clients) as usize * SLICE as usize);
    let within = index % (all * all);
    ([within / all, within % all], first..(first + SLICE as usize).min(n as usize))
}
