//! y = a + b z.

use crate::exec::cpu::lib::blocks::{TO_UNIT, blocks};
use crate::exec::cpu::{Args, Twin};
use crate::kernels::rng::RngParams;
use crate::kernels::rng::rng_normal::RngNormal;

impl Twin for RngNormal {
    fn run(p: &RngParams, args: &Args) {
        blocks(p, args.u(1), args.rows_mut(0, p.clients, p.y_stride, p.n), |[w0, w1, w2, w3]| {
            let ((z0, z1), (z2, z3)) = (normal_pair(w0, w1), normal_pair(w2, w3));
            [z0, z1, z2, z3].map(|z| p.a + p.b * z)
        });
    }
}

/// -ln(u) for u in [2^-24, 1]: exact split u = 2^e m, then ln m = 2 artanh(f / (2 + f)) with f = m - 1.
fn minus_ln(u: f32) -> f32 {
    let e = (u.to_bits() as i32 - 0x3f35_04f3) >> 23;
    let f = f32::from_bits(u.to_bits().wrapping_sub((e << 23) as u32)) - 1.0;
    let s = f / (2.0 + f);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    (-e) as f32 * std::f32::consts::LN_2 - 2.0 * s * series
}

/// (cos, sin) of 2 pi k / 2^24: subtracts the nearest quarter turn from the integer, then Taylor within an eighth of a
/// turn.
fn turn_cos_sin(k: u32) -> (f32, f32) {
    let quarter = (k + (1 << 21)) >> 22;
    let a = (k as i32 - (quarter << 22) as i32) as f32 * (std::f32::consts::TAU / 16_777_216.0);
    let q = a * a;
    let s = a + a * q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5040.0 + q * (1.0 / 362_880.0))));
    let tail = 1.0 / 40_320.0 - q * (1.0 / 3_628_800.0);
    let c = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q * tail)));
    match quarter & 3 {
        0 => (c, s),
        1 => (-s, c),
        2 => (-c, -s),
        _ => (s, -c),
    }
}

/// Two standard normals from two words.
fn normal_pair(w0: u32, w1: u32) -> (f32, f32) {
    let radius = (2.0 * minus_ln(((w0 >> 8) + 1) as f32 * TO_UNIT)).sqrt();
    let (cos, sin) = turn_cos_sin(w1 >> 8);
    (radius * cos, radius * sin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_turn_are_accurate_everywhere() {
        // Both ends densely, the rest at a prime stride. 11 u for u >= sqrt(1/2), 15 u = 2 (1 + 1) + 10 + 1 at worst.
        let near = (1..=5000u32).chain((1 << 24) - 5000..=1 << 24);
        for k in near.clone().chain((1..1 << 24).step_by(997)) {
            let (got, want) = (minus_ln(k as f32 * TO_UNIT) as f64, -(k as f64 / 16_777_216.0).ln());
            assert!((got - want).abs() <= 15.0 * crate::kernels::U * want, "-ln({k} 2^-24): {got} for {want}");
        }
        for k in near.chain((1..1 << 24).step_by(997)).map(|k| k - 1) {
            let (cos, sin) = turn_cos_sin(k);
            let angle = std::f64::consts::TAU * k as f64 / 16_777_216.0;
            for (got, want) in [(cos as f64, angle.cos()), (sin as f64, angle.sin())] {
                let bound = 7.1 * crate::kernels::U * want.abs() + 1e-15;
                assert!((got - want).abs() <= bound, "{k}: {got} for {want}");
            }
        }
        assert_eq!(minus_ln(1.0), 0.0);
        assert_eq!(turn_cos_sin(3 << 22), (0.0, -1.0));
    }
}
