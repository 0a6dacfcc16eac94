// gradient_penalty: loss[slot] = lambda mean((sqrt(squares) - 1)^2)
//
// squares  [clients][n], client stride square_stride: ||g||^2 of each image
// loss     [clients][more than slot], client stride loss_stride; only element `slot` of each client is written
// grid   z: client
// owner  one workgroup per client; a lane takes elements lane, lane + 256, ..., a fixed-order tree adds the sums

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    square_stride: u32,
    loss_stride: u32,
    slot: u32,
    lambda: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        let distance = sqrt(squares[tile.z * p.square_stride + i]) - 1.0;
        sum += distance * distance;
    }
    add_lanes(lane, sum);
    if lane == 0u {
        loss[tile.z * p.loss_stride + p.slot] = p.lambda * (part[0] / f32(p.n));
    }
}
