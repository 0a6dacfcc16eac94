//! Sizes and names of launches, without a device.

use crate::exec::{Launch, Recording};
use crate::{Error, Result};

/// Uniform bindings start at multiples of this (the largest alignment that WebGPU allows a device to ask for).
pub(super) const SLOT: usize = 256;

/// Says which launches an execution is made of.
pub(super) fn describe(recording: &Recording) -> String {
    let name = |l: &Launch| format!("{} (kernel `{}`)", l.label, l.kernel.name());
    match recording.launches() {
        [] => "an empty recording".into(),
        [one] => name(one),
        [first, .., last] => format!("{} launches, {} to {}", recording.launches().len(), name(first), name(last)),
    }
}

pub(super) fn check_grid(launch: &Launch, grid: [u32; 3], limit: u32) -> Result<()> {
    if grid.iter().all(|g| (1..=limit).contains(g)) {
        return Ok(());
    }
    let [x, y, z] = grid;
    let kernel = launch.kernel.name();
    Err(Error::device(format!(
        "{}: kernel `{kernel}`: a grid of {x} x {y} x {z} workgroups; each must be within 1..={limit}",
        launch.label
    )))
}

/// Bytes of a launch's parameter block: uniform blocks are read in units of 16 bytes.
pub(super) fn param_bytes(launch: &Launch) -> usize {
    (launch.params.len() * 4).next_multiple_of(16).max(16)
}

/// Bytes of an operand's binding, up to the next vec4: a shader that reads vec4s must reach a last, partial one. The next
/// tensor starts at a multiple of 256 bytes, so nothing else lies there.
pub(super) fn operand_bytes(words: usize) -> u64 {
    (words as u64 * 4).next_multiple_of(16)
}

pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// All parameter blocks in one buffer, each in a slot of its own; returns the bytes and where each block starts.
pub(super) fn pack_params(launches: &[Launch]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut offsets = Vec::with_capacity(launches.len());
    for launch in launches {
        offsets.push(bytes.len());
        bytes.extend_from_slice(bytemuck::cast_slice(&launch.params));
        let end = (offsets[offsets.len() - 1] + param_bytes(launch)).next_multiple_of(SLOT);
        bytes.resize(end, 0);
    }
    (bytes, offsets)
}
