// broadcast: y[c, i] = x[i], words as they are
//
// x      [n]; integers, because a float's bits (NaN, subnormals) may change on the way through a register
// y      [clients][n], client stride y_stride
// grid   x: n / (256 V) workgroups (capped, the loop strides), z: client
// owner  one invocation copies V adjacent words to one client; four unless n is not a multiple of 4

//#include lib/vector.wgsl

struct Params {
    clients: u32,
    n: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<W>;
@group(0) @binding(2) var<storage, read_write> y: array<W>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.y_stride / V;
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        y[base + i] = x[i];
    }
}
