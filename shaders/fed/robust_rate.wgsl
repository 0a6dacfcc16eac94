// robust_rate: y[k] = base[k] + r sum over the clients c of weights[c] (x[c, k] - base[k]), r = 1 if |sum over c of sign(x[c, k] - base[k])| is at
//              least `threshold`, else -1
//
// x        [clients][n], client stride x_stride
// weights  [clients]; a client of weight 0 is left out of both sums and not read
// base     [n]
// y        [n]
// grid     x: n / 256 workgroups (capped, the loop strides)
// owner    one invocation sums one coordinate in client order, see lib/votes

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    threshold: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

//#include lib/votes.wgsl

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        let origin = base[k];
        var votes = 0;
        var sum = 0.0;
        for (var c = 0u; c < p.clients; c++) {
            let weight = weights[c];
            if weight != 0.0 {
                let own = x[c * p.x_stride + k];
                votes += direction(origin, own);
                sum += weight * (own - origin);
            }
        }
        y[k] = origin + select(-sum, sum, u32(abs(votes)) >= p.threshold);
    }
}
