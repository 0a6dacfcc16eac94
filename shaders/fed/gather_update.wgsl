// gather_update: y[c, j] = x[c, columns[j]] - base[columns[j]]
//
// x        [clients][n], client stride x_stride
// base     [n]
// columns  [count], each below n
// y        [clients][count], client stride y_stride
// grid     x: count / 256 workgroups (capped, the loop strides), z: client
// owner    one invocation writes elements j, j + stride, ... of one client

struct Params {
    clients: u32,
    n: u32,
    count: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read> columns: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var j = id.x; j < p.count; j += groups.x * 256u) {
        let k = columns[j];
        y[id.z * p.y_stride + j] = x[id.z * p.x_stride + k] - base[k];
    }
}
