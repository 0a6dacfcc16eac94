// fill: y[c, i] = value
//
// y      [clients][n], client stride y_stride (words between n and the stride are not written)
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation writes elements i, i + stride, ... of one client

struct Params {
    clients: u32,
    n: u32,
    y_stride: u32,
    value: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.y_stride;
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        y[base + i] = p.value;
    }
}
