//! What several twins share.

pub(super) mod blocks;
pub(super) mod conv;
pub(super) mod images;
pub(super) mod lanes;
pub(super) mod pieces;
pub(super) mod sums;

/// Elements that a parallel task of an optimiser or a mean updates; elementwise, so the partition does not show in the result.
pub(super) const CHUNK: usize = 8192;
