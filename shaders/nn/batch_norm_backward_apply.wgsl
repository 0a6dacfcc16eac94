// batch_norm_backward_apply: dx = gamma invstd (dy - sums[0]/rows - xhat sums[1]/rows), xhat = (x - mean) invstd
//
// dy, x, dx     [clients][rows][c], client stride x_stride
// mean, invstd  [clients][c], client stride stat_stride
// gamma         [clients][c], client stride param_stride
// sums          [clients][2][c], client stride sums_stride: sum dy, sum dy xhat
// grid   x: LX vectors of channels per workgroup, y: blocks of rows (capped, the loop strides), z: client
// owner  an invocation owns one vector of channels and rows row, row + stride, ...: its per-channel operands stay in
//        registers, and neighbouring lanes read neighbouring words

//#include lib/channels.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    stat_stride: u32,
    param_stride: u32,
    sums_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> dy: array<E>;
@group(0) @binding(2) var<storage, read> x: array<E>;
@group(0) @binding(3) var<storage, read> mean: array<E>;
@group(0) @binding(4) var<storage, read> invstd: array<E>;
@group(0) @binding(5) var<storage, read> gamma: array<E>;
@group(0) @binding(6) var<storage, read> sums: array<E>;
@group(0) @binding(7) var<storage, read_write> dx: array<E>;

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
    let sum = tile.z * p.sums_stride / V + channel;
    let n = f32(p.rows);
    let centre = mean[stat];
    let scale = gamma[tile.z * p.param_stride / V + channel] * invstd[stat];
    let avg_dy = sums[sum] / n;
    let slope = invstd[stat] * (sums[sum + vectors] / n);
    let base = tile.z * p.x_stride / V + channel;
    for (var row = tile.y * LR + lane / LX; row < p.rows; row += tiles.y * LR) {
        let at = base + row * vectors;
        dx[at] = scale * (dy[at] - avg_dy - (x[at] - centre) * slope);
    }
}
