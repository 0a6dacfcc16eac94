// rng_bits: y[c, i] = word i % 4 of Threefry block (i / 4, steps in all, round) of client c
//
// y      [clients][n], client stride y_stride (words between n and the stride are not written)
// state  [4]: step in the round, round, steps in all, free
// grid   x: n / 1024 workgroups (capped, the loop strides), z: client
// owner  one invocation makes one Threefry block: elements 4 k .. 4 k + 3 of one client

//#include lib/rng.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;

fn values(bits: vec4<u32>) -> vec4<u32> {
    return bits;
}
