// instance_norm_backward_reduce: moments[place] = sum d, moments[place + 1] = sum d (x - mean) invstd
//
// d, x     [clients][n][rows][c], client stride x_stride; d is a delta or a tangent
// stats    [clients][n][2][c], client stride stat_stride: mean, invstd
// moments  [clients][n][places][c], client stride moment_stride; only place and place + 1 are written
// grid   x: 8 channels per workgroup, y: image, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the image's pixels; fixed-order trees
//        add their sums

//#include lib/channel_tree_pair.wgsl
//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> d: array<E>;
@group(0) @binding(2) var<storage, read> x: array<E>;
@group(0) @binding(3) var<storage, read> stats: array<E>;
@group(0) @binding(4) var<storage, read_write> moments: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    let base = tile.z * p.x_stride / V + tile.y * p.rows * vectors + channel;
    var sum = E(0.0);
    var sum_xhat = E(0.0);
    if channel < vectors {
        let stat = tile.z * p.stat_stride / V + 2u * tile.y * vectors + channel;
        let centre = stats[stat];
        let scale = stats[stat + vectors];
        for (var row = lane / LX; row < p.rows; row += LR) {
            let at = base + row * vectors;
            sum += d[at];
            sum_xhat += d[at] * ((x[at] - centre) * scale);
        }
    }
    add_lanes(lane, sum, sum_xhat);
    if lane < LX && channel < vectors {
        let to = tile.z * p.moment_stride / V + (tile.y * p.places + p.place) * vectors + channel;
        moments[to] = part0[lane];
        moments[to + vectors] = part1[lane];
    }
}
