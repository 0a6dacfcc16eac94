// conv2d_weight_grad, tiled: dw[co,ky,kx,ci] (+)= sum(n,oy,ox) large[n, oy s+ky-pad, ox s+kx-pad, ci] small[n,oy,ox,co]
//
// large  [clients][n][h][w][ci]     small [clients][n][oh][ow][co]     dw [clients][splits][co][k][k][ci]
// An implicit GEMM: M = co, N = columns (ky, kx, ci), K = pixels (n, oy, ox) of one part; both operands are contiguous
// along their channels. Parts are summed in order by split_sum: no float atomics, so results repeat bit for bit.
// owner  one workgroup: 64 channels x 64 columns; one invocation: 4 x 4 of them.
// grid   x: columns / 64, y: co / 64, z: client * splits + part

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
@group(0) @binding(2) var<storage, read> small: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<f32>;

var<workgroup> tile_a: array<vec4<f32>, BK * ROW>;
var<workgroup> tile_b: array<vec4<f32>, BK * ROW>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    let client = group.z / p.splits;
    let split = group.z % p.splits;
    let columns = p.k * p.k * p.ci;
    let pixels = p.n * p.oh * p.ow;
    let part = (pixels + p.splits - 1u) / p.splits;
    let begin = min(split * part, pixels);
    let end = min(begin + part, pixels);
    let m0 = group.y * 64u;
    let n0 = group.x * 64u;
    let large_base = client * p.large_stride;
    let small_base = client * p.small_stride;
    // Loading: pixel k_row of the K tile, 4 channels and 4 columns from lane * 4.
    let lane = t % 16u;
    let k_row = t / 16u;
    // Computing: channels ty * 4 .., columns tx * 4 ..
    let ty = t / 16u;
    let tx = t % 16u;

    var ky: array<u32, 4>;
    var kx: array<u32, 4>;
    var channel: array<u32, 4>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let column = n0 + lane * 4u + r;
        // Columns past the end get a tap that meets no pixel; u32 wraps below zero, so one comparison tests both borders.
        ky[r] = select(0x40000000u, column / p.ci / p.k - p.pad, column < columns);
        kx[r] = column / p.ci % p.k - p.pad;
        channel[r] = column % p.ci;
    }
    var acc: array<vec4<f32>, 4>;
    for (var k0 = begin; k0 < end; k0 += BK) {
        let q = k0 + k_row;
        let ox = q % p.ow * p.stride;
        let oy = q / p.ow % p.oh * p.stride;
        let image = q / (p.ow * p.oh) * p.h;
        var a = vec4<f32>();
        var b = vec4<f32>();
        //#unroll
        for (var r = 0u; r < 4u; r++) {
            let m = m0 + lane * 4u + r;
            let known = q < end && m < p.co;
            a[r] = select(0.0, small[small_base + select(0u, q * p.co + m, known)], known);
            let y = oy + ky[r];
            let x = ox + kx[r];
            let inside = q < end && y < p.h && x < p.w;
            b[r] = select(0.0, large[large_base + select(0u, ((image + y) * p.w + x) * p.ci + channel[r], inside)], inside);
        }
        tile_a[k_row * ROW + lane] = a;
        tile_b[k_row * ROW + lane] = b;
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
    let out = client * p.weight_stride + split * p.co * columns;
    //#unroll
    for (var i = 0u; i < 4u; i++) {
        let m = m0 + ty * 4u + i;
        //#unroll
        for (var j = 0u; j < 4u; j++) {
            let column = n0 + tx * 4u + j;
            if m < p.co && column < columns {
                let at = out + m * columns + column;
                if p.accumulate == 1u {
                    dw[at] += acc[i][j];
                } else {
                    dw[at] = acc[i][j];
                }
            }
        }
    }
}
