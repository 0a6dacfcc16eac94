// instance_norm_stats: mean = avg(x), invstd = 1/sqrt(avg((x - mean)^2) + eps) over each image's pixels
//
// x      [clients][n][rows][c], client stride x_stride
// stats  [clients][n][2][c], client stride stat_stride: mean, invstd
// grid   x: 8 channels per workgroup, y: image, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the image's pixels; fixed-order trees
//        add their sums
// why    two passes, as batch_norm_stats: the second sums d = x - first mean as well as d^2 and corrects both moments by
//        avg(d), the first mean's rounding error

//#include lib/channel_tree_pair.wgsl
//#include lib/instance.wgsl
//#include lib/kept.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> stats: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    let base = tile.z * p.x_stride / V + tile.y * p.rows * vectors + channel;
    let end = select(0u, p.rows, channel < vectors); // lanes beyond the last channel sum nothing
    let n = f32(p.rows);

    var sum = E(0.0);
    for (var row = lane / LX; row < end; row += LR) {
        sum += x[base + row * vectors];
    }
    add_lanes(lane, sum, E(0.0));
    let first = part0[lane % LX] / n;
    workgroupBarrier();

    var sum_d = E(0.0);
    var sum_d2 = E(0.0);
    for (var row = lane / LX; row < end; row += LR) {
        let d = x[base + row * vectors] - first;
        sum_d += d;
        sum_d2 += d * d;
    }
    add_lanes(lane, sum_d, sum_d2);

    if lane < LX && channel < vectors {
        let shift = part0[lane] / n;
        let to = tile.z * p.stat_stride / V + 2u * tile.y * vectors + channel;
        stats[to] = first + shift;
        let raw = part1[lane] / n - shift * shift;
        stats[to + vectors] = inverseSqrt(kept(raw, max(raw, E(0.0))) + p.eps);
    }
}
