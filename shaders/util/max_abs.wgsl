// max_abs: y[c, y_at] = max over i of |x[c, i]|; NaN with one
//
// x      [clients][n], client stride x_stride
// y      [clients][y_at + 1], client stride y_stride; only element y_at of a client is written
// grid   z: client
// owner  one workgroup reads one client: lane l takes elements l, l + 256, ..., then a tree halves 256 lanes
// why    magnitudes compare as their bits do, with NaN above all others: drivers may assume that arithmetic never sees NaN

const THREADS: u32 = 256;

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    y_at: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = group.z * p.x_stride;
    var largest = 0u;
    for (var i = lane; i < p.n; i += THREADS) {
        largest = max(largest, bitcast<u32>(x[base + i]) & 0x7fffffffu);
    }
    partial[lane] = largest;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if lane < width {
            partial[lane] = max(partial[lane], partial[lane + width]);
        }
        workgroupBarrier();
    }
    if lane == 0u {
        y[group.z * p.y_stride + p.y_at] = bitcast<f32>(partial[0]);
    }
}
