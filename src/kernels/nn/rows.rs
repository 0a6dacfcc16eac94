//! Common parts of the kernels over `[clients][rows][c]`: extents, positions of elements, vector width, grids, depth of
//! sums.

use crate::kernels::{Build, MAX_GROUPS, ceil_div, linear_grid};

/// The smallest normal f32: WGSL may flush anything below to zero.
pub(super) const TINY: f64 = f32::MIN_POSITIVE as f64;

/// rows * c.
///
/// # Errors
/// If the product exceeds u32, or c exceeds one grid dimension.
pub(super) fn area(rows: u32, c: u32) -> Result<u32, String> {
    if c > 65535 {
        return Err(format!("{c} channels: at most 65535"));
    }
    rows.checked_mul(c).ok_or(format!("{rows} rows of {c} channels exceed u32"))
}

/// (client, element) of word `index` in a per-client tensor; `None` in the padding between clients.
pub(super) fn locate(index: usize, clients: u32, stride: u32, len: u32) -> Option<(usize, usize)> {
    let (client, element) = match clients {
        1 => (0, index),
        _ => (index / stride as usize, index % stride as usize),
    };
    (element < len as usize).then_some((client, element))
}

/// Words per load: four if the innermost extent allows, otherwise one.
fn vector(n: u32) -> u32 {
    if n.is_multiple_of(4) { 4 } else { 1 }
}

/// Lanes of a workgroup along the channels: a power of two, at most `most`.
fn lanes(groups: u32, most: u32) -> u32 {
    groups.next_power_of_two().min(most)
}

/// A sum over rows: a workgroup owns up to 8 channels of one client; its other lanes divide the rows.
pub(super) fn reduce_build(file: &'static str, c: u32, clients: u32) -> Build {
    let v = vector(c);
    let lx = lanes(c / v, 8 / v);
    Build { file, consts: vec![("V", v), ("LX", lx)], grid: [ceil_div(c / v, lx), 1, clients] }
}

/// A map over `[rows][c]` with per-channel operands: a workgroup owns up to 8 vectors of channels; an invocation loads
/// their operands once and iterates over the rows, four of them if there are enough.
pub(super) fn map_build(file: &'static str, rows: u32, c: u32, clients: u32) -> Build {
    let v = vector(c);
    let lx = lanes(c / v, 8);
    let y = ceil_div(rows, 256 / lx * 4).clamp(1, 4096);
    Build { file, consts: vec![("V", v), ("LX", lx)], grid: [ceil_div(c / v, lx), y, clients] }
}

/// A map over n elements.
pub(super) fn linear_build(file: &'static str, n: u32, clients: u32) -> Build {
    let v = vector(n);
    Build { file, consts: vec![("V", v)], grid: linear_grid(n / v, 256, clients) }
}

/// n * len for images whose words are contiguous.
///
/// # Errors
/// If the product exceeds u32, or n exceeds one grid dimension.
pub(super) fn images(n: u32, len: u32) -> Result<u32, String> {
    if n > MAX_GROUPS {
        return Err(format!("{n} images: at most {MAX_GROUPS}"));
    }
    n.checked_mul(len).ok_or(format!("{n} images of {len} words exceed u32"))
}

/// A map over `[n][len]` with one operand per image: a vector never spans two images.
pub(super) fn image_build(file: &'static str, n: u32, len: u32, clients: u32) -> Build {
    let v = vector(len);
    Build { file, consts: vec![("V", v)], grid: linear_grid(n * (len / v), 256, clients) }
}

/// Additions that any term of a sum over rows passes through: at least 32 partial sums of consecutive additions, then a
/// tree (at most 8 levels; more lanes make the partial sums shorter). Any order within a partial sum is covered.
pub(super) fn depth(rows: u32) -> usize {
    rows.div_ceil(32) as usize + 8
}

/// Rounded up to the client stride's alignment, plus `pad` words.
pub(super) fn stride(len: u32, pad: u32) -> u32 {
    len.next_multiple_of(64) + 64 * pad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_belongs_to_no_client() {
        assert_eq!(locate(5, 1, 0, 6), Some((0, 5)));
        assert_eq!(locate(6, 1, 0, 6), None);
        assert_eq!(locate(69, 2, 64, 6), Some((1, 5)));
        assert_eq!(locate(70, 2, 64, 6), None);
    }

    #[test]
    fn every_channel_has_a_lane() {
        for c in 1..200 {
            for build in [reduce_build("", c, 2), map_build("", 9, c, 2)] {
                let of = |name| build.consts.iter().find(|k| k.0 == name).map(|k| k.1).expect("declared");
                assert!(c.is_multiple_of(of("V")) && 256 % of("LX") == 0);
                assert!(build.grid[0] * of("LX") * of("V") >= c);
            }
        }
        assert!(area(1 << 20, 1 << 13).is_err() && area(7, 5) == Ok(35));
    }
}
