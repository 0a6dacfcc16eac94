// image_square_sum: y = sum of x^2 over each image's words
//
// x      [clients][n][len], client stride x_stride
// y      [clients][n], client stride y_stride
// grid   x: image, z: client
// owner  one workgroup per image; a lane takes words lane, lane + 256, ..., a fixed-order tree adds the sums

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    len: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) tile: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = tile.z * p.x_stride + tile.x * p.len;
    var sum = 0.0;
    for (var i = lane; i < p.len; i += THREADS) {
        sum += x[base + i] * x[base + i];
    }
    add_lanes(lane, sum);
    if lane == 0u {
        y[tile.z * p.y_stride + tile.x] = part[0];
    }
}
