//! Rounding bounds (Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1).

/// Unit roundoff of f32, 2^-24.
pub const U: f64 = 1.0 / 16_777_216.0;

/// gamma(n) = n u / (1 - n u): |computed - exact| <= gamma(n) sum|terms| for any order of n roundings.
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U;
    nu / (1.0 - nu)
}
