// y = conv_transpose2d(x, w), kernel 4, stride 2, padding 1, in PyTorch's layout: x is [n][ci][h][w], weight [ci][co][4][4],
// y [n][co][2 h][2 w]. One invocation computes one element.
const K = 4u;
struct Shape { n: u32, ci: u32, co: u32, h: u32, w: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> s: Shape;

@compute @workgroup_size(64)
fn upsample(@builtin(global_invocation_id) id: vec3<u32>) {
    let height = 2u * s.h;
    let width = 2u * s.w;
    let at = id.x;
    if (at >= s.n * s.co * height * width) {
        return;
    }
    let column = at % width;
    let row = at / width % height;
    let channel = at / (width * height) % s.co;
    let image = at / (width * height * s.co);
    var sum = 0.0;
    for (var ky = 0u; ky < K; ky++) {
        // Row r of x reaches row 2 r - 1 + ky of y.
        let r = row + 1u - ky;
        if (row + 1u < ky || r % 2u != 0u || r / 2u >= s.h) {
            continue;
        }
        for (var kx = 0u; kx < K; kx++) {
            let c = column + 1u - kx;
            if (column + 1u < kx || c % 2u != 0u || c / 2u >= s.w) {
                continue;
            }
            for (var i = 0u; i < s.ci; i++) {
                let source = ((image * s.ci + i) * s.h + r / 2u) * s.w + c / 2u;
                sum += x[source] * weight[((i * s.co + channel) * K + ky) * K + kx];
            }
        }
    }
    y[at] = sum;
}
