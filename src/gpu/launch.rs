//! Launches without a device: names, sizes, predicted times.

use super::AdapterKind;
use crate::exec::Launch;
use crate::{Error, Result};
use std::ops::Range;

/// Maximum predicted seconds per submission: Windows resets a device after 2 s of work on one submission, macOS sooner,
/// and a shared desktop stutters before that.
const SUBMISSION: f64 = 0.1;
/// Uniform bindings start at multiples of this (the largest alignment that WebGPU allows a device to require).
pub(super) const SLOT: usize = 256;

/// Describes the launches of a submission.
pub(super) fn describe(launches: &[Launch]) -> String {
    let name = |l: &Launch| format!("{} (kernel `{}`)", l.label, l.kernel.name());
    match launches {
        [] => "an empty recording".into(),
        [one] => name(one),
        [first, .., last] => format!("{} launches, {} to {}", launches.len(), name(first), name(last)),
    }
}

/// A launch's predicted time on a slow device of its kind: half the arithmetic and a third of the bandwidth of
/// entry-level cards.
pub(super) fn predicted_seconds(launch: &Launch, kind: AdapterKind) -> f64 {
    let (flops, bytes) = match kind {
        AdapterKind::DiscreteGpu => (1e12, 60e9),
        AdapterKind::IntegratedGpu | AdapterKind::VirtualGpu | AdapterKind::Other => (100e9, 10e9),
        AdapterKind::Cpu => (20e9, 4e9),
    };
    let cost = launch.kernel.cost(&launch.params);
    (cost.flops / flops).max(cost.bytes / bytes)
}

/// Consecutive launches with at most [`SUBMISSION`] predicted seconds in total; a longer launch is its own part.
pub(super) fn parts(predicted: &[f64]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut sum = 0.0;
    for (i, seconds) in predicted.iter().enumerate() {
        match parts.last_mut() {
            Some(part) if sum + seconds <= SUBMISSION => part.end = i + 1,
            _ => {
                parts.push(i..i + 1);
                sum = 0.0;
            }
        }
        sum += seconds;
    }
    parts
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

/// Bytes of an operand's binding, rounded up to a vec4: a shader that reads vec4s must reach a last, partial one. The
/// next tensor starts at a multiple of 256 bytes, so the padding holds no other data.
pub(super) fn operand_bytes(words: usize) -> u64 {
    (words as u64 * 4).next_multiple_of(16)
}

/// All parameter blocks in one buffer, each in its own slot; returns the bytes and the start of each block.
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
