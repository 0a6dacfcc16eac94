// scale_update: w[c, i] = reference[i] + scales[c] (w[c, i] - reference[i]) where scales[c] != 1
//
// w          [clients][n], client stride `stride`; a client of scale 1 is neither read nor written
// reference  [n], the same for all clients
// scales     [clients]
// grid       x: n / 256 workgroups (capped, the loop strides), z: client
// owner      one invocation scales one element

struct Params {
    clients: u32,
    n: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let scale = scales[id.z];
    if scale == 1.0 {
        return;
    }
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        let at = id.z * p.stride + i;
        let start = reference[i];
        w[at] = start + scale * (w[at] - start);
    }
}
