// channel_sum: y[c] (+)= sum over rows of x[row, c]
//
// x      [clients][rows][c], client stride x_stride
// y      [clients][c], client stride y_stride; accumulate 1 adds to the present values
// grid   x: 8 channels per workgroup, z: client
// owner  LX lanes along the channels times 256 / LX lanes along the rows; a fixed-order tree adds their sums

//#include lib/channel_tree.wgsl

struct Params {
    clients: u32,
    rows: u32,
    c: u32,
    x_stride: u32,
    y_stride: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = p.c / V;
    let channel = tile.x * LX + lane % LX;
    var sum = E(0.0);
    if channel < vectors {
        let base = tile.z * p.x_stride / V + channel;
        for (var row = lane / LX; row < p.rows; row += LR) {
            sum += x[base + row * vectors];
        }
    }
    add_lanes(lane, sum);
    if lane < LX && channel < vectors {
        let to = tile.z * p.y_stride / V + channel;
        if p.accumulate == 1u {
            y[to] += part[lane];
        } else {
            y[to] = part[lane];
        }
    }
}
