// sign_majority: y[k] = base[k] + step sign(sum over the taken clients c of sign(x[c, k] - base[k])), sign 0 for equal values and for a tie
//
// x      [clients][n], client stride x_stride
// taken  [clients], a client of 0 is left out and not read
// base   [n]
// y      [n]; NaN if a taken client's value or base is
// grid   x: n / 256 workgroups (capped, the loop strides)
// owner  one invocation counts one coordinate, see lib/votes

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    step: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taken: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

//#include lib/votes.wgsl

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        let origin = base[k];
        var votes = 0;
        var largest = magnitude(origin);
        for (var c = 0u; c < p.clients; c++) {
            if taken[c] != 0.0 {
                let own = x[c * p.x_stride + k];
                largest = max(largest, magnitude(own));
                votes += direction(origin, own);
            }
        }
        let value = origin + f32(sign(votes)) * p.step;
        y[k] = select(value, bitcast<f32>(largest), largest > 0x7f800000u);
    }
}
