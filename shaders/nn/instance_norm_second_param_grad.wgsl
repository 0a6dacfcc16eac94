// instance_norm_second_param_grad: dgamma = sum over images of invstd (moments[4] - moments[1] moments[3] / rows)
//
// stats    [clients][n][2][c], client stride stat_stride: mean, invstd
// moments  [clients][n][5][c], client stride moment_stride: sums of t, t x^, u, u x^, and the covariance of t and u
// dgamma   [clients][c], client stride param_stride; accumulate 1 adds to the present values, 0 overwrites
// grid   x: 64 channels per workgroup, z: client
// owner  an invocation sums one channel over the client's images in order

//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> stats: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if channel >= p.c {
        return;
    }
    let to = id.z * p.param_stride + channel;
    var sum = 0.0;
    for (var image = 0u; image < p.n; image++) {
        let invstd = stats[id.z * p.stat_stride + (2u * image + 1u) * p.c + channel];
        let at = id.z * p.moment_stride + image * p.places * p.c + channel;
        let product = moments[at + p.c] * (moments[at + 3u * p.c] / f32(p.rows));
        sum += invstd * (moments[at + 4u * p.c] - product);
    }
    if p.accumulate == 1u {
        dgamma[to] += sum;
    } else {
        dgamma[to] = sum;
    }
}
