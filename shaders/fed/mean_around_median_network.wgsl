// mean_around_median: y[k] = base[k] + mean of x[c, k] - base[k] over the window[0] values nearest to the coordinate's median, of two at
//                     equal distance the smaller; the value itself if that is one
//
// x       [clients][n], client stride x_stride
// taken   [clients], a client of 0 is left out and not read
// base    [n]
// window  [2]: number of values, at most that of taken clients; bits of the f32 1 / window[0]
// y       [n]; NaN if a taken client's value is
// grid    x: n / 256 workgroups (capped, the loop strides)
// owner   one invocation sorts one coordinate, see lib/ranks. The nearest values are neighbours in that order. Their first place is
//         the number of values that are further below the median than the value `window[0]` places on is above it. That value is
//         found by moving the whole array: an index that is not known to the compiler would put it into memory

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

var<private> moved: array<i32, N>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let keep = window[0];
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        take(k);
        sort();
        var below = 0.0;
        var above = 0.0;
        //#unroll
        for (var c = 0u; c < N; c++) {
            moved[c] = sorted[c];
            if c == (count - 1u) / 2u {
                below = number(sorted[c]);
            }
            if c == count / 2u {
                above = number(sorted[c]);
            }
        }
        let median = 0.5 * below + 0.5 * above;
        //#unroll
        for (var b = 0u; b < LOG; b++) {
            if ((keep >> b) & 1u) != 0u {
                //#unroll
                for (var c = 0u; c < N; c++) {
                    moved[c] = moved[min(c + (1u << b), N - 1u)];
                }
            }
        }
        var first = 0u;
        //#unroll
        for (var c = 0u; c < N; c++) {
            if c + keep < count && median - number(sorted[c]) > number(moved[c]) - median {
                first++;
            }
        }
        let origin = base[k];
        var value = 0.0;
        var sum = 0.0;
        //#unroll
        for (var c = 0u; c < N; c++) {
            if c >= first && c < first + keep {
                value = number(sorted[c]);
                sum += value - origin;
            }
        }
        if keep > 1u {
            value = origin + sum * bitcast<f32>(window[1]);
        }
        y[k] = select(value, bitcast<f32>(largest), largest > 0x7f800000u);
    }
}
