// y = (x - mean) / sqrt(variance + eps) * weight + bias along the rows of [rows][n]. One workgroup takes one row.
const THREADS = 64u;
struct Params { rows: u32, n: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, THREADS>;

// The sum of `value` over the workgroup, in every lane.
fn total(value: f32, lane: u32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            partial[lane] += partial[lane + width];
        }
        workgroupBarrier();
    }
    let sum = partial[0];
    workgroupBarrier();
    return sum;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let base = group.x * p.n;
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        sum += x[base + i];
    }
    let mean = total(sum, lane) / f32(p.n);
    // A second pass over the row: the difference of two large sums would lose the variance.
    var squares = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        let d = x[base + i] - mean;
        squares += d * d;
    }
    let scale = inverseSqrt(total(squares, lane) / f32(p.n) + p.eps);
    for (var i = lane; i < p.n; i += THREADS) {
        y[base + i] = (x[base + i] - mean) * scale * weight[i] + bias[i];
    }
}
