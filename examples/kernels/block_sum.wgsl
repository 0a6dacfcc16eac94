// y[g] = the sum of block g of x: 1024 numbers, fewer in the last. The length is that of the binding.
const THREADS = 64u;
const BLOCK = 1024u;
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = group.x * BLOCK;
    let end = min(start + BLOCK, arrayLength(&x));
    var sum = 0.0;
    for (var i = start + lane; i < end; i += THREADS) {
        sum += x[i];
    }
    partial[lane] = sum;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if (lane < width) {
            partial[lane] += partial[lane + width];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        y[group.x] = partial[0];
    }
}
