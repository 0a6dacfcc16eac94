//! Optimisers, in place on every active client.
pub mod adam;
pub mod rmsprop;

/// 1 - decay of the float in `word`, rounded once: for drawn problems, where the decay in f32 is exact.
fn one_minus(word: u32) -> u32 {
    ((1.0 - f64::from(f32::from_bits(word))) as f32).to_bits()
}
