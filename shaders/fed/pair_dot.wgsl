// pair_dot: y[s, i, j] = sum over the coordinates k of slice s of u[i, k] u[j, k], u[c, k] = (x[c, k] - base[k]) power[c]
//
// x      [clients][n], client stride x_stride
// base   [n], the row from which updates are counted
// power  [clients], a power of two for each client that brings its update into the range of f32 squares
// y      [slices][clients][clients], symmetric; slice s is coordinates 4096 s to 4096 s + 4095
// grid   x: slices, y: tiles of 4 x 4 pairs on and above the diagonal
// owner  one workgroup sums one tile over one slice, see lib/pair_tile

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read> power: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

//#include lib/pair_tile.wgsl

// The powers of the four clients from `first`.
fn powers(first: u32) -> vec4<f32> {
    let c = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.clients - 1u));
    return vec4<f32>(power[c.x], power[c.y], power[c.z], power[c.w]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let side = sides(group.y);
    let a = offsets(side.x);
    let b = offsets(side.y);
    let scale_a = powers(side.x);
    let scale_b = powers(side.y);
    let end = min((group.x + 1u) * SLICE, p.n);
    var sums = T();
    for (var k = group.x * SLICE + lane; k < end; k += THREADS) {
        let own = (vec4<f32>(x[a.x + k], x[a.y + k], x[a.z + k], x[a.w + k]) - base[k]) * scale_a;
        let other = (vec4<f32>(x[b.x + k], x[b.y + k], x[b.z + k], x[b.w + k]) - base[k]) * scale_b;
        sums += T(own.x * other, own.y * other, own.z * other, own.w * other);
    }
    write_tile(group.x, side, lane, sums);
}
