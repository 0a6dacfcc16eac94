// rmsprop: one step of RMSprop on every active client
//   v = alpha v + (1 - alpha) g^2;  w -= lr g / (sqrt(v) + eps)
//
// w, g, v        [clients][n], client stride `stride`
// state          [4]: step in the round, round, steps in all, free
// client_steps   [clients]: client c is active while step < client_steps[c]; nothing of an inactive client changes
// grid           x: n / (256 V) workgroups (capped, the loop strides), z: client
// owner          one invocation updates V adjacent elements; four unless n is not a multiple of 4

//#include lib/vector.wgsl
//#include lib/active.wgsl

struct Params {
    clients: u32,
    n: u32,
    stride: u32,
    lr: f32,
    alpha: f32,
    one_minus_alpha: f32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<E>;
@group(0) @binding(2) var<storage, read> g: array<E>;
@group(0) @binding(3) var<storage, read_write> v: array<E>;
@group(0) @binding(4) var<storage, read> state: array<u32>;
@group(0) @binding(5) var<storage, read> client_steps: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    if !trains(id.z) {
        return;
    }
    let base = id.z * p.stride / V;
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        let at = base + i;
        let gradient = g[at];
        let second = p.alpha * v[at] + p.one_minus_alpha * gradient * gradient;
        v[at] = second;
        w[at] = w[at] - p.lr * gradient / (sqrt(second) + p.eps);
    }
}
