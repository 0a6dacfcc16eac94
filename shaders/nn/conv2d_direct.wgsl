// conv2d, direct: small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]
//
// large  [clients][n][h][w][ci]     weights [clients][co][k][k][ci]     small [clients][n][oh][ow][co]
// For software adapters: every load costs about the same, arithmetic costs little, and workgroup memory is slower
// than storage. So both operands are read as vec4 along ci directly from storage, and each loaded value is used many
// times from registers.
// owner  one invocation: TM output channels x TN consecutive pixels (n, oy, ox). One workgroup: 8 pixel tiles (one
//        vector register of 8 lanes), the same channels.
// grid   x: pixels / (8 TN), y: co / TM, z: client

const TM: u32 = 16;
const TN: u32 = 16;
// Channels per load: 4 where ci is a multiple of 4, else 1.
//#include lib/vector.wgsl

//#if V == 4
fn mac(a: E, b: E) -> f32 { return dot(a, b); }
//#else
//# fn mac(a: E, b: E) -> f32 { return a * b; }
//#endif

//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<E>;
@group(0) @binding(2) var<storage, read> weights: array<E>;
@group(0) @binding(3) var<storage, read_write> small: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pixels = p.n * p.oh * p.ow;
    let first = id.x * TN;
    if first >= pixels { return; }
    let m0 = id.y * TM;
    let cl = p.ci / V;
    let taps = p.k * p.k;
    let large_base = id.z * p.large_stride / V;
    let weight_base = id.z * p.weight_stride / V;

    // Top left corner of each pixel's window; u32 wraps below zero, so one comparison tests both borders.
    var top: array<u32, TN>;
    var left: array<u32, TN>;
    var row: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = min(first + j, pixels - 1u);
        top[j] = q / p.ow % p.oh * p.stride - p.pad;
        left[j] = q % p.ow * p.stride - p.pad;
        row[j] = q / (p.ow * p.oh) * p.h;
    }
    var acc: array<f32, TM * TN>;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var j = 0u; j < TN; j++) { acc[i * TN + j] = 0.0; }
    }
    for (var tap = 0u; tap < taps; tap++) {
        let ky = tap / p.k;
        let kx = tap % p.k;
        var at: array<u32, TN>;
        var inside: array<bool, TN>;
        //#unroll
        for (var j = 0u; j < TN; j++) {
            let y = top[j] + ky;
            let x = left[j] + kx;
            inside[j] = y < p.h && x < p.w;
            at[j] = select(0u, ((row[j] + y) * p.w + x) * cl, inside[j]) + large_base;
        }
        for (var c = 0u; c < cl; c++) {
            var b: array<E, TN>;
            //#unroll
            for (var j = 0u; j < TN; j++) { b[j] = select(E(), large[at[j] + c], inside[j]); }
            //#unroll
            for (var i = 0u; i < TM; i++) {
                let a = weights[weight_base + (min(m0 + i, p.co - 1u) * taps + tap) * cl + c];
                //#unroll
                for (var j = 0u; j < TN; j++) { acc[i * TN + j] += mac(a, b[j]); }
            }
        }
    }
    let small_base = id.z * p.small_stride;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        if first + j < pixels {
            let at = small_base + (first + j) * p.co + m0;
            //#unroll
            for (var i = 0u; i < TM; i++) {
                if m0 + i < p.co { small[at + i] = acc[i * TN + j]; }
            }
        }
    }
}
