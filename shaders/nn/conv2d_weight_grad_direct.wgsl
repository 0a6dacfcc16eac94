// conv2d_weight_grad, direct: dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, oy s+ky-pad, ox s+kx-pad, ci] small[n,oy,ox,co]
//
// large  [clients][n][h][w][ci]     small [clients][n][oh][ow][co]     dw [clients][splits][co][k][k][ci]
// For software adapters (see conv2d_direct), and on GPUs for at most four channels co, for which a tile would be nearly empty:
// vec4 loads of both operands, register tiles, no workgroup memory.
// owner  one invocation: TM groups of LM channels co x TN groups of LN columns (tap, ci), over one part of the pixels.
// grid   x: columns / (GROUP TN LN), y: co / (TM LM), z: client * splits + part

const TM: u32 = 4;
const TN: u32 = 4;
// Channels co per load of the small side (4 where co is a multiple of 4, else 1).
const LM: u32 = 4;
// Columns per load of the large side (4 where ci is a multiple of 4, else 1).
const LN: u32 = 4;

//#if LM == 4
alias M = vec4<f32>;
//#else
//# alias M = f32;
//#endif
//#if LN == 4
alias N = vec4<f32>;
//#else
//# alias N = f32;
//#endif

// Invocations of a workgroup: 8 on software adapters, where that is a vector register.
const GROUP: u32 = 8;

//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<N>;
@group(0) @binding(2) var<storage, read> small: array<M>;
@group(0) @binding(3) var<storage, read_write> dw: array<N>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let client = id.z / p.splits;
    let split = id.z % p.splits;
    let nl = p.ci / LN;
    let columns = p.k * p.k * nl;
    let first = id.x * TN;
    if first >= columns { return; }
    let m0 = id.y * TM;
    let ml = p.co / LM;
    let pixels = p.n * p.oh * p.ow;
    let part = (pixels + p.splits - 1u) / p.splits;
    let begin = min(split * part, pixels);
    let end = min(begin + part, pixels);
    let large_base = client * p.large_stride / LN;
    let small_base = client * p.small_stride / LM;

    var ky: array<u32, TN>;
    var kx: array<u32, TN>;
    var channel: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let g = min(first + j, columns - 1u);
        ky[j] = g / nl / p.k - p.pad;
        kx[j] = g / nl % p.k - p.pad;
        channel[j] = large_base + g % nl;
    }
    // Row (i LM + r) of the tile holds channel (m0 + i) LM + r.
    var acc: array<N, TM * LM * TN>;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var r = 0u; r < LM; r++) {
            //#unroll
            for (var j = 0u; j < TN; j++) { acc[(i * LM + r) * TN + j] = N(); }
        }
    }
    var ox = begin % p.ow;
    var oy = begin / p.ow % p.oh;
    var image = begin / (p.ow * p.oh);
    for (var q = begin; q < end; q++) {
        var b: array<N, TN>;
        //#unroll
        for (var j = 0u; j < TN; j++) {
            // u32 wraps below zero, so one comparison tests both borders.
            let y = oy * p.stride + ky[j];
            let x = ox * p.stride + kx[j];
            let inside = y < p.h && x < p.w;
            b[j] = select(N(), large[select(0u, ((image * p.h + y) * p.w + x) * nl, inside) + channel[j]], inside);
        }
        //#unroll
        for (var i = 0u; i < TM; i++) {
            let a = small[small_base + q * ml + min(m0 + i, ml - 1u)];
            //#unroll
            for (var r = 0u; r < LM; r++) {
                //#unroll
                for (var j = 0u; j < TN; j++) {
                    //#if LM == 4
                    acc[(i * LM + r) * TN + j] += a[r] * b[j];
                    //#else
                    //# acc[(i * LM + r) * TN + j] += a * b[j];
                    //#endif
                }
            }
        }
        ox += 1u;
        if ox == p.ow { ox = 0u; oy += 1u; }
        if oy == p.oh { oy = 0u; image += 1u; }
    }
    let out = client * p.weight_stride / LN + split * p.co * columns;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var r = 0u; r < LM; r++) {
            let m = (m0 + i) * LM + r;
            //#unroll
            for (var j = 0u; j < TN; j++) {
                if m < p.co && first + j < columns {
                    let at = out + m * columns + first + j;
                    if p.accumulate == 1u {
                        dw[at] += acc[(i * LM + r) * TN + j];
                    } else {
                        dw[at] = acc[(i * LM + r) * TN + j];
                    }
                }
            }
        }
    }
}
