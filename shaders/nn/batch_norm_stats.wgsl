// batch_norm_stats: mean = avg(x), invstd = 1/sqrt(avg((x - mean)^2) + eps); running = (1-m) running + m batch
//
// x             [clients][rows][c], client stride x_stride
// mean, invstd  [clients][c], client stride stat_stride
// running_*     [clients][c], client stride running_stride; updated iff update is 1 and the client is active;
//               with the unbiased variance, times rows / (rows - 1)
// grid   x: 8 channels per workgroup, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the rows; fixed-order trees add their sums
// why    two passes: E[x^2] - E[x]^2 loses all precision at mean/std = 1000. The second pass sums d = x - first mean as
//        well as d^2 and corrects both moments by avg(d), the first mean's rounding error.

//#include lib/channel_tree_pair.wgsl
//#include lib/kept.wgsl
//#include lib/active.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    running_stride: u32,
    eps: f32,
    momentum: f32,
    update: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> mean: array<E>;
@group(0) @binding(3) var<storage, read_write> invstd: array<E>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<E>;
@group(0) @binding(5) var<storage, read_write> running_var: array<E>;
@group(0) @binding(6) var<storage, read> state: array<u32>;
@group(0) @binding(7) var<storage, read> client_steps: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    let base = tile.z * p.x_stride / V + channel;
    let end = select(0u, p.rows, channel < vectors); // lanes beyond the last channel sum nothing
    let n = f32(p.rows);

    let step = LR * vectors;

    var sum = E(0.0);
    var row = lane / LX;
    var at = base + row * vectors;
    for (; row + 3u * LR < end; row += 4u * LR) { // four loads in flight, added in the order of the rows
        let x0 = x[at];
        let x1 = x[at + step];
        let x2 = x[at + 2u * step];
        let x3 = x[at + 3u * step];
        sum += x0;
        sum += x1;
        sum += x2;
        sum += x3;
        at += 4u * step;
    }
    for (; row < end; row += LR) {
        sum += x[at];
        at += step;
    }
    add_lanes(lane, sum, E(0.0));
    let first = part0[lane % LX] / n;
    workgroupBarrier();

    var sum_d = E(0.0);
    var sum_d2 = E(0.0);
    row = lane / LX;
    at = base + row * vectors;
    for (; row + 3u * LR < end; row += 4u * LR) {
        let d0 = x[at] - first;
        let d1 = x[at + step] - first;
        let d2 = x[at + 2u * step] - first;
        let d3 = x[at + 3u * step] - first;
        sum_d += d0;
        sum_d2 += d0 * d0;
        sum_d += d1;
        sum_d2 += d1 * d1;
        sum_d += d2;
        sum_d2 += d2 * d2;
        sum_d += d3;
        sum_d2 += d3 * d3;
        at += 4u * step;
    }
    for (; row < end; row += LR) {
        let d = x[at] - first;
        sum_d += d;
        sum_d2 += d * d;
        at += step;
    }
    add_lanes(lane, sum_d, sum_d2);

    if lane < LX && channel < vectors {
        let shift = part0[lane] / n;
        let m = first + shift;
        let raw = part1[lane] / n - shift * shift;
        let v = kept(raw, max(raw, E(0.0)));
        let place = tile.z * p.stat_stride / V + channel;
        mean[place] = m;
        invstd[place] = inverseSqrt(v + p.eps);
        if p.update == 1u && trains(tile.z) {
            let to = tile.z * p.running_stride / V + channel;
            let keep = 1.0 - p.momentum;
            running_mean[to] = keep * running_mean[to] + p.momentum * m;
            running_var[to] = keep * running_var[to] + p.momentum * (v * (n / (n - 1.0)));
        }
    }
}
