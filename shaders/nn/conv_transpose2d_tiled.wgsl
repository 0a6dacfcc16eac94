// conv_transpose2d, tiled: large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad)
//                                             small[n,oy,ox,co] w[co,ky,kx,ci]
//
// small  [clients][n][oh][ow][co]     weights [clients][co][k][k][ci]     large [clients][n][h][w][ci]
// By phases (see conv_transpose2d_direct): one residue of (y, x) modulo the stride, its taps ky = ky0 + s t. Each phase is an
// implicit GEMM (lib/tile): m = ci, n = phase pixel (n, a, b), k = (taps of the phase, co) with co innermost. Weights are
// contiguous along m, the small side along k.
// grid   x: phase pixels / SIDE, y: ci / SIDE, z: client * phases + phase

// Channels per load and store: 4 where ci and co are multiples of 4, else 1.
//#include lib/vector.wgsl
//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> small: array<E>;
@group(0) @binding(2) var<storage, read> weights: array<E>;
@group(0) @binding(3) var<storage, read_write> large: array<E>;

const A_ALONG_K: bool = false;
const B_ALONG_K: bool = true;

struct Phase { client: u32, y: u32, x: u32, ky0: u32, kx0: u32, rows: u32, cols: u32 }

fn phase(group: vec3<u32>) -> Phase {
    let s = p.stride;
    let y = group.z % (s * s) / s;
    let x = group.z % s;
    return Phase(group.z / (s * s), y, x, (y + p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s);
}

// Taps of a phase in one direction: ceil((k - k0) / s), none when k0 is not below k.
fn taps(k0: u32) -> u32 {
    return (max(p.k, k0) - k0 + p.stride - 1u) / p.stride;
}

fn depth(group: vec3<u32>) -> u32 {
    let here = phase(group);
    return taps(here.ky0) * taps(here.kx0) * p.co;
}

// The small side.
fn met(i: u32) -> E { return small[i]; }

//#include lib/tap_walk.wgsl

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let here = phase(group);
    let taps_x = taps(here.kx0);
    let taps_y = taps(here.ky0);
    let lanes = vec4(0u, 1u, 2u, 3u);
    if t < SIDE {
        let m = group.y * SIDE + row;
        let ci = p.ci / V;
        let kk = p.k * p.k * ci;
        var first = vec4(here.client * p.weight_stride / V + (here.ky0 * p.k + here.kx0) * ci + m / V);
        var ys = select(0u, taps_between(0u, taps_y), m < p.ci) * 0x1010101u;
        //#if V == 4
        first += lanes * kk;
        //#else
        //# first += lanes;
        //# //#unroll
        //# for (var r = 0u; r < 4u; r++) { if m + r >= p.ci { ys &= ~(0xffu << (8u * r)); } }
        //#endif
        let x = p.stride * ci;
        return Place(first, taps_between(0u, taps_x) * 0x1010101u, ys, 4u * kk, x - p.co * kk, p.stride * p.k * ci - taps_x * x, taps_x, p.co);
    }
    let q = vec4(group.x * SIDE + row) + lanes;
    let oy = q / here.cols % here.rows + (here.y + p.pad - here.ky0) / p.stride;
    let ox = q % here.cols + (here.x + p.pad - here.kx0) / p.stride;
    let co = p.co / V;
    let first = here.client * p.small_stride / V + ((q / (here.cols * here.rows) * p.oh + oy) * p.ow + ox) * co;
    var xs = 0u;
    var ys = 0u;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let inside = q[r] < p.n * here.rows * here.cols;
        ys |= select(0u, taps_between(max(oy[r] + 1u, p.oh) - p.oh, min(oy[r] + 1u, taps_y)), inside) << (8u * r);
        xs |= taps_between(max(ox[r] + 1u, p.ow) - p.ow, min(ox[r] + 1u, taps_x)) << (8u * r);
    }
    return Place(first, xs, ys, 4u / V, 0u - 2u * co, (taps_x - p.ow) * co, taps_x, p.co);
}

fn put(group: vec3<u32>, m: u32, n: u32, value: vec4<f32>) {
    let here = phase(group);
    let y = n / here.cols % here.rows * p.stride + here.y;
    let x = n % here.cols * p.stride + here.x;
    let image = n / (here.cols * here.rows);
    if image >= p.n || y >= p.h || x >= p.w { return; }
    let to = here.client * p.large_stride + ((image * p.h + y) * p.w + x) * p.ci + m;
    //#if V == 4
    if m < p.ci { large[to / 4u] = value; }
    //#else
    //# //#unroll
    //# for (var r = 0u; r < 4u; r++) {
    //#     if m + r < p.ci { large[to + r] = value[r]; }
    //# }
    //#endif
}

//#include lib/tile.wgsl
