// batch_norm_backward_reduce: sums = (sum dy, sum dy xhat) over rows, xhat = (x - mean) invstd; dbeta, dgamma get them
//
// dy, x          [clients][rows][c], client stride x_stride
// mean, invstd   [clients][c], client stride stat_stride
// sums           [clients][2][c], client stride sums_stride
// dgamma, dbeta  [clients][c], client stride grad_stride; mode 0 overwrites, 1 adds, 2 leaves them unchanged
// grid   x: 8 channels per workgroup, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the rows; fixed-order trees add their sums

//#include lib/channel_tree_pair.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    sums_stride: u32,
    grad_stride: u32,
    mode: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<E>;
@group(0) @binding(2) var<storage, read> x: array<E>;
@group(0) @binding(3) var<storage, read> mean: array<E>;
@group(0) @binding(4) var<storage, read> invstd: array<E>;
@group(0) @binding(5) var<storage, read_write> sums: array<E>;
@group(0) @binding(6) var<storage, read_write> dgamma: array<E>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    var sum_dy = E(0.0);
    var sum_dy_xhat = E(0.0);
    if channel < vectors {
        let stat = tile.z * p.stat_stride / V + channel;
        let centre = mean[stat];
        let scale = invstd[stat];
        let base = tile.z * p.x_stride / V + channel;
        for (var row = lane / LX; row < p.rows; row += LR) {
            let at = base + row * vectors;
            sum_dy += dy[at];
            sum_dy_xhat += dy[at] * ((x[at] - centre) * scale);
        }
    }
    add_lanes(lane, sum_dy, sum_dy_xhat);
    if lane < LX && channel < vectors {
        let to = tile.z * p.sums_stride / V + channel;
        sums[to] = part0[lane];
        sums[to + vectors] = part1[lane];
        let grad = tile.z * p.grad_stride / V + channel;
        if p.mode == 0u {
            dbeta[grad] = part0[lane];
            dgamma[grad] = part1[lane];
        } else if p.mode == 1u {
            dbeta[grad] += part0[lane];
            dgamma[grad] += part1[lane];
        }
    }
}
