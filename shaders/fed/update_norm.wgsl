// update_norm: squared norms of updates u[c, k] = x[c, k] - base[k] over slices of coordinates, scaled so that no square overflows:
//              y[s, 0, first + c] = power, y[s, 1, first + c] = sum over the coordinates k of slice s of (u[c, k] power)^2
//
// x      [clients][n], client stride x_stride
// base   [n], the row from which updates are counted
// y      [slices][2][all]; slice s is coordinates 4096 s to 4096 s + 4095, `power` the power of two that brings the slice's
//        largest |u| into [1, 2), within 2^-126 to 2^100
// grid   x: slices, z: client
// owner  one workgroup takes one slice of one client: the largest magnitude by a tree, then the sum by another

//#include lib/scalar_tree.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    first: u32,
    all: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

// Coordinates of a slice.
const SLICE: u32 = 4096;

var<workgroup> largest: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.z * p.x_stride;
    let begin = group.x * SLICE + lane;
    let end = min((group.x + 1u) * SLICE, p.n);
    // Magnitudes compare as their bits do.
    var most = 0u;
    for (var k = begin; k < end; k += THREADS) {
        most = max(most, bitcast<u32>(x[row + k] - base[k]) & 0x7fffffffu);
    }
    largest[lane] = most;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if lane < width {
            largest[lane] = max(largest[lane], largest[lane + width]);
        }
        workgroupBarrier();
    }
    let power = bitcast<f32>((254u - clamp(largest[0] >> 23u, 27u, 253u)) << 23u);
    var sum = 0.0;
    for (var k = begin; k < end; k += THREADS) {
        let u = (x[row + k] - base[k]) * power;
        sum += u * u;
    }
    add_lanes(lane, sum);
    if lane == 0u {
        let to = 2u * group.x * p.all + p.first + group.z;
        y[to] = power;
        y[to + p.all] = part[0];
    }
}
