// instance_norm_backward_reduce: moments[place] = sum d, moments[place + 1] = sum d (x - mean) invstd
//
// d, x     [clients][n][rows][c], client stride x_stride; d is a delta or a tangent
// stats    [clients][n][2][c], client stride stat_stride: mean, invstd
// moments  [clients][n][places][c], client stride moment_stride; only place and place + 1 are written
// grid   x: 8 channels a workgroup, y: image, z: client
// owner  LX lanes side by side along the channels, the other 256 / LX share the image's pixels; trees of fixed order
//        join them

const V: u32 = 4; // words a load: 4 where c is a multiple of 4, else 1
//#if V == 4
alias E = vec4<f32>;
//#else
//# alias E = f32;
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
@group(0) @binding(1) var<storage, read> d: array<E>;
@group(0) @binding(2) var<storage, read> x: array<E>;
@group(0) @binding(3) var<storage, read> stats: array<E>;
@group(0) @binding(4) var<storage, read_write> moments: array<E>;

var<workgroup> part0: array<E, 256>;
var<workgroup> part1: array<E, 256>;

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
    part0[lane] = sum;
    part1[lane] = sum_xhat;
    workgroupBarrier();
    for (var width = 128u; width >= LX; width /= 2u) {
        if lane < width {
            part0[lane] += part0[lane + width];
            part1[lane] += part1[lane + width];
        }
        workgroupBarrier();
    }
    if lane < LX && channel < vectors {
        let to = tile.z * p.moment_stride / V + (tile.y * p.places + p.place) * vectors + channel;
        moments[to] = part0[lane];
        moments[to + vectors] = part1[lane];
    }
}
