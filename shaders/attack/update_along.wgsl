// update_along: y[s, first + c] = sum over the coordinates k of slice s of (x[c, k] - base[k]) direction[k]
//
// x          [clients][n], client stride x_stride
// base       [n], the row from which updates are counted
// direction  [n]
// y          [slices][all]; slice s is coordinates 4096 s to 4096 s + 4095
// grid       x: slices, z: client
// owner      one workgroup takes one slice of one client: 256 lanes, then a tree

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
@group(0) @binding(3) var<storage, read> direction: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Coordinates of a slice.
const SLICE: u32 = 4096;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = group.z * p.x_stride;
    let end = min((group.x + 1u) * SLICE, p.n);
    var sum = 0.0;
    for (var k = group.x * SLICE + lane; k < end; k += THREADS) {
        sum += (x[row + k] - base[k]) * direction[k];
    }
    add_lanes(lane, sum);
    if lane == 0u {
        y[group.x * p.all + p.first + group.z] = part[0];
    }
}
