// gather_batch: y[c, b, e] = byte / 127.5 - 1 of element e of the b-th image of client c's current step
//
// pixels  [images][image / 4]: four bytes per word, first byte lowest
// order   [clients][steps * batch], client stride order_stride: image number in the low 31 bits of entry
//         step * batch + b (bit 31 marks poisoned images, for paste_trigger)
// state   [4]: step in the round, round, steps in all, free
// y       [clients][batch][image], client stride y_stride, in [-1, 1]
// grid    x: batch * image / 1024 workgroups (capped, the loop strides), z: client
// owner   one invocation unpacks one word of pixels
//
// (2 byte - 255) / 255 instead of byte / 127.5 - 1: the numerator is exact, so nothing cancels near 0, and 0 and 255 map
// to -1 and 1 exactly.

//#include lib/state.wgsl

struct Params {
    clients: u32,
    batch: u32,
    image: u32,
    order_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> state: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let words = p.image / 4u;
    let entries = id.z * p.order_stride + state[STEP] * p.batch;
    let base = id.z * p.y_stride / 4u;
    for (var i = id.x; i < p.batch * words; i += groups.x * 256u) {
        let image = order[entries + i / words] & 0x7fffffffu;
        let word = pixels[image * words + i % words];
        let bytes = vec4<i32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u));
        y[base + i] = vec4<f32>(2 * bytes - 255) * (1.0 / 255.0);
    }
}
