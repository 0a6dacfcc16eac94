// weighted_mean: y[i] = (accumulate ? y[i] : 0) + sum over clients of weights[first + c] x[c, i]
//
// x        [clients][n], client stride x_stride; a client of weight 0 is not read (its values may be NaN)
// weights  [>= first + clients], used as given
// y        [n]
// grid     x: n / (256 V) workgroups (capped, the loop strides)
// owner    one invocation sums V adjacent elements in client order; four unless n is not a multiple of 4. Accumulating
//          launches over chunks of clients add in the same order as one launch over all

//#include lib/vector.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    first: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        var sum = E();
        if p.accumulate != 0u {
            sum = y[i];
        }
        for (var c = 0u; c < p.clients; c++) {
            let weight = weights[p.first + c];
            if weight != 0.0 {
                sum += weight * x[c * p.x_stride / V + i];
            }
        }
        y[i] = sum;
    }
}
