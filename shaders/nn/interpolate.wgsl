// interpolate: y = a x + (1 - a) z, one a an image
//
// x, z, y  [clients][n][len], client stride x_stride
// a        [clients][n], client stride a_stride
// grid   x: n len / V / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation maps vectors i, i + stride, ... of one client

// V: 4 where len is a multiple of 4, else 1.
//#include lib/vector.wgsl

struct Params {
    clients: u32,
    n: u32,
    len: u32,
    x_stride: u32,
    a_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> z: array<E>;
@group(0) @binding(3) var<storage, read> a: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.x_stride / V;
    let image = p.len / V;
    for (var i = id.x; i < p.n * image; i += groups.x * 256u) {
        let at = base + i;
        let weight = a[id.z * p.a_stride + i / image];
        y[at] = weight * x[at] + (1.0 - weight) * z[at];
    }
}
