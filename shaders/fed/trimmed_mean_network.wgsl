// trimmed_mean: y[k] = base[k] + mean of the differences x[c, k] - base[k] at places window[0] to window[1] of the coordinate's
//               values in ascending order; the value itself if that is one place
//
// x       [clients][n], client stride x_stride
// taken   [clients], a client of 0 is left out and not read
// base    [n]
// window  [3]: first and last place among the taken clients, bits of the f32 1 / (last - first + 1)
// y       [n]; NaN if a taken client's value is
// grid    x: n / 256 workgroups (capped, the loop strides)
// owner   one invocation sorts one coordinate, see lib/ranks

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taken: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read> window: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

//#include lib/ranks.wgsl

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        take(k);
        sort();
        let origin = base[k];
        var value = 0.0;
        var sum = 0.0;
        //#unroll
        for (var c = 0u; c < N; c++) {
            if c >= window[0] && c <= window[1] {
                value = number(sorted[c]);
                sum += value - origin;
            }
        }
        if window[0] < window[1] {
            value = origin + sum * bitcast<f32>(window[2]);
        }
        y[k] = select(value, bitcast<f32>(largest), largest > 0x7f800000u);
    }
}
