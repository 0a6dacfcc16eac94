// conv2d, lanes: small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]
//
// large  [clients][n][h][w][ci]     weights [clients][co][k][k][ci]     small [clients][n][oh][ow][co]
// For software adapters with subgroups of 8 lanes (lib/lanes): a lane holds pixels of its own, and loads the weights of one
// channel for all lanes, which get them by broadcasts. Each load is used by TM or 8 TN multiply-adds.
// owner  one invocation: TM output channels x TN pixels (n, oy, ox), 8 apart. One workgroup: one subgroup.
// grid   x: pixels / (8 TN), y: co / TM, z: client

const TM: u32 = 32;
// TM / 8, the channels whose weights a lane loads.
const TW: u32 = 4;
const TN: u32 = 4;
// Channels ci per load: 4 where ci is a multiple of 4, else 1.
const V: u32 = 4;
// Channels co per store: 4 where co is a multiple of 4, else 1.
const S: u32 = 4;
// TM / S.
const TS: u32 = 8;

//#include lib/lanes.wgsl
//#if V == 4
alias In = Pair;
fn value(words: In) -> vec4<f32> { return quad(words); }
//#else
//# alias In = f32;
//# fn value(word: In) -> vec4<f32> { return vec4<f32>(word, 0.0, 0.0, 0.0); }
//#endif
//#if S == 4
alias Out = vec4<f32>;
//#else
//# alias Out = f32;
//#endif

//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<In>;
@group(0) @binding(2) var<storage, read> weights: array<In>;
@group(0) @binding(3) var<storage, read_write> small: array<Out>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let pixels = p.n * p.oh * p.ow;
    let first = group.x * (8u * TN) + lane;
    let m0 = group.y * TM;
    let cl = p.ci / V;
    let taps = p.k * p.k;
    let large_base = group.z * p.large_stride / V;
    let weight_base = group.z * p.weight_stride / V;

    // Top left corner of each pixel's window; u32 wraps below zero, so one comparison tests both borders. Lanes beyond the last
    // pixel repeat it: they still load weights for the others.
    var top: array<u32, TN>;
    var left: array<u32, TN>;
    var row: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = min(first + j * 8u, pixels - 1u);
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
            var b: array<vec4<f32>, TN>;
            //#unroll
            for (var j = 0u; j < TN; j++) { b[j] = select(vec4<f32>(), value(large[at[j] + c]), inside[j]); }
            //#unroll
            for (var i = 0u; i < TW; i++) {
                var a = spread(value(weights[weight_base + (min(m0 + i * 8u + lane, p.co - 1u) * taps + tap) * cl + c]));
                //#unroll
                for (var l = 0u; l < 8u; l++) {
                    //#unroll
                    for (var j = 0u; j < TN; j++) {
                        //#if V == 4
                        let sum = a[l].x * b[j].x + a[l].y * b[j].y + a[l].z * b[j].z + a[l].w * b[j].w;
                        //#else
                        //# let sum = a[l].x * b[j].x;
                        //#endif
                        acc[(i * 8u + l) * TN + j] += sum;
                    }
                }
            }
        }
    }
    let small_base = group.z * p.small_stride;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = first + j * 8u;
        if q < pixels {
            let to = (small_base + q * p.co + m0) / S;
            //#unroll
            for (var i = 0u; i < TS; i++) {
                if m0 + i * S < p.co {
                    //#if S == 4
                    small[to + i] = vec4(
                        acc[(4u * i) * TN + j], acc[(4u * i + 1u) * TN + j],
                        acc[(4u * i + 2u) * TN + j], acc[(4u * i + 3u) * TN + j],
                    );
                    //#else
                    //# small[to + i] = acc[i * TN + j];
                    //#endif
                }
            }
        }
    }
}
