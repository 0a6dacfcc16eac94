// conv_transpose2d, lanes: large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad)
//                                             small[n,oy,ox,co] w[co,ky,kx,ci]
//
// small  [clients][n][oh][ow][co]     weights [clients][co][k][k][ci]     large [clients][n][h][w][ci]
// By phases (see conv_transpose2d_direct). For software adapters with subgroups of 8 lanes (lib/lanes), ci and co multiples of
// 4: a lane holds pixels of its own, and loads the weights of four channels ci for all lanes, which get them by broadcasts.
// owner  one invocation: 4 TM output channels x TN pixels (n, a, b) of one phase, 8 apart. One workgroup: one subgroup.
// grid   x: phase pixels / (8 TN), y: ci / (4 TM), z: client * phases + phase

// Lanes whose weights are used, at most 8.
const TM: u32 = 8;
const TN: u32 = 4;

//#include lib/lanes.wgsl
//#include lib/conv.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> small: array<Pair>;
@group(0) @binding(2) var<storage, read> weights: array<Pair>;
@group(0) @binding(3) var<storage, read_write> large: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let s = p.stride;
    let client = group.z / (s * s);
    let py = group.z % (s * s) / s;
    let px = group.z % s;
    let rows = (p.h + s - 1u) / s;
    let cols = (p.w + s - 1u) / s;
    let pixels = p.n * rows * cols;
    let first = group.x * (8u * TN) + lane;
    let m0 = group.y * TM;
    let ml = p.ci / 4u;
    let kl = p.co / 4u;
    let taps = p.k * p.k;
    let ky0 = (py + p.pad) % s;
    let kx0 = (px + p.pad) % s;
    let small_base = client * p.small_stride / 4u;
    let weight_base = client * p.weight_stride / 4u + min(m0 + lane, ml - 1u);

    // (oy, ox) that tap ky0, kx0 reads for each pixel; later taps read earlier rows and columns. Lanes beyond the last pixel
    // repeat it: they still load weights for the others.
    var oy0: array<u32, TN>;
    var ox0: array<u32, TN>;
    var image: array<u32, TN>;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = min(first + j * 8u, pixels - 1u);
        oy0[j] = q / cols % rows + (py + p.pad - ky0) / s;
        ox0[j] = q % cols + (px + p.pad - kx0) / s;
        image[j] = q / (cols * rows) * p.oh;
    }
    // Element (i TN + j): channels 4 (m0 + i) to 4 (m0 + i) + 3 of pixel j.
    var acc: array<vec4<f32>, TM * TN>;
    //#unroll
    for (var i = 0u; i < TM; i++) {
        //#unroll
        for (var j = 0u; j < TN; j++) { acc[i * TN + j] = vec4<f32>(); }
    }
    for (var ky = ky0; ky < p.k; ky += s) {
        for (var kx = kx0; kx < p.k; kx += s) {
            let tap = weight_base + (ky * p.k + kx) * ml;
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
                var b: array<vec4<f32>, TN>;
                //#unroll
                for (var j = 0u; j < TN; j++) { b[j] = select(vec4<f32>(), quad(small[at[j] + c]), inside[j]); }
                // The weights of four channels co.
                let at_co = tap + c * 4u * taps * ml;
                var a0 = spread(quad(weights[at_co]));
                var a1 = spread(quad(weights[at_co + taps * ml]));
                var a2 = spread(quad(weights[at_co + 2u * taps * ml]));
                var a3 = spread(quad(weights[at_co + 3u * taps * ml]));
                //#unroll
                for (var i = 0u; i < TM; i++) {
                    //#unroll
                    for (var j = 0u; j < TN; j++) {
                        acc[i * TN + j] += a0[i] * b[j].x + a1[i] * b[j].y + a2[i] * b[j].z + a3[i] * b[j].w;
                    }
                }
            }
        }
    }
    let large_base = client * p.large_stride / 4u;
    //#unroll
    for (var j = 0u; j < TN; j++) {
        let q = first + j * 8u;
        let y = q / cols % rows * s + py;
        let x = q % cols * s + px;
        if q < pixels && y < p.h && x < p.w {
            let to = large_base + ((q / (cols * rows) * p.h + y) * p.w + x) * ml + m0;
            //#unroll
            for (var i = 0u; i < TM; i++) {
                if m0 + i < ml { large[to + i] = acc[i * TN + j]; }
            }
        }
    }
}
