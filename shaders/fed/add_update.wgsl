// add_update: y[c, k] += x[c, k] - base[k]
//
// x      [clients][n], client stride x_stride
// base   [n], the same for all clients
// y      [clients][n], client stride y_stride
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation adds to elements k, k + stride, ... of one client

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        y[id.z * p.y_stride + k] += x[id.z * p.x_stride + k] - base[k];
    }
}
