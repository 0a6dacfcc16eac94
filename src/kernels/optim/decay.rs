//! What the optimisers share.

/// 1 - decay, rounded once: for drawn problems, where the decay in f32 is exact.
pub(super) fn one_minus(decay: f32) -> f32 {
    (1.0 - f64::from(decay)) as f32
}
