// batch_norm_running: mean = running_mean, invstd = 1/sqrt(running_var + eps)
//
// running_*     [clients][c], client stride running_stride
// mean, invstd  [clients][c], client stride stat_stride
// grid   x: c / V / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation copies vectors i, i + stride, ... of one client
// why    evaluation then runs the same batch_norm_apply as training

// V: 4 where c is a multiple of 4, else 1.
//#include lib/vector.wgsl

struct Params {
    clients: u32,
    c: u32,
    running_stride: u32,
    stat_stride: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> running_mean: array<E>;
@group(0) @binding(2) var<storage, read> running_var: array<E>;
@group(0) @binding(3) var<storage, read_write> mean: array<E>;
@group(0) @binding(4) var<storage, read_write> invstd: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.running_stride / V;
    let to = id.z * p.stat_stride / V;
    for (var i = id.x; i < p.c / V; i += groups.x * 256u) {
        mean[to + i] = running_mean[base + i];
        invstd[to + i] = inverseSqrt(running_var[base + i] + p.eps);
    }
}
