// conv2d, narrow: small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]
//
// large  [clients][n][h][w][ci]     weights [clients][co][k][k][ci]     small [clients][n][oh][ow][co]
// For at most four channels co, for which a tile would be nearly empty, and long sums: a discriminator's last layer.
// owner  one workgroup: all channels of one pixel (n, oy, ox). Its invocations share the sum and combine their parts in a tree.
// grid   x: pixels, z: client

// Channels on the small side.
const CO: u32 = 1;

// V: 4 where ci is a multiple of 4, else 1.
//#include lib/vector.wgsl
//#include lib/conv.wgsl

//#if V == 4
fn mac(a: E, b: E) -> f32 { return dot(a, b); }
//#else
//# fn mac(a: E, b: E) -> f32 { return a * b; }
//#endif

// Channel r of an invocation's sum.
alias T = vec4<f32>;
const THREADS: u32 = 64;
const LX: u32 = 1;
//#include lib/tree.wgsl

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<E>;
@group(0) @binding(2) var<storage, read> weights: array<E>;
@group(0) @binding(3) var<storage, read_write> small: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let q = group.x;
    // Top left corner of the window; u32 wraps below zero, so one comparison tests both borders.
    let top = q / p.ow % p.oh * p.stride - p.pad;
    let left = q % p.ow * p.stride - p.pad;
    let image = q / (p.ow * p.oh) * p.h;
    let cl = p.ci / V;
    let end = p.k * p.k * cl;
    let large_base = group.z * p.large_stride / V;
    let weight_base = group.z * p.weight_stride / V;

    var sum = vec4<f32>();
    // Position i of (ky, kx, c).
    var c = lane;
    var kx = 0u;
    var ky = 0u;
    for (var i = lane; i < end; i += THREADS) {
        for (; c >= cl; c -= cl) {
            kx += 1u;
            if kx == p.k { kx = 0u; ky += 1u; }
        }
        let y = top + ky;
        let x = left + kx;
        let inside = y < p.h && x < p.w;
        let a = select(E(), large[large_base + select(0u, ((image + y) * p.w + x) * cl + c, inside)], inside);
        //#unroll
        for (var r = 0u; r < CO; r++) { sum[r] += mac(a, weights[weight_base + r * end + i]); }
        c += THREADS;
    }
    add_lanes(lane, sum);
    if lane < CO { small[group.z * p.small_stride + q * CO + lane] = part[0][lane]; }
}
