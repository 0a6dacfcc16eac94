// instance_norm_backward_apply: y = gamma invstd (d - avg d - x^ avg(d x^)), x^ = (x - mean) invstd
//
// d, x, y  [clients][n][rows][c], client stride x_stride; the Jacobian is symmetric: for deltas backward and tangents forward
// stats    [clients][n][2][c], client stride stat_stride: mean, invstd
// gamma    [clients][c], client stride param_stride
// moments  [clients][n][places][c], client stride moment_stride: sum d in place, sum d x^ in place + 1
// grid   x: LX vectors of channels per workgroup, y: BLOCKS blocks of every image's pixels (the loop strides), z: client
// owner  an invocation owns one vector of channels of one image and pixels row, row + stride, ...: the operands of
//        image and channel stay in registers, and neighbouring lanes read neighbouring words

//#include lib/channels.wgsl
const BLOCKS: u32 = 1; // workgroups per image

//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> d: array<E>;
@group(0) @binding(2) var<storage, read> x: array<E>;
@group(0) @binding(3) var<storage, read> stats: array<E>;
@group(0) @binding(4) var<storage, read> gamma: array<E>;
@group(0) @binding(5) var<storage, read> moments: array<E>;
@group(0) @binding(6) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    if channel >= vectors {
        return;
    }
    let image = tile.y / BLOCKS;
    let base = tile.z * p.x_stride / V + image * p.rows * vectors + channel;
    let param = tile.z * p.param_stride / V + channel;
    let stat = tile.z * p.stat_stride / V + 2u * image * vectors + channel;
    let moment = tile.z * p.moment_stride / V + (image * p.places + p.place) * vectors + channel;
    let n = f32(p.rows);
    let centre = stats[stat];
    let invstd = stats[stat + vectors];
    let scale = gamma[param] * invstd;
    let avg_d = moments[moment] / n;
    let slope = invstd * (moments[moment + vectors] / n);
    for (var row = tile.y % BLOCKS * LR + lane / LX; row < p.rows; row += BLOCKS * LR) {
        let at = base + row * vectors;
        y[at] = scale * (d[at] - avg_d - (x[at] - centre) * slope);
    }
}
