// gradient_penalty_seed: v = (2 lambda / n) (||g|| - 1) g / ||g||, 0 where g is 0
//
// g, v     [clients][n][len], client stride x_stride: the critic's gradient with respect to each image
// squares  [clients][n], client stride square_stride: ||g||^2 of each image
// grid   x: n len / V / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation maps vectors i, i + stride, ... of one client

// V: 4 where len is a multiple of 4, else 1.
//#include lib/vector.wgsl

struct Params {
    clients: u32,
    n: u32,
    len: u32,
    x_stride: u32,
    square_stride: u32,
    lambda: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<E>;
@group(0) @binding(2) var<storage, read> squares: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<E>;

// y, but NaN where v is NaN: by its bits, because drivers may assume that arithmetic never sees NaN, and min, max and select
// drop it
fn kept(v: f32, y: f32) -> f32 {
    return select(y, v, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u);
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.x_stride / V;
    let image = p.len / V;
    for (var i = id.x; i < p.n * image; i += groups.x * 256u) {
        let at = base + i;
        let square = squares[id.z * p.square_stride + i / image];
        let norm = sqrt(max(square, 1.17549435e-38)); // no division by 0 in the branch that select discards
        let share = kept(square, select(0.0, (norm - 1.0) / norm, square > 0.0));
        v[at] = (2.0 * p.lambda / f32(p.n) * share) * g[at];
    }
}
