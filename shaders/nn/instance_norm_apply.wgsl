// instance_norm_apply: y = gamma (x - mean) invstd + beta, statistics of each image
//
// x, y         [clients][n][rows][c], client stride x_stride
// stats        [clients][n][2][c], client stride stat_stride: mean, invstd
// gamma, beta  [clients][c], client stride param_stride
// grid   x: LX vectors of channels per workgroup, y: BLOCKS blocks of every image's pixels (the loop strides), z: client
// owner  an invocation owns one vector of channels of one image and pixels row, row + stride, ...: the operands of
//        image and channel stay in registers, and neighbouring lanes read neighbouring words

//#include lib/channels.wgsl
const BLOCKS: u32 = 1; // workgroups per image

//#include lib/instance.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> stats: array<E>;
@group(0) @binding(3) var<storage, read> gamma: array<E>;
@group(0) @binding(4) var<storage, read> beta: array<E>;
@group(0) @binding(5) var<storage, read_write> y: array<E>;

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
    let centre = stats[stat];
    let scale = gamma[param] * stats[stat + vectors];
    let offset = beta[param];
    for (var row = tile.y % BLOCKS * LR + lane / LX; row < p.rows; row += BLOCKS * LR) {
        let at = base + row * vectors;
        y[at] = (x[at] - centre) * scale + offset;
    }
}
