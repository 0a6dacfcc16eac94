// batch_norm_apply: v = gamma (x - mean) invstd + beta; y = v above 0, else slope v
//
// x, y          [clients][rows][c], client stride x_stride
// mean, invstd  [clients][c], client stride stat_stride
// gamma, beta   [clients][c], client stride param_stride
// grid   x: LX vectors of channels per workgroup, y: blocks of rows (capped, the loop strides), z: client
// owner  an invocation owns one vector of channels and rows row, row + stride, ...: its per-channel operands stay in
//        registers, and neighbouring lanes read neighbouring words
// why    x - mean comes first: folding mean into beta cancels at mean/std = 1000

//#include lib/channels.wgsl
//#include lib/kept.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    param_stride: u32,
    slope: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> mean: array<E>;
@group(0) @binding(3) var<storage, read> invstd: array<E>;
@group(0) @binding(4) var<storage, read> gamma: array<E>;
@group(0) @binding(5) var<storage, read> beta: array<E>;
@group(0) @binding(6) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) tile: vec3<u32>,
    @builtin(num_workgroups) tiles: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    if channel >= vectors {
        return;
    }
    let stat = tile.z * p.stat_stride / V + channel;
    let param = tile.z * p.param_stride / V + channel;
    let centre = mean[stat];
    let scale = gamma[param] * invstd[stat];
    let offset = beta[param];
    let base = tile.z * p.x_stride / V + channel;
    for (var row = tile.y * LR + lane / LX; row < p.rows; row += tiles.y * LR) {
        let at = base + row * vectors;
        let v = (x[at] - centre) * scale + offset;
        // ReLU of -inf is 0, but 0 * -inf would be NaN
        let low = select(p.slope * v, E(), p.slope == 0.0);
        y[at] = kept(v, select(low, v, v > E()));
    }
}
