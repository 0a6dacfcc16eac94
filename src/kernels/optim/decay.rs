//! Decays of moving averages.

/// 1 - decay, rounded once: for random problems, where the decay is exact in f32.
pub fn one_minus(decay: f32) -> f32 {
    (1.0 - f64::from(decay)) as f32
}
