// conv_transpose2d, tiled: large[n,y,x,ci] = sum(co, ky,kx with y = oy s+ky-pad, x = ox s+kx-pad)
//                                             small[n,oy,ox,co] w[co,ky,kx,ci]
//
// small  [clients][n][oh][ow][co]     weights [clients][co][k][k][ci]     large [clients][n][h][w][ci]
// By phases (see conv_transpose2d_direct): one residue of (y, x) modulo the stride, its taps ky = ky0 + s t. Each phase is
// an implicit GEMM: M = ci, N = phase pixels (n, a, b), K = (taps of the phase, co) with co innermost.
// owner  one workgroup: 64 channels x 64 pixels; one invocation: 4 x 4 of them.
// grid   x: phase pixels / 64, y: ci / 64, z: client * phases + phase

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
@group(0) @binding(1) var<storage, read> small: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> large: array<f32>;

var<workgroup> tile_a: array<vec4<f32>, BK * ROW>;
var<workgroup> tile_b: array<vec4<f32>, BK * ROW>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let s = p.stride;
    let client = group.z / (s * s);
    let py = group.z % (s * s) / s;
    let px = group.z % s;
    let rows = (p.h + s - 1u) / s;
    let cols = (p.w + s - 1u) / s;
    let pixels = p.n * rows * cols;
    let ky0 = (py + p.pad) % s;
    let kx0 = (px + p.pad) % s;
    // Taps of this phase in y and x: ceil((k - k0) / s), none when k0 is not below k.
    let taps_y = (max(p.k, ky0) - ky0 + s - 1u) / s;
    let taps_x = (max(p.k, kx0) - kx0 + s - 1u) / s;
    let depth = taps_y * taps_x * p.co;
    let m0 = group.y * 64u;
    let n0 = group.x * 64u;
    let weight_base = client * p.weight_stride;
    let small_base = client * p.small_stride;
    // Loading: weights are contiguous along ci (M), the small side along co (K).
    let m_lane = t % 16u;
    let k_row = t / 16u;
    let k_lane = t % 16u;
    let quad = t / 16u;
    // Computing: channels ty * 4 .., pixels tx * 4 ..
    let ty = t / 16u;
    let tx = t % 16u;

    var oy0: array<u32, 4>;
    var ox0: array<u32, 4>;
    var image: array<u32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let q = n0 + quad * 4u + r;
        // Pixels past the end get a row that no tap meets.
        oy0[r] = select(0x40000000u, q / cols % rows + (py + p.pad - ky0) / s, q < pixels);
        ox0[r] = q % cols + (px + p.pad - kx0) / s;
        image[r] = q / (cols * rows) * p.oh;
    }
    var acc: array<vec4<f32>, 4>;
    for (var k0 = 0u; k0 < depth; k0 += BK) {
        let ka = k0 + k_row;
        let tap_a = ka / p.co;
        let ky = ky0 + tap_a / taps_x * s;
        let kx = kx0 + tap_a % taps_x * s;
        let weight_row = ((ka % p.co * p.k + ky) * p.k + kx) * p.ci;
        let kb = k0 + k_lane;
        let tap_b = kb / p.co;
        let c = kb % p.co;
        var a = vec4<f32>();
        var b = vec4<f32>();
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let m = m0 + m_lane * 4u + r;
            let known = ka < depth && m < p.ci;
            a[r] = select(0.0, weights[weight_base + select(0u, weight_row + m, known)], known);
            let oy = oy0[r] - tap_b / taps_x;
            let ox = ox0[r] - tap_b % taps_x;
            let inside = kb < depth && oy < p.oh && ox < p.ow;
            b[r] = select(0.0, small[small_base + select(0u, ((image[r] + oy) * p.ow + ox) * p.co + c, inside)], inside);
        }
        tile_a[k_row * ROW + m_lane] = a;
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
    let large_base = client * p.large_stride;
    //#unroll
    for (var j = 0u; j < 4u; j++) {
        let q = n0 + tx * 4u + j;
        let y = q / cols % rows * s + py;
        let x = q % cols * s + px;
        let at = large_base + ((q / (cols * rows) * p.h + y) * p.w + x) * p.ci;
        //#unroll
        for (var i = 0u; i < 4u; i++) {
            let m = m0 + ty * 4u + i;
            if q < pixels && y < p.h && x < p.w && m < p.ci { large[at + m] = acc[i][j]; }
        }
    }
}
