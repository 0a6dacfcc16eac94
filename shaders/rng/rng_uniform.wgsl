// rng_uniform: y[c, i] = a + (b - a) t, t = (bits >> 8) 2^-24 in [0, 1)
//
// y      [clients][n], client stride y_stride (words between n and the stride are not written)
// state  [4]: step in the round, round, steps in all, free
// grid   x: n / 1024 workgroups (capped, the loop strides), z: client
// owner  one invocation makes one Threefry block: elements 4 k .. 4 k + 3 of one client

//#include lib/rng.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;

fn values(bits: vec4<u32>) -> vec4<f32> {
    return p.a + (p.b - p.a) * vec4<f32>(bits >> vec4<u32>(8u)) * 5.9604644775390625e-8;
}
