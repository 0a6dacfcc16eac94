//! Code shared by several twins.

pub(super) mod blocks;
pub(super) mod conv;
pub(super) mod images;
pub(super) mod lanes;
pub(super) mod pairs;
pub(super) mod panel;
pub(super) mod pieces;
pub(super) mod poisoned;
pub(super) mod ranks;
pub(super) mod sums;
pub(super) mod winograd;

/// Elements per parallel task of an optimizer or a mean; elementwise, so the partition does not affect the result.
pub(super) const CHUNK: usize = 8192;
