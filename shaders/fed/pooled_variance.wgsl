// pooled_variance: y[i] = (accumulate ? y[i] : 0) + sum over c of weights[first + c] (variance[c, i] + (mean[c, i] - centre[i])^2)
//
// mean      [clients][n], client stride x_stride; a client of weight 0 is not read (its values may be NaN)
// variance  [clients][n], client stride x_stride
// weights   [>= first + clients], used as given
// centre    [n], the mean of all clients' data
// y         [n]
// grid      x: n / 256 workgroups (capped, the loop strides)
// owner     one invocation sums one channel in client order

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    first: u32,
    accumulate: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> variance: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> centre: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        var sum = 0.0;
        if p.accumulate != 0u {
            sum = y[i];
        }
        for (var c = 0u; c < p.clients; c++) {
            let weight = weights[p.first + c];
            if weight != 0.0 {
                let distance = mean[c * p.x_stride + i] - centre[i];
                sum += weight * (variance[c * p.x_stride + i] + distance * distance);
            }
        }
        y[i] = sum;
    }
}
