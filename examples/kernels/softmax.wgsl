// y = softmax(x) along the rows of [rows][n]. One workgroup takes one row.
const THREADS = 64u;
struct Params { rows: u32, n: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let base = group.x * p.n;
    // The greatest number of the row is subtracted from all: exp cannot overflow.
    var greatest = x[base];
    for (var i = lane; i < p.n; i += THREADS) {
        greatest = max(greatest, x[base + i]);
    }
    partial[lane] = greatest;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            partial[lane] = max(partial[lane], partial[lane + width]);
        }
        workgroupBarrier();
    }
    greatest = partial[0];
    workgroupBarrier();
    var sum = 0.0;
    for (var i = lane; i < p.n; i += THREADS) {
        sum += exp(x[base + i] - greatest);
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            partial[lane] += partial[lane + width];
        }
        workgroupBarrier();
    }
    let scale = 1.0 / partial[0];
    for (var i = lane; i < p.n; i += THREADS) {
        y[base + i] = exp(x[base + i] - greatest) * scale;
    }
}
