// reduce_sum: y[c] = sum over i of x[c, i] (mode 0) or of x[c, i]^2 (mode 1)
//
// x          [clients][n], client stride x_stride
// y          [clients][1], client stride y_stride
// grid       z: client
// owner      one workgroup sums one client: lane l takes elements l, l + 256, ... in order, then a tree halves 256 lanes;
//            a fixed order, so results repeat bit for bit

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    mode: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = group.z * p.x_stride;
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        let value = x[base + i];
        sum += select(value, value * value, p.mode == 1u);
    }
    add_lanes(lane, sum);
    if lane == 0u {
        y[group.z * p.y_stride] = part[0];
    }
}
