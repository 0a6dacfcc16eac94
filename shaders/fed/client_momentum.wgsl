// client_momentum: m[c, k] = beta m[c, k] + (1 - beta) (w[c, k] - base[k]);  w[c, k] = base[k] + m[c, k]
//
// w      [clients][n], client stride w_stride: what clients send
// base   [n], the same for all clients
// m      [clients][n], client stride m_stride: momentum of their updates
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation replaces elements k, k + stride, ... of one client

struct Params {
    clients: u32,
    n: u32,
    w_stride: u32,
    m_stride: u32,
    beta: f32,
    one_minus_beta: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;
@group(0) @binding(3) var<storage, read_write> m: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var k = id.x; k < p.n; k += groups.x * 256u) {
        let at = id.z * p.w_stride + k;
        let old = id.z * p.m_stride + k;
        let start = base[k];
        let momentum = p.beta * m[old] + p.one_minus_beta * (w[at] - start);
        m[old] = momentum;
        w[at] = start + momentum;
    }
}
