// rng_normal: y[c, i] = a + b z, Box-Muller on words (0, 1) and (2, 3) of a block
//
// y      [clients][n], client stride y_stride (words between n and the stride are not written)
// state  [4]: step in the round, round, steps in all, free
// grid   x: n / 1024 workgroups (capped, the loop strides), z: client
// owner  one invocation makes one Threefry block: elements 4 k .. 4 k + 3 of one client

//#include lib/rng.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;

// -ln(u) for u in [2^-24, 1], with a relative error of about 11 units of roundoff. WGSL's log is only accurate to 2^-21 absolute
// near 1, where the radius below is small. u = 2^e m with m in [sqrt(1/2), sqrt(2)) by its bits, f = m - 1 exactly,
// ln m = 2 artanh(f / (2 + f)) = 2 s (1 + s^2/3 + s^4/5 + ...), |s| <= 0.172: the first omitted term is below 3e-12.
fn minus_ln(u: f32) -> f32 {
    let above = bitcast<i32>(bitcast<u32>(u) - 0x3f3504f3u); // bits above those of sqrt(1/2)
    let e = above >> 23u;
    let f = bitcast<f32>(bitcast<u32>(u) - bitcast<u32>(e << 23u)) - 1.0;
    let s = f / (2.0 + f);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    return f32(-e) * 0.69314718055994531 - 2.0 * s * series;
}

// (cos, sin) of 2 pi k / 2^24. The nearest quarter turn is subtracted from the integer, so the rest is exact, within an
// eighth of a turn, where Taylor polynomials are accurate to 3e-9. WGSL's cos and sin only guarantee 2^-11.
fn turn_cos_sin(k: u32) -> vec2<f32> {
    let quarter = (k + 0x200000u) >> 22u;
    let a = f32(i32(k) - i32(quarter << 22u)) * (6.283185307179586 / 16777216.0);
    let q = a * a;
    let s = a + a * q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5040.0 + q * (1.0 / 362880.0))));
    let c = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q * (1.0 / 40320.0 - q * (1.0 / 3628800.0)))));
    let turned = select(vec2<f32>(c, s), vec2<f32>(-s, c), (quarter & 1u) == 1u);
    return select(turned, -turned, (quarter & 2u) == 2u);
}

fn normal_pair(bits: vec2<u32>) -> vec2<f32> {
    let l = 2.0 * minus_ln(f32((bits.x >> 8u) + 1u) * 5.9604644775390625e-8); // 2^-24: exact, unlike a division
    // u = 1 gives 0, which sqrt may turn into 1 / inverseSqrt(0).
    let radius = select(0.0, sqrt(l), l > 0.0);
    return radius * turn_cos_sin(bits.y >> 8u);
}

fn values(bits: vec4<u32>) -> vec4<f32> {
    return p.a + p.b * vec4<f32>(normal_pair(bits.xy), normal_pair(bits.zw));
}
