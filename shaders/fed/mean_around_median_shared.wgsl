// mean_around_median: y[k] = base[k] + mean of x[c, k] - base[k] over the window[0] values nearest to the coordinate's median, of two at
//                     equal distance the smaller; the value itself if that is one
//
// x       [clients][n], client stride x_stride
// taken   [clients], a client of 0 is left out and not read
// base    [n]
// window  [2]: number of values, at most that of taken clients; bits of the f32 1 / window[0]
// y       [n]; NaN if a taken client's value is
// grid    x: n workgroups (capped, the loop strides)
// owner   one workgroup sorts one coordinate of up to 1024 clients, see lib/shared_ranks; its first lane finds the window and adds

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

//#include lib/shared_ranks.wgsl

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let keep = window[0];
    for (var k = group.x; k < p.n; k += groups.x) {
        sort(k, lane);
        if lane == 0u {
            let origin = base[k];
            let median = 0.5 * sorted[(count - 1u) / 2u] + 0.5 * sorted[count / 2u];
            var first = 0u;
            while first + keep < count && median - sorted[first] > sorted[first + keep] - median {
                first++;
            }
            var value = sorted[first];
            if keep > 1u {
                var sum = 0.0;
                for (var c = first; c < first + keep; c++) {
                    sum += sorted[c] - origin;
                }
                value = origin + sum * bitcast<f32>(window[1]);
            }
            y[k] = select(value, bitcast<f32>(largest), largest > 0x7f800000u);
        }
        // The first lane must be done before the next coordinate is sorted.
        workgroupBarrier();
    }
}
