// The core of the random numbers: y[c, i] from word i % 4 of Threefry block (i / 4, steps in all, round) of client c.
//
// owner  one invocation makes one block: elements 4 k .. 4 k + 3 of one client
//
// A shader that includes this file supplies
//   values        the four elements computed from the bits of a block
//   p, y, state   the bindings

//#include lib/threefry.wgsl
//#include lib/state.wgsl

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

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.y_stride;
    let key = vec4<u32>(p.seed_lo, p.seed_hi, p.stream, p.client_base + id.z);
    for (var block = id.x; block < (p.n + 3u) / 4u; block += groups.x * 256u) {
        let made = values(threefry(key, vec4<u32>(block, state[STEPS_IN_ALL], state[ROUND], 0u)));
        for (var k = 0u; k < min(4u, p.n - 4u * block); k++) {
            y[base + 4u * block + k] = made[k];
        }
    }
}
