// conv_transpose2d, direct: large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad)
//                                              small[n,oy,ox,co] w[co,ky,kx,ci]
//
// small  [clients][n][oh][ow][co]     weights [clients][co][k][k][ci]     large [clients][n][h][w][ci]
// By phases: outputs with one residue of (y, x) modulo the stride share their taps, so no zeros are inserted. Within a
// phase, y = a s + py, the taps are ky = ky0 + s t with ky0 = (py + pad) mod s, and oy = a + (py + pad - ky0)/s - t.
// For software adapters (see conv2d_direct), and on GPUs for at most four channels ci, for which a tile would be nearly empty:
// vec4 loads of both operands, register tiles, no workgroup memory.
// owner  one invocation: TM groups of LM output channels x TN consecutive pixels (n, a, b) of one phase.
// grid   x: phase pixels / (GROUP TN), y: ci / (TM LM), z: client * phases + phase

const TM: u32 = 4;
const TN: u32 = 16;
// Output channels per weight load (4 where ci is a multiple of 4, else 1).
const LM: u32 = 4;
// Input channels per load of the small side (4 where co is a multiple of 4, else 1).
const LK: u32 = 4;

//#if LM == 4
alias M = vec4<f32>;
//#else
//# alias M = f32;
//#endif
//#if LK == 4
alias K = vec4<f32>;
//#else
//# alias K = f32;
//#endif

// Invocations of a workgroup: 8 on software adapters, where that is a vector register.
const GROUP: u32 = 8;

//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> small: array<K>;
@group(0) @binding(2) var<storage, read> weights: array<M>;
@group(0) @binding(3) var<storage, read_write> large: array<M>;

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let s = p.stride;
    let client = id.z / (s * s);
    let py = id.z % (s * s) / s;
    let px = id.z % s;
    let rows = (p.h + s - 1u) / s;
    let cols = (p.w + s - 1u) / s;
    let pixels = p.n * rows * cols;
    let first = id.x * TN;
    if first >= pixels { return; }
    let m0 = id.y * TM;
    let ml = p.ci / LM;
    let kl = p.co / LK;
    let taps = p.k * p.k;
    let ky0 = (py + p.pad) % s;
    let kx0 = (px + p.pad) % s;
    let small_base = client * p.small_stride / LK;
    let weight_base = client * p.weight_stride / LM;

    // (oy, ox) that tap ky0, kx0 reads for each pixel; later taps read earlier rows and columns.
    var oy0: array<u32, TN>;
    var ox0: array<u32, TN>;
    var image: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = min(first + j, pixels - 1u);
        oy0[j] = q / cols % rows + (py + p.pad - ky0) / s;
        ox0[j] = q % cols + (px + p.pad - kx0) / s;
        image[j] = q / (cols * rows) * p.oh;
    }
    var acc: array<M, TM * TN>;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var j = 0u; j < TN; j++) { acc[i * TN + j] = M(); }
    }
    for (var ky = ky0; ky < p.k; ky += s) {
        for (var kx = kx0; kx < p.k; kx += s) {
            let tap = ky * p.k + kx;
            var at: array<u32, TN>;
            var inside: array<bool, TN>;
            //#unroll
            for (var j = 0u; j < TN; j++) {
                // u32 wraps below zero, so one comparison tests both borders.
                let oy = oy0[j] - ky / s;
                let ox = ox0[j] - kx / s;
                inside[j] = oy < p.oh && ox < p.ow;
                at[j] = select(0u, ((image[j] + oy) * p.ow + ox) * kl, inside[j]) + small_base;
            }
            for (var c = 0u; c < kl; c++) {
                var b: array<K, TN>;
                //#unroll
                for (var j = 0u; j < TN; j++) { b[j] = select(K(), small[at[j] + c], inside[j]); }
                //#unroll
                for (var r = 0u; r < LK; r++) {
                    let row = weight_base + ((c * LK + r) * taps + tap) * ml;
                    //#unroll
                    for (var i = 0u; i < TM; i++) {
                        let a = weights[row + min(m0 + i, ml - 1u)];
                        //#unroll
                        for (var j = 0u; j < TN; j++) {
                            //#if LK == 4
                            acc[i * TN + j] += a * b[j][r];
                            //#else
                            //# acc[i * TN + j] += a * b[j];
                            //#endif
                        }
                    }
                }
            }
        }
    }
    let large_base = client * p.large_stride / LM;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = first + j;
        let y = q / cols % rows * s + py;
        let x = q % cols * s + px;
        if q < pixels && y < p.h && x < p.w {
            let at = large_base + ((q / (cols * rows) * p.h + y) * p.w + x) * ml + m0;
            //#unroll
            for (var i = 0u; i < TM; i++) {
                if m0 + i < ml { large[at + i] = acc[i * TN + j]; }
            }
        }
    }
}
