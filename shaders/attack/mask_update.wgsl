// mask_update: w[c, i] = base[i] for chosen clients c, where the key of reference[i] is at most `found`
//
// w          [clients][n], client stride `stride`; a client with chosen 0 is neither read nor written
// base       [n], the same for all clients
// reference  [n] floats as words
// chosen     [clients]
// found      [2]: a key, see lib/magnitude_key
// grid       x: n / 256 workgroups (capped, the loop strides), z: client
// owner      one invocation writes one element

//#include lib/magnitude_key.wgsl

struct Params {
    clients: u32,
    n: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read> reference: array<u32>;
@group(0) @binding(4) var<storage, read> chosen: array<f32>;
@group(0) @binding(5) var<storage, read> found: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    if chosen[id.z] == 0.0 {
        return;
    }
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        let first = first_word(reference[i]);
        if first < found[0] || (first == found[0] && i <= found[1]) {
            w[id.z * p.stride + i] = base[i];
        }
    }
}
