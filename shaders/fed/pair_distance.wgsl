// pair_distance: y[s, i, j] = sum over the coordinates k of slice s of (x[i, k] - x[j, k])^2
//
// x      [clients][n], client stride x_stride
// y      [slices][clients][clients], symmetric; slice s is coordinates 4096 s to 4096 s + 4095
// grid   x: slices, y: tiles of 4 x 4 pairs on and above the diagonal
// owner  one workgroup sums one tile over one slice, see lib/pair_tile
// why    differences, not |x|^2 + |y|^2 - 2xy: in f32 that has negative distances between near clients

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

//#include lib/pair_tile.wgsl

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let side = sides(group.y);
    let a = offsets(side.x);
    let b = offsets(side.y);
    let end = min((group.x + 1u) * SLICE, p.n);
    var sums = T();
    for (var k = group.x * SLICE + lane; k < end; k += THREADS) {
        let other = vec4<f32>(x[b.x + k], x[b.y + k], x[b.z + k], x[b.w + k]);
        let d0 = x[a.x + k] - other;
        let d1 = x[a.y + k] - other;
        let d2 = x[a.z + k] - other;
        let d3 = x[a.w + k] - other;
        sums += T(d0 * d0, d1 * d1, d2 * d2, d3 * d3);
    }
    write_tile(group.x, side, lane, sums);
}
