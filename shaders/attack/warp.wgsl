// warp: y = x sampled between four pixels in every poisoned image, y = x in the others
//
// x        [clients][batch][h][w][c], client stride x_stride
// source   [h][w]: the upper left of the four source pixels, as row * w + column; its right and lower neighbours repeat the edge
// weights  [h][w][2]: the shares of the right and of the lower neighbours
// order    [clients][steps * batch], client stride order_stride: bit 31 of entry step * batch + b poisons image b
// state    [4]: step in the round, round, steps in all, free
// y        [clients][batch][h][w][c], client stride y_stride
// grid     x: batch * h * w * c / 256 workgroups (capped, the loop strides), z: client
// owner    one invocation computes one element

//#include lib/poisoned.wgsl

struct Params {
    clients: u32,
    batch: u32,
    h: u32,
    w: u32,
    c: u32,
    order_stride: u32,
    x_stride: u32,
    y_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> source: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read> state: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let image = p.h * p.w * p.c;
    let base = id.z * p.x_stride;
    for (var i = id.x; i < p.batch * image; i += groups.x * 256u) {
        let b = i / image;
        var v = x[base + i];
        if poisoned(id.z, b) {
            let pixel = i % image / p.c;
            let first = base + b * image + i % p.c;
            let column = source[pixel] % p.w;
            let upper = source[pixel] - column;
            let right = min(column + 1u, p.w - 1u);
            let lower = min(upper + p.w, (p.h - 1u) * p.w);
            let share = weights[2u * pixel];
            let above = (1.0 - share) * x[first + (upper + column) * p.c] + share * x[first + (upper + right) * p.c];
            let below = (1.0 - share) * x[first + (lower + column) * p.c] + share * x[first + (lower + right) * p.c];
            let down = weights[2u * pixel + 1u];
            v = (1.0 - down) * above + down * below;
        }
        y[id.z * p.y_stride + i] = v;
    }
}
