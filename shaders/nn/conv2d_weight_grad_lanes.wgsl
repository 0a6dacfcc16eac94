// conv2d_weight_grad, lanes: dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, oy s+ky-pad, ox s+kx-pad, ci] small[n,oy,ox,co]
//
// large  [clients][n][h][w][ci]     small [clients][n][oh][ow][co]     dw [clients][splits][co][k][k][ci]
// For software adapters with subgroups of 8 lanes (lib/lanes), co a multiple of 4: a lane holds columns (tap, ci) of its own, and
// loads four channels co for all lanes, which get them by broadcasts.
// owner  one invocation: 4 TM channels co x TN groups of LN columns, 8 groups apart, over one part of the pixels. One workgroup:
//        one subgroup.
// grid   x: columns / (8 TN LN), y: co / (4 TM), z: client * splits + part

// Lanes whose channels are used, at most 8.
const TM: u32 = 8;
const TN: u32 = 2;
// Columns per load of the large side (4 where ci is a multiple of 4, else 1).
const LN: u32 = 4;
// Pixels of a turn: the sums are written to memory once a turn.
const STEP: u32 = 2;

//#include lib/lanes.wgsl
//#if LN == 4
alias In = Pair;
alias N = vec4<f32>;
fn value(words: In) -> N { return quad(words); }
//#else
//# alias In = f32;
//# alias N = f32;
//# fn value(word: In) -> N { return word; }
//#endif

//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<In>;
@group(0) @binding(2) var<storage, read> small: array<Pair>;
@group(0) @binding(3) var<storage, read_write> dw: array<N>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let client = group.z / p.splits;
    let split = group.z % p.splits;
    let nl = p.ci / LN;
    let columns = p.k * p.k * nl;
    let first = group.x * (8u * TN) + lane;
    let m0 = group.y * TM;
    let ml = p.co / 4u;
    let pixels = p.n * p.oh * p.ow;
    let part = (pixels + p.splits - 1u) / p.splits;
    let begin = min(split * part, pixels);
    let end = min(begin + part, pixels);
    let large_base = client * p.large_stride / LN;
    let small_base = client * p.small_stride / 4u + min(m0 + lane, ml - 1u);

    // Lanes beyond the last column repeat it: they still load channels for the others.
    var ky: array<u32, TN>;
    var kx: array<u32, TN>;
    var channel: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let g = min(first + j * 8u, columns - 1u);
        ky[j] = g / nl / p.k - p.pad;
        kx[j] = g / nl % p.k - p.pad;
        channel[j] = large_base + g % nl;
    }
    // Element ((4 i + r) TN + j): channel 4 (m0 + i) + r and column j.
    var acc: array<N, TM * 4u * TN>;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            //#unroll
            for (var j = 0u; j < TN; j++) { acc[(i * 4u + r) * TN + j] = N(); }
        }
    }
    var ox = begin % p.ow;
    var oy = begin / p.ow % p.oh;
    var image = begin / (p.ow * p.oh);
    for (var q = begin; q < end; q += STEP) {
        var a: array<array<vec4<f32>, 8>, STEP>;
        var b: array<N, STEP * TN>;
        //#unroll
        for (var t = 0u; t < STEP; t++) {
            let known = q + t < end;
            a[t] = spread(select(vec4<f32>(), quad(small[small_base + min(q + t, end - 1u) * ml]), known));
            //#unroll
            for (var j = 0u; j < TN; j++) {
                // u32 wraps below zero, so one comparison tests both borders.
                let y = oy * p.stride + ky[j];
                let x = ox * p.stride + kx[j];
                let inside = known && y < p.h && x < p.w;
                let at = select(0u, ((image * p.h + y) * p.w + x) * nl, inside) + channel[j];
                b[t * TN + j] = select(N(), value(large[at]), inside);
            }
            ox += 1u;
            if ox == p.ow { ox = 0u; oy += 1u; }
            if oy == p.oh { oy = 0u; image += 1u; }
        }
        //#unroll
        for (var i = 0u; i < TM; i++) {
            //#unroll
            for (var r = 0u; r < 4u; r++) {
                //#unroll
                for (var j = 0u; j < TN; j++) {
                    //#unroll
                    for (var t = 0u; t < STEP; t++) {
                        acc[(i * 4u + r) * TN + j] += a[t][i][r] * b[t * TN + j];
                    }
                }
            }
        }
    }
    let out = client * p.weight_stride / LN + split * p.co * columns;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            //#unroll
            for (var j = 0u; j < TN; j++) {
                let column = first + j * 8u;
                if m0 + i < ml && column < columns {
                    let to = out + ((m0 + i) * 4u + r) * columns + column;
                    if p.accumulate == 1u { acc[(i * 4u + r) * TN + j] += dw[to]; }
                    dw[to] = acc[(i * 4u + r) * TN + j];
                }
            }
        }
    }
}
