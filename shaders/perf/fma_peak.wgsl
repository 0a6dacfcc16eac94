// fma_peak: the device's ceiling of multiply-adds; not in the catalogue
//
// y      [64 groups]: sums that depend on every multiply-add, so that none is optimised away
// grid   x: groups
// owner  one invocation runs 12 independent chains (3 vec4) of turns * 16 multiply-adds, from registers alone
//
// More chains spill on software adapters, fewer wait for the previous result; turns stay far below 65535 iterations, after
// which llvmpipe ends a loop.

struct Params {
    groups: u32,
    turns: u32,
    scale: f32,
    shift: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = vec4<f32>(select(p.scale, p.shift, id.x > 0x7fffffffu));
    let b = vec4<f32>(select(p.shift, p.scale, id.x > 0x7fffffffu));
    var a0 = vec4<f32>(f32(id.x & 63u));
    var a1 = a0 + 1.0;
    var a2 = a0 + 2.0;
    for (var turn = 0u; turn < p.turns; turn++) {
        //#unroll
        for (var i = 0u; i < 16u; i++) {
            a0 = fma(a0, x, b);
            a1 = fma(a1, x, b);
            a2 = fma(a2, x, b);
        }
    }
    let sum = a0 + a1 + a2;
    y[id.x] = sum.x + sum.y + sum.z + sum.w;
}
