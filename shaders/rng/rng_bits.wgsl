// rng_bits: y[c, i] = word i % 4 of Threefry block (i / 4, steps in all, round) of client c
//
// y      [clients][n], client stride y_stride (words between n and the stride are left alone)
// state  [4]: step in the round, round, steps in all, free
// grid   x: n / 1024 workgroups (capped, the loop strides), z: client
// owner  one invocation makes one Threefry block: elements 4 k .. 4 k + 3 of one client

//#include lib/threefry.wgsl

struct Params {
    clients: u32,
    n: u32,
    y_stride: u32,
    client_base: u32,
    seed_lo: u32,
    seed_hi: u32,
    stream: u32,
    a: f32,
    b: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read> state: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.y_stride;
    let key = vec4<u32>(p.seed_lo, p.seed_hi, p.stream, p.client_base + id.z);
    for (var block = id.x; block < (p.n + 3u) / 4u; block += groups.x * 256u) {
        let bits = threefry(key, vec4<u32>(block, state[2], state[1], 0u));
        let values = bits;
        for (var k = 0u; k < min(4u, p.n - 4u * block); k++) {
            y[base + 4u * block + k] = values[k];
        }
    }
}
