// instance_norm_param_grad: dbeta = sum over images of moments[place], dgamma = of moments[place + 1]
//
// moments        [clients][n][places][c], client stride moment_stride
// dgamma, dbeta  [clients][c], client stride param_stride; accumulate 1 adds to the present values, 0 overwrites
// grid   x: 64 channels per workgroup, z: client
// owner  an invocation sums one channel over the client's images in order

//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> moments: array<f32>;
@group(0) @binding(2) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let channel = id.x;
    if channel >= p.c {
        return;
    }
    let to = id.z * p.param_stride + channel;
    var shift = 0.0;
    var scale = 0.0;
    for (var image = 0u; image < p.n; image++) {
        let at = id.z * p.moment_stride + (image * p.places + p.place) * p.c + channel;
        shift += moments[at];
        scale += moments[at + p.c];
    }
    if p.accumulate == 1u {
        dbeta[to] += shift;
        dgamma[to] += scale;
    } else {
        dbeta[to] = shift;
        dgamma[to] = scale;
    }
}
