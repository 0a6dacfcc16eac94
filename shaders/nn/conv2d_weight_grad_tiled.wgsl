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

// Offset of a load, pixel q of those before end, and where its window starts.
struct Walk { off: u32, q: u32, x: u32, y: u32 }

// Loads start at first. The offset grows by pixel with each, by row and image besides where those of the small side end.
// A load is known where (x, y) added to the window's start lie below w and h.
struct Place { first: vec4<u32>, x: vec4<u32>, y: vec4<u32>, w: u32, h: u32, pixel: u32, row: u32, image: u32, end: u32 }

// Pixels per part.
fn length() -> u32 {
    return (p.n * p.oh * p.ow + p.splits - 1u) / p.splits;
}

// The last part may be shorter or empty: its loads are masked.
fn depth(group: vec3<u32>) -> u32 {
    return length();
}

fn start(group: vec3<u32>, at: Place, quad: u32) -> Walk {
    let q = group.z % p.splits * length() + quad * 4u;
    let oy = q / p.ow % p.oh;
    return Walk(q * at.pixel + q / p.ow * at.row + q / (p.ow * p.oh) * at.image, q, q % p.ow * p.stride, oy * p.stride);
}

fn advance(at: Place, walk: Walk, quads: u32) -> Walk {
    var k = walk;
    k.off += 4u * quads * at.pixel;
    k.q += 4u * quads;
    k.x += 4u * quads * p.stride;
    let width = p.ow * p.stride;
    for (; k.x >= width; k.x -= width) {
        k.off += at.row;
        k.y += p.stride;
        if k.y == p.oh * p.stride { k.y = 0u; k.off += at.image; }
    }
    return k;
}

fn next(at: Place, walk: Walk) -> Walk {
    var k = walk;
    k.off += at.pixel;
    k.q += 1u;
    k.x += p.stride;
    if k.x == p.ow * p.stride {
        k.x = 0u;
        k.off += at.row;
        k.y += p.stride;
        if k.y == p.oh * p.stride { k.y = 0u; k.off += at.image; }
    }
    return k;
}

fn place(group: vec3<u32>, t: u32, row: u32) -> Place {
    let lanes = vec4(0u, 1u, 2u, 3u);
    let begin = group.z % p.splits * length();
    let end = min(begin + length(), p.n * p.oh * p.ow);
    let client = group.z / p.splits;
    if t < SIDE {
        let column = vec4(group.y * SIDE + row) + lanes;
        // Columns past the end get a tap that meets no pixel; u32 wraps below zero, so one comparison tests both borders.
        let tap_y = column / p.ci / p.k - p.pad;
        let y = select(vec4(0x40000000u), tap_y, column < vec4(p.k * p.k * p.ci));
        let x = column / p.ci % p.k - p.pad;
        let ci = p.ci / V;
        let first = client * p.large_stride / V + (tap_y * p.w + x) * ci + column % p.ci / V;
        let line = p.stride * p.w * ci;
        return Place(first, x, y, p.w, p.h, p.stride * ci, line - p.ow * p.stride * ci, p.h * p.w * ci - p.oh * line, end);
    }
    let n = vec4(group.x * SIDE + row) + lanes;
    let co = p.co / V;
    let first = client * p.small_stride / V + n / V;
    return Place(first, select(vec4(0x40000000u), vec4(0u), n < vec4(p.co)), vec4(0u), 0x40000000u, 0x40000000u, co, 0u, 0u, end);
}

fn fetch(t: u32, at: Place, k: Walk) -> Block {
    var block: Block;
    var src: array<vec4<u32>, 4>;
    var e = k;
    //#unroll
    for (var i = 0u; i < 4u; i++) {
        //#if V == 4
        let known = e.q < at.end && e.y + at.y.x < at.h && e.x + at.x.x < at.w;
        block.known[i] = vec4(known);
        src[i].x = select(0u, at.first.x + e.off, known);
        //#else
        //# block.known[i] = vec4(e.q < at.end) & (e.y + at.y < vec4(at.h)) & (e.x + at.x < vec4(at.w));
        //# src[i] = select(vec4(0u), at.first + e.off, block.known[i]);
        //#endif
        e = next(at, e);
    }
    if t < SIDE {
        //#unroll
        for (var i = 0u; i < 4u; i++) {
            //#if V == 4
            block.loads[i] = large[src[i].x];
            //#else
            //# block.loads[i] = vec4(large[src[i].x], large[src[i].y], large[src[i].z], large[src[i].w]);
            //#endif
        }
    } else {
        //#unroll
        for (var i = 0u; i < 4u; i++) {
            //#if V == 4
            block.loads[i] = small[src[i].x];
            //#else
            //# block.loads[i] = vec4(small[src[i].x], small[src[i].y], small[src[i].z], small[src[i].w]);
            //#endif
        }
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
