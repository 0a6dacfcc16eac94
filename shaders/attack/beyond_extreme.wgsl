// beyond_extreme: values beyond the least or the largest of updates u[c] = x[c, k] - base[k] over the taken clients, against their mean:
//                 y[k] = base[k] + least u - r[k] w if mean[k] >= 0, else base[k] + largest u + r[k] w, with w = `outward` times the
//                 extreme's magnitude if the step leads away from 0, `inward` times if it leads towards 0
//
// x      [clients][n], client stride x_stride
// taken  [clients], a client of 0 is left out and not read; at least one is read
// base   [n]
// mean   [n], the mean of u
// r      [n], within 0 to 1
// y      [n]; NaN if a taken client's value, base or mean is
// grid   x: n / 256 workgroups (capped, the loop strides)
// owner  one invocation finds the extreme of one coordinate

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    outward: f32,
    inward: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taken: array<f32>;
@group(0) @binding(3) var<storage, read> base: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read> r: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

//#include lib/bits.wgsl

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        let origin = base[k];
        // By bits: both zeros count as 0, and drivers may assume that there is no NaN.
        let down = place(mean[k]) >= 0;
        var worst = max(magnitude(origin), magnitude(mean[k]));
        var extreme = 0.0;
        var found = false;
        for (var c = 0u; c < p.clients; c++) {
            if taken[c] != 0.0 {
                let own = x[c * p.x_stride + k];
                worst = max(worst, magnitude(own));
                let further = select(place(own) > place(extreme), place(own) < place(extreme), down);
                if further || !found {
                    extreme = own;
                }
                found = true;
            }
        }
        let e = extreme - origin;
        let outward = select(e > 0.0, e < 0.0, down);
        let step = r[k] * (select(p.inward, p.outward, outward) * abs(e));
        let value = origin + (e + select(step, -step, down));
        y[k] = select(value, bitcast<f32>(worst), worst > 0x7f800000u);
    }
}
