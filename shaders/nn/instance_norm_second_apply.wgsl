// instance_norm_second_apply: y = -gamma invstd^2 (x^ (s - 3 p q) + q (t - avg t) + p (u - avg u))
//
// with p = avg(x^ t), q = avg(x^ u), s = avg((u - avg u) (t - avg t)), x^ = (x - mean) invstd: the derivative of
// u . (J t) with respect to x, J the norm's Jacobian at x
// x, t, u, y  [clients][n][rows][c], client stride x_stride; accumulate 1 adds to y, 0 overwrites it
// stats       [clients][n][2][c], client stride stat_stride: mean, invstd
// gamma       [clients][c], client stride param_stride
// moments     [clients][n][5][c], client stride moment_stride: sums of t, t x^, u, u x^, and their covariance
// grid   x: LX vectors of channels per workgroup, y: BLOCKS blocks of every image's pixels (the loop strides), z: client
// owner  an invocation owns one vector of channels of one image and pixels row, row + stride, ...: the operands of
//        image and channel stay in registers, and neighbouring lanes read neighbouring words

//#include lib/channels.wgsl
const BLOCKS: u32 = 1; // workgroups per image

//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> t: array<E>;
@group(0) @binding(3) var<storage, read> u: array<E>;
@group(0) @binding(4) var<storage, read> stats: array<E>;
@group(0) @binding(5) var<storage, read> gamma: array<E>;
@group(0) @binding(6) var<storage, read> moments: array<E>;
@group(0) @binding(7) var<storage, read_write> y: array<E>;

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
    let moment = tile.z * p.moment_stride / V + image * p.places * vectors + channel;
    let n = f32(p.rows);
    let centre = stats[stat];
    let invstd = stats[stat + vectors];
    let scale = gamma[param] * invstd * invstd;
    let avg_t = moments[moment] / n;
    let by_t = moments[moment + vectors] / n;
    let avg_u = moments[moment + 2u * vectors] / n;
    let by_u = moments[moment + 3u * vectors] / n;
    let slope = invstd * (moments[moment + 4u * vectors] / n - 3.0 * by_t * by_u);
    for (var row = tile.y % BLOCKS * LR + lane / LX; row < p.rows; row += BLOCKS * LR) {
        let at = base + row * vectors;
        let sum = (x[at] - centre) * slope + by_u * (t[at] - avg_t) + by_t * (u[at] - avg_u);
        if p.accumulate == 1u {
            y[at] = y[at] - scale * sum;
        } else {
            y[at] = -scale * sum;
        }
    }
}
