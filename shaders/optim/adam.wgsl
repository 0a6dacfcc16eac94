// adam: one step of Adam on every active client
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= table.x m / (sqrt(v) table.y + eps)
//
// w, g, m, v     [clients][n], client stride `stride`
// table          [clients][steps][2], client stride table_stride: lr / (1 - b1^t), 1 / sqrt(1 - b2^t) of the client's t,
//                computed on the host in f64 (1 - b^t cancels in f32)
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
    table_stride: u32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<E>;
@group(0) @binding(2) var<storage, read> g: array<E>;
@group(0) @binding(3) var<storage, read_write> m: array<E>;
@group(0) @binding(4) var<storage, read_write> v: array<E>;
@group(0) @binding(5) var<storage, read> table: array<f32>;
@group(0) @binding(6) var<storage, read> state: array<u32>;
@group(0) @binding(7) var<storage, read> client_steps: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    if !trains(id.z) {
        return;
    }
    let entry = id.z * p.table_stride + 2u * state[STEP];
    let rate = table[entry];
    let correction = table[entry + 1u];
    let base = id.z * p.stride / V;
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        let at = base + i;
        let gradient = g[at];
        let first = p.beta1 * m[at] + p.one_minus_beta1 * gradient;
        let second = p.beta2 * v[at] + p.one_minus_beta2 * gradient * gradient;
        m[at] = first;
        v[at] = second;
        w[at] = w[at] - rate * first / (sqrt(second) * correction + p.eps);
    }
}
