// add_columns: x = clip(x + signal of the column, low, high) in every poisoned image, in place
//
// x       [clients][batch][h][w][c], client stride x_stride
// signal  [w], the same for all rows, channels and images
// order   [clients][steps * batch], client stride order_stride: bit 31 of entry step * batch + b poisons image b
// state   [4]: step in the round, round, steps in all, free
// grid    x: batch * h * w * c / 256 workgroups (capped, the loop strides), z: client
// owner   one invocation changes one element; NaN stays NaN

// V: 1, because columns are single elements.
//#include lib/vector.wgsl
//#include lib/kept.wgsl
//#include lib/poisoned.wgsl

struct Params {
    clients: u32,
    batch: u32,
    h: u32,
    w: u32,
    c: u32,
    order_stride: u32,
    x_stride: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<E>;
@group(0) @binding(2) var<storage, read> signal: array<E>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> state: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let image = p.h * p.w * p.c;
    for (var i = id.x; i < p.batch * image; i += groups.x * 256u) {
        if !poisoned(id.z, i / image) {
            continue;
        }
        let at = id.z * p.x_stride + i;
        let v = x[at] + signal[i / p.c % p.w];
        x[at] = kept(v, min(max(v, E(p.low)), E(p.high)));
    }
}
