//! Sums in the order of the shaders.

/// The sum of `n` terms in the order of the shaders: 256 lanes, then a tree.
pub(in crate::exec::cpu) fn lane_sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; 256];
    for start in (0..n).step_by(256) {
        for (lane, sum) in lanes[..(n - start).min(256)].iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    let mut width = 128;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}
