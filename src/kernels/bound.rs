//! Rounding bounds (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1).

/// Unit roundoff of f32, 2^-24.
pub const U: f64 = 1.0 / 16_777_216.0;

/// The possible error of a product of these factors on a device that flushes subnormal numbers to 0, as WGSL allows for
/// factors, partial products and the product: a flushed number is below 2^-126 and is multiplied by the other factors.
pub fn flushed(factors: &[f64]) -> f64 {
    let others: f64 = factors.iter().map(|factor| factor.abs().max(1.0)).product();
    2.0 * factors.len() as f64 * f64::from(f32::MIN_POSITIVE) * others
}

/// gamma(n) = n u / (1 - n u): |computed - exact| <= gamma(n) sum|terms| for any order of n roundings.
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu)
}
