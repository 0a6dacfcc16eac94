// conv2d, tiled: small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]
//
// large  [clients][n][h][w][ci]     weights [clients][co][k][k][ci]     small [clients][n][oh][ow][co]
// An implicit GEMM (lib/tile): m = co, n = pixel (n, oy, ox), k = (ky, kx, ci) with ci innermost, contiguous in both operands.
// grid   x: pixels / SIDE, y: co / SIDE, z: client

// Channels per load and store: 4 where ci and co are multiples of 4, else 1.
//#include lib/vector.wgsl
//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<E>;
@group(0) @binding(2) var<storage, read> weights: array<E>;
@group(0) @binding(3) var<storage, read_write> small: array<E>;

const A_ALONG_K: bool = true;
const B_ALONG_K: bool = true;

// The large side.
fn met(i: u32) -> E { return large[i]; }

//#include lib/tap_walk.wgsl

fn depth(group: vec3<u32>) -> u32 {
    return p.k * p.k * p.ci;
}

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let end = p.k * p.k * p.ci;
    let lanes = vec4(0u, 1u, 2u, 3u);
    if t < SIDE {
        let m = group.y * SIDE + row;
        let first = (group.z * p.weight_stride + (vec4(m) + lanes) * end) / V;
        var ys = 0u;
        //#unroll
        for (var r = 0u; r < 4u; r++) { ys |= select(0u, taps_between(0u, p.k), m + r < p.co) << (8u * r); }
        return Place(first, 0x7f7f7f7fu, ys, 4u / V, 0u, 0u, p.k, p.ci);
    }
    // Top left corners of the windows of four pixels; u32 wraps below zero.
    let q = vec4(group.x * SIDE + row) + lanes;
    let top = q / p.ow % p.oh * p.stride - p.pad;
    let left = q % p.ow * p.stride - p.pad;
    let large_row = q / (p.ow * p.oh) * p.h + top;
    let first = (large_row * p.w + left) * (p.ci / V) + group.z * p.large_stride / V;
    var xs = 0u;
    var ys = 0u;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let inside = q[r] < p.n * p.oh * p.ow;
        ys |= select(0u, taps_between(select(0u, 0u - top[r], top[r] >= 0x80000000u), min(p.k, p.h - top[r])), inside) << (8u * r);
        xs |= taps_between(select(0u, 0u - left[r], left[r] >= 0x80000000u), min(p.k, p.w - left[r])) << (8u * r);
    }
    return Place(first, xs, ys, 4u / V, 0u, (p.w - p.k) * (p.ci / V), p.k, p.ci);
}

fn put(group: vec3<u32>, m: u32, n: u32, value: vec4<f32>) {
    if n >= p.n * p.oh * p.ow { return; }
    let to = group.z * p.small_stride + n * p.co + m;
    //#if V == 4
    if m < p.co { small[to / 4u] = value; }
    //#else
    //# //#unroll
    //# for (var r = 0u; r < 4u; r++) {
    //#     if m + r < p.co { small[to + r] = value[r]; }
    //# }
    //#endif
}

//#include lib/tile.wgsl
