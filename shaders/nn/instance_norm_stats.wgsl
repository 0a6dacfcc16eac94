// instance_norm_stats: mean = avg(x), invstd = 1/sqrt(avg((x - mean)^2) + eps) over each image's pixels
//
// x      [clients][n][rows][c], client stride x_stride
// stats  [clients][n][2][c], client stride stat_stride: mean, invstd
// grid   x: 8 channels a workgroup, y: image, z: client
// owner  LX lanes side by side along the channels, the other 256 / LX share the image's pixels; trees of fixed order
//        join them
// why    two passes, as batch_norm_stats: the second sums d = x - first mean as well as d^2 and corrects both moments by
//        avg(d), the first mean's rounding error

const V: u32 = 4; // words a load: 4 where c is a multiple of 4, else 1
//#if V == 4
alias E = vec4<f32>;
alias W = vec4<u32>;
//#else
//# alias E = f32;
//# alias W = u32;
//#endif
const LX: u32 = 2; // lanes along the channels, a power of two
const LR = 256u / LX; // lanes along the pixels

struct Params {
    clients: u32,
    n: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    param_stride: u32,
    moment_stride: u32,
    places: u32,
    place: u32,
    eps: f32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> stats: array<E>;

var<workgroup> part0: array<E, 256>;
var<workgroup> part1: array<E, 256>;

// Joins the pixel lanes' partial sums; the totals stand in the first LX places.
fn join(lane: u32) {
    workgroupBarrier();
    for (var width = 128u; width >= LX; width /= 2u) {
        if lane < width {
            part0[lane] += part0[lane + width];
            part1[lane] += part1[lane + width];
        }
        workgroupBarrier();
    }
}

// y, but NaN where v is NaN: by its bits, for a driver may assume that arithmetic never sees one, and min, max and select drop it
fn kept(v: E, y: E) -> E {
    return select(y, v, (bitcast<W>(v) & W(0x7fffffffu)) > W(0x7f800000u));
}

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
    part0[lane] = sum;
    part1[lane] = E(0.0);
    join(lane);
    let first = part0[lane % LX] / n;
    workgroupBarrier();

    var sum_d = E(0.0);
    var sum_d2 = E(0.0);
    for (var row = lane / LX; row < end; row += LR) {
        let d = x[base + row * vectors] - first;
        sum_d += d;
        sum_d2 += d * d;
    }
    part0[lane] = sum_d;
    part1[lane] = sum_d2;
    join(lane);

    if lane < LX && channel < vectors {
        let shift = part0[lane] / n;
        let to = tile.z * p.stat_stride / V + 2u * tile.y * vectors + channel;
        stats[to] = first + shift;
        let raw = part1[lane] / n - shift * shift;
        stats[to + vectors] = inverseSqrt(kept(raw, max(raw, E(0.0))) + p.eps);
    }
}
