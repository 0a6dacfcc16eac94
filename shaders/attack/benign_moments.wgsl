// benign_moments: mean and deviation of updates u[c] = x[c, k] - base[k] over the m taken clients:
//                 mean[k] = sum of u[c] / m, deviation[k] = sqrt(sum of (u[c] - mean[k])^2 / max(m - ddof, 1))
//
// x          [clients][n], client stride x_stride
// taken      [clients], a client of 0 is left out and not read
// base       [n]
// mean       [n]
// deviation  [n]
// grid       x: n / 256 workgroups (capped, the loop strides)
// owner      one invocation computes one coordinate in client order: the mean, then the squares around it

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    ddof: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taken: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> deviation: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        let origin = base[k];
        var sum = 0.0;
        var count = 0u;
        for (var c = 0u; c < p.clients; c++) {
            if taken[c] != 0.0 {
                sum += x[c * p.x_stride + k] - origin;
                count++;
            }
        }
        let centre = sum / f32(count);
        var squares = 0.0;
        for (var c = 0u; c < p.clients; c++) {
            if taken[c] != 0.0 {
                let off = x[c * p.x_stride + k] - origin - centre;
                squares += off * off;
            }
        }
        let variance = squares / f32(max(count, p.ddof + 1u) - p.ddof);
        mean[k] = centre;
        // The root of 0 may be computed as 1 / inverseSqrt(0).
        deviation[k] = select(sqrt(variance), 0.0, variance == 0.0);
    }
}
