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

struct Walk { k: u32, c: u32, kx: u32, ky: u32 }

// Weight rows from m, and the top left corners of the windows of four pixels.
struct Place { client: u32, m: u32, top: vec4<u32>, left: vec4<u32>, row: vec4<u32> }

fn depth(group: vec3<u32>) -> u32 {
    return p.k * p.k * p.ci;
}

fn start(group: vec3<u32>, k: u32) -> Walk {
    return advance(Walk(), k);
}

fn advance(walk: Walk, by: u32) -> Walk {
    var at = walk;
    at.k += by;
    at.c += by;
    for (; at.c >= p.ci; at.c -= p.ci) {
        at.kx += 1u;
        if at.kx == p.k { at.kx = 0u; at.ky += 1u; }
    }
    return at;
}

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let q = vec4(group.x * SIDE + row) + vec4(0u, 1u, 2u, 3u);
    // Pixels past the end get a window that no tap reaches; u32 wraps below zero, so one comparison tests both borders.
    let top = select(vec4(0x40000000u), q / p.ow % p.oh * p.stride - p.pad, q < vec4(p.n * p.oh * p.ow));
    let left = q % p.ow * p.stride - p.pad;
    return Place(group.z, group.y * SIDE + row, top, left, q / (p.ow * p.oh) * p.h);
}

fn weight(at: Place, m: u32, k: u32) -> E {
    let end = p.k * p.k * p.ci;
    let known = m < p.co && k < end;
    return select(E(), weights[(at.client * p.weight_stride + select(0u, m * end + k, known)) / V], known);
}

fn window(at: Place, r: u32, k: Walk) -> E {
    let y = at.top[r] + k.ky;
    let x = at.left[r] + k.kx;
    let inside = k.ky < p.k && y < p.h && x < p.w;
    let first = select(0u, ((at.row[r] + y) * p.w + x) * p.ci + k.c, inside);
    return select(E(), large[(at.client * p.large_stride + first) / V], inside);
}

//#if V == 4
fn fetch_a(at: Place, k: Walk) -> mat4x4<f32> {
    var rows: mat4x4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) { rows[r] = weight(at, at.m + r, k.k); }
    return transpose(rows);
}

fn fetch_b(at: Place, k: Walk) -> mat4x4<f32> {
    var rows: mat4x4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) { rows[r] = window(at, r, k); }
    return transpose(rows);
}
//#else
//# fn next(walk: Walk) -> Walk {
//#     var at = walk;
//#     at.c += 1u;
//#     if at.c == p.ci {
//#         at.c = 0u;
//#         at.kx += 1u;
//#         if at.kx == p.k { at.kx = 0u; at.ky += 1u; }
//#     }
//#     return at;
//# }
//#
//# fn fetch_a(at: Place, k: Walk) -> mat4x4<f32> {
//#     var block: mat4x4<f32>;
//#     //#unroll
//#     for (var i = 0u; i < 4u; i++) {
//#         let e = k.k + i;
//#         block[i] = vec4(weight(at, at.m, e), weight(at, at.m + 1u, e), weight(at, at.m + 2u, e), weight(at, at.m + 3u, e));
//#     }
//#     return block;
//# }
//#
//# fn fetch_b(at: Place, k: Walk) -> mat4x4<f32> {
//#     var block: mat4x4<f32>;
//#     var e = k;
//#     //#unroll
//#     for (var i = 0u; i < 4u; i++) {
//#         block[i] = vec4(window(at, 0u, e), window(at, 1u, e), window(at, 2u, e), window(at, 3u, e));
//#         e = next(e);
//#     }
//#     return block;
//# }
//#endif

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
