// conv2d, tiled: small[n,oy,ox,co] = sum(ky,kx,ci) large[n, oy s+ky-pad, ox s+kx-pad, ci] w[co,ky,kx,ci]
//
// large  [clients][n][h][w][ci]     weights [clients][co][k][k][ci]     small [clients][n][oh][ow][co]
// An implicit GEMM: M = co, N = pixels (n, oy, ox), K = (ky, kx, ci) with ci innermost, contiguous in both operands.
// owner  one workgroup: 64 channels x 64 pixels; one invocation: 4 x 4 of them.
// grid   x: pixels / 64, y: co / 64, z: client

const BK: u32 = 16;
// A row of a tile holds 16 vec4 (64 values) and one of padding, so that the 16 rows fall into different banks.
const ROW: u32 = 17;

struct Params {
    clients: u32, n: u32,
    h: u32, w: u32, ci: u32,
    oh: u32, ow: u32, co: u32,
    k: u32, stride: u32, pad: u32,
    large_stride: u32, weight_stride: u32, small_stride: u32,
    splits: u32, accumulate: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> large: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> small: array<f32>;

var<workgroup> tile_a: array<vec4<f32>, BK * ROW>;
var<workgroup> tile_b: array<vec4<f32>, BK * ROW>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let pixels = p.n * p.oh * p.ow;
    let depth = p.k * p.k * p.ci;
    let m0 = group.y * 64u;
    let n0 = group.x * 64u;
    let weight_base = group.z * p.weight_stride;
    let large_base = group.z * p.large_stride;
    // Loading: depth k_lane of the K tile, 4 channels and 4 pixels from quad * 4; 16 invocations read 16 neighbours.
    let k_lane = t % 16u;
    let quad = t / 16u;
    // Computing: channels ty * 4 .., pixels tx * 4 ..
    let ty = t / 16u;
    let tx = t % 16u;

    // Window corners of the 4 pixels to load; u32 wraps below zero, so one comparison tests both borders.
    var top: array<u32, 4>;
    var left: array<u32, 4>;
    var row: array<u32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let q = n0 + quad * 4u + r;
        // Pixels past the end get a window that no tap meets.
        top[r] = select(0x40000000u, q / p.ow % p.oh * p.stride - p.pad, q < pixels);
        left[r] = q % p.ow * p.stride - p.pad;
        row[r] = q / (p.ow * p.oh) * p.h;
    }
    var acc: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < depth; k0 += BK) {
        let k = k0 + k_lane;
        let tap = k / p.ci;
        let c = k % p.ci;
        let ky = tap / p.k;
        let kx = tap % p.k;
        var a = vec4<f32>();
        var b = vec4<f32>();
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let m = m0 + quad * 4u + r;
            let known = k < depth && m < p.co;
            a[r] = select(0.0, weights[weight_base + select(0u, m * depth + k, known)], known);
            let y = top[r] + ky;
            let x = left[r] + kx;
            let inside = k < depth && y < p.h && x < p.w;
            b[r] = select(0.0, large[large_base + select(0u, ((row[r] + y) * p.w + x) * p.ci + c, inside)], inside);
        }
        tile_a[k_lane * ROW + quad] = a;
        tile_b[k_lane * ROW + quad] = b;
        workgroupBarrier();
        //#unroll
        for (var kk = 0u; kk < BK; kk++) {
            let a = tile_a[kk * ROW + ty];
            let b = tile_b[kk * ROW + tx];
            acc[0] += a.x * b;
            acc[1] += a.y * b;
            acc[2] += a.z * b;
            acc[3] += a.w * b;
        }
        workgroupBarrier();
    }
    let small_base = group.z * p.small_stride;
    //#unroll
    for (var j = 0u; j < 4u; j++) {
        let q = n0 + tx * 4u + j;
        //#unroll
        for (var i = 0u; i < 4u; i++) {
            let m = m0 + ty * 4u + i;
            if q < pixels && m < p.co { small[small_base + q * p.co + m] = acc[i][j]; }
        }
    }
}
