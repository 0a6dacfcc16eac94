// wasserstein_loss: loss[slot] = scale mean(x), dx = scale / n
//
// x      [clients][n], client stride x_stride: the critic's outputs
// dx     [clients][n], client stride dx_stride
// loss   [clients][more than slot], client stride loss_stride; only element `slot` of each client is written
// grid   z: client
// owner  one workgroup per client; a lane takes elements lane, lane + 256, ..., a fixed-order tree adds the sums

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    dx_stride: u32,
    loss_stride: u32,
    slot: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = f32(p.n);
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        sum += x[tile.z * p.x_stride + i];
        dx[tile.z * p.dx_stride + i] = p.scale / n;
    }
    add_lanes(lane, sum);
    if lane == 0u {
        loss[tile.z * p.loss_stride + p.slot] = p.scale * (part[0] / n);
    }
}
