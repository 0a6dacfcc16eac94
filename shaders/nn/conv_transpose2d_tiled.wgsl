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

// Tap (ty, tx) of the phase's (taps_y, taps_x), channel c.
struct Walk { c: u32, tx: u32, ty: u32, taps_x: u32, taps_y: u32 }

// Weights from channel m; for four pixels the (oy, ox) that the first tap reads; later taps read earlier ones.
struct Place { phase: Phase, m: u32, oy: vec4<u32>, ox: vec4<u32>, row: vec4<u32> }

fn phase(group: vec3<u32>) -> Phase {
    let s = p.stride;
    let y = group.z % (s * s) / s;
    let x = group.z % s;
    return Phase(group.z / (s * s), y, x, (y + p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s);
}

// Taps of a phase in one direction: ceil((k - k0) / s), none if k0 is not below k.
fn taps(k0: u32) -> u32 {
    return (max(p.k, k0) - k0 + p.stride - 1u) / p.stride;
}

fn depth(group: vec3<u32>) -> u32 {
    let here = phase(group);
    return taps(here.ky0) * taps(here.kx0) * p.co;
}

fn start(group: vec3<u32>, k: u32) -> Walk {
    let here = phase(group);
    return advance(Walk(0u, 0u, 0u, taps(here.kx0), taps(here.ky0)), k);
}

fn advance(walk: Walk, by: u32) -> Walk {
    var at = walk;
    at.c += by;
    for (; at.c >= p.co; at.c -= p.co) {
        at.tx += 1u;
        if at.tx >= at.taps_x { at.tx = 0u; at.ty += 1u; }
    }
    return at;
}

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let here = phase(group);
    let q = vec4(group.x * SIDE + row) + vec4(0u, 1u, 2u, 3u);
    // Pixels past the end get a row that no tap reaches; u32 wraps below zero, so one comparison tests both borders.
    let known = q < vec4(p.n * here.rows * here.cols);
    let oy = select(vec4(0x40000000u), q / here.cols % here.rows + (here.y + p.pad - here.ky0) / p.stride, known);
    let ox = q % here.cols + (here.x + p.pad - here.kx0) / p.stride;
    return Place(here, group.y * SIDE + row, oy, ox, q / (here.cols * here.rows) * p.oh);
}

// Weights of channels m .. m + V - 1.
fn weight(at: Place, m: u32, k: Walk) -> E {
    let known = m < p.ci && k.tx < k.taps_x && k.ty < k.taps_y;
    let ky = at.phase.ky0 + k.ty * p.stride;
    let kx = at.phase.kx0 + k.tx * p.stride;
    let first = select(0u, ((k.c * p.k + ky) * p.k + kx) * p.ci + m, known);
    return select(E(), weights[(at.phase.client * p.weight_stride + first) / V], known);
}

// Channels c .. c + V - 1 of the small pixel that the tap reads for pixel r.
fn met(at: Place, r: u32, k: Walk) -> E {
    let oy = at.oy[r] - k.ty;
    let ox = at.ox[r] - k.tx;
    let inside = k.tx < k.taps_x && k.ty < k.taps_y && oy < p.oh && ox < p.ow;
    let first = select(0u, ((at.row[r] + oy) * p.ow + ox) * p.co + k.c, inside);
    return select(E(), small[(at.phase.client * p.small_stride + first) / V], inside);
}

//#if V == 4
fn fetch_a(at: Place, k: Walk) -> mat4x4<f32> {
    var block: mat4x4<f32>;
    var e = k;
    //#unroll
    for (var i = 0u; i < 4u; i++) {
        block[i] = weight(at, at.m, e);
        e.c += 1u;
    }
    return block;
}

fn fetch_b(at: Place, k: Walk) -> mat4x4<f32> {
    var rows: mat4x4<f32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) { rows[r] = met(at, r, k); }
    return transpose(rows);
}
//#else
//# fn next(walk: Walk) -> Walk {
//#     var at = walk;
//#     at.c += 1u;
//#     if at.c == p.co {
//#         at.c = 0u;
//#         at.tx += 1u;
//#         if at.tx >= at.taps_x { at.tx = 0u; at.ty += 1u; }
//#     }
//#     return at;
//# }
//#
//# fn fetch_a(at: Place, k: Walk) -> mat4x4<f32> {
//#     var block: mat4x4<f32>;
//#     var e = k;
//#     //#unroll
//#     for (var i = 0u; i < 4u; i++) {
//#         block[i] = vec4(weight(at, at.m, e), weight(at, at.m + 1u, e), weight(at, at.m + 2u, e), weight(at, at.m + 3u, e));
//#         e = next(e);
//#     }
//#     return block;
//# }
//#
//# fn fetch_b(at: Place, k: Walk) -> mat4x4<f32> {
//#     var block: mat4x4<f32>;
//#     var e = k;
//#     //#unroll
//#     for (var i = 0u; i < 4u; i++) {
//#         block[i] = vec4(met(at, 0u, e), met(at, 1u, e), met(at, 2u, e), met(at, 3u, e));
//#         e = next(e);
//#     }
//#     return block;
//# }
//#endif

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
