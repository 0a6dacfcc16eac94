// conv2d_weight_grad, tiled: dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, oy s+ky-pad, ox s+kx-pad, ci] small[n,oy,ox,co]
//
// large  [clients][n][h][w][ci]     small [clients][n][oh][ow][co]     dw [clients][splits][co][k][k][ci]
// An implicit GEMM (lib/tile): m = column (ky, kx, ci), n = co, k = pixel (n, oy, ox) of one part; both operands are contiguous
// along their channels. Parts are summed in order by split_sum: no float atomics, so results repeat bit for bit.
// grid   x: co / SIDE, y: columns / SIDE, z: client * splits + part

// Channels per load and store: 4 where ci and co are multiples of 4, else 1.
//#include lib/vector.wgsl
//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<E>;
@group(0) @binding(2) var<storage, read> small: array<E>;
@group(0) @binding(3) var<storage, read_write> dw: array<E>;

const A_ALONG_K: bool = false;
const B_ALONG_K: bool = false;

// Pixel q, if before end.
struct Walk { q: u32, end: u32, ox: u32, oy: u32, image: u32 }

// Channels from n on the small side; taps and channels of four columns, the taps less the padding.
struct Place { client: u32, n: u32, ky: vec4<u32>, kx: vec4<u32>, c: vec4<u32> }

// Pixels per part.
fn length() -> u32 {
    return (p.n * p.oh * p.ow + p.splits - 1u) / p.splits;
}

// The last part may be shorter or empty: its loads are masked.
fn depth(group: vec3<u32>) -> u32 {
    return length();
}

fn start(group: vec3<u32>, k: u32) -> Walk {
    let begin = group.z % p.splits * length();
    let q = begin + k;
    let end = min(begin + length(), p.n * p.oh * p.ow);
    return Walk(q, end, q % p.ow, q / p.ow % p.oh, q / (p.ow * p.oh));
}

fn advance(walk: Walk, by: u32) -> Walk {
    var at = walk;
    at.q += by;
    at.ox += by;
    for (; at.ox >= p.ow; at.ox -= p.ow) {
        at.oy += 1u;
        if at.oy == p.oh { at.oy = 0u; at.image += 1u; }
    }
    return at;
}

fn next(walk: Walk) -> Walk {
    var at = walk;
    at.q += 1u;
    at.ox += 1u;
    if at.ox == p.ow {
        at.ox = 0u;
        at.oy += 1u;
        if at.oy == p.oh { at.oy = 0u; at.image += 1u; }
    }
    return at;
}

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let column = vec4(group.y * SIDE + row) + vec4(0u, 1u, 2u, 3u);
    // Columns past the end get a tap that reaches no pixel; u32 wraps below zero, so one comparison tests both borders.
    let ky = select(vec4(0x40000000u), column / p.ci / p.k - p.pad, column < vec4(p.k * p.k * p.ci));
    return Place(group.z / p.splits, group.x * SIDE + row, ky, column / p.ci % p.k - p.pad, column % p.ci);
}

// Columns r .. r + V - 1 of a place.
fn window(at: Place, r: u32, k: Walk) -> E {
    let y = k.oy * p.stride + at.ky[r];
    let x = k.ox * p.stride + at.kx[r];
    let inside = k.q < k.end && y < p.h && x < p.w;
    let first = select(0u, ((k.image * p.h + y) * p.w + x) * p.ci + at.c[r], inside);
    return select(E(), large[(at.client * p.large_stride + first) / V], inside);
}

// Channels n .. n + V - 1 of pixel q.
fn channels(at: Place, n: u32, k: Walk) -> E {
    let known = k.q < k.end && n < p.co;
    return select(E(), small[(at.client * p.small_stride + select(0u, k.q * p.co + n, known)) / V], known);
}

fn fetch_a(at: Place, k: Walk) -> mat4x4<f32> {
    var block: mat4x4<f32>;
    var e = k;
    //#unroll
    for (var i = 0u; i < 4u; i++) {
        //#if V == 4
        block[i] = window(at, 0u, e);
        //#else
        //# block[i] = vec4(window(at, 0u, e), window(at, 1u, e), window(at, 2u, e), window(at, 3u, e));
        //#endif
        e = next(e);
    }
    return block;
}

fn fetch_b(at: Place, k: Walk) -> mat4x4<f32> {
    var block: mat4x4<f32>;
    var e = k;
    //#unroll
    for (var i = 0u; i < 4u; i++) {
        //#if V == 4
        block[i] = channels(at, at.n, e);
        //#else
        //# block[i] = vec4(channels(at, at.n, e), channels(at, at.n + 1u, e), channels(at, at.n + 2u, e), channels(at, at.n + 3u, e));
        //#endif
        e.q += 1u;
    }
    return block;
}

fn put(group: vec3<u32>, m: u32, n: u32, value: vec4<f32>) {
    if n >= p.co { return; }
    let columns = p.k * p.k * p.ci;
    let to = group.z / p.splits * p.weight_stride + (group.z % p.splits * p.co + n) * columns + m;
    //#if V == 4
    if m < columns {
        if p.accumulate == 1u { dw[to / 4u] += value; } else { dw[to / 4u] = value; }
    }
    //#else
    //# //#unroll
    //# for (var r = 0u; r < 4u; r++) {
    //#     if m + r < columns {
    //#         if p.accumulate == 1u { dw[to + r] += value[r]; } else { dw[to + r] = value[r]; }
    //#     }
    //# }
    //#endif
}

//#include lib/tile.wgsl
