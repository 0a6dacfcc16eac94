// bias_add: y[row, c] += b[c]
//
// b      [clients][c], client stride b_stride
// y      [clients][rows][c], client stride y_stride; in place
// grid   x: LX vectors of channels per workgroup, y: blocks of rows (capped, the loop strides), z: client
// owner  an invocation owns one vector of channels and rows row, row + stride, ...: its per-channel operands stay in
//        registers, and neighbouring lanes read neighbouring words

//#include lib/channels.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    y_stride: u32,
    b_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> b: array<E>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;

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
    let bias = b[tile.z * p.b_stride / V + channel];
    let base = tile.z * p.y_stride / V + channel;
    for (var row = tile.y * LR + lane / LX; row < p.rows; row += tiles.y * LR) {
        y[base + row * vectors] += bias;
    }
}
