// batch_mean: y[c, i] = (accumulate ? y[c, i] : 0) + scale * (sum over b of x[c, b, i])
//
// x      [clients][batch][n], client stride x_stride
// y      [clients][n], client stride y_stride
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation sums one element over the batch, in order

struct Params {
    clients: u32,
    batch: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    accumulate: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.z * p.x_stride;
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        var sum = 0.0;
        for (var b = 0u; b < p.batch; b++) {
            sum += x[row + b * p.n + i];
        }
        let at = id.z * p.y_stride + i;
        var before = 0.0;
        if p.accumulate != 0u {
            before = y[at];
        }
        y[at] = before + p.scale * sum;
    }
}
