// split_sum: y[c, i] = (accumulate ? y[c, i] : 0) + x[c, 0, i] + x[c, 1, i] + ..., in order of the parts
//
// x      [clients][splits][n], client stride x_stride
// y      [clients][n], client stride y_stride
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation writes elements i, i + stride, ... of one client

struct Params {
    clients: u32,
    splits: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = id.z * p.x_stride;
    let to = id.z * p.y_stride;
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        var sum = x[first + i];
        if p.accumulate == 1u {
            sum = y[to + i] + sum;
        }
        for (var s = 1u; s < p.splits; s++) {
            sum += x[first + s * p.n + i];
        }
        y[to + i] = sum;
    }
}
