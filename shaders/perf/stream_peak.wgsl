// stream_peak: the device's ceiling of memory reads, or reads and writes, per second; not in the catalogue
//
// x      [n], n a multiple of 2048
// y      [n] = x; or, if only reads are timed, [256 groups]: sums, so that no read is optimised away
// grid   x: groups
// owner  one workgroup moves blocks of 2048 words, one invocation 8 vec4 of a block, 64 vec4 apart so that lanes are adjacent

const READS: u32 = 0;

struct Params {
    n: u32,
    groups: u32,
    reads: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) lane: vec3<u32>) {
    var sum = vec4<f32>(0.0);
    for (var block = group.x; block < p.n / 2048u; block += p.groups) {
        let at = block * 512u + lane.x;
        //#unroll
        for (var i = 0u; i < 8u; i++) {
            //#if READS == 1
            sum += x[at + 64u * i];
            //#else
            //# y[at + 64u * i] = x[at + 64u * i];
            //#endif
        }
    }
    //#if READS == 1
    y[group.x * 64u + lane.x] = sum;
    //#endif
}
