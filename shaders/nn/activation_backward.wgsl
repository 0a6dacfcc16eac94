// activation_backward: dx = dy f'(x), kind 0 relu, 1 leaky_relu (s = x), 2 tanh, 3 sigmoid (s = y)
//
// s      [clients][n], client stride s_stride: saved by the forward pass
// dy     [clients][n], client stride dy_stride
// dx     [clients][n], client stride dx_stride
// grid   x: n / V / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation maps vectors i, i + stride, ... of one client
// why    the derivative at 0 is the negative side's, as PyTorch's; 1 - s^2 is computed as a product that cancels once

// V: 4 where n is a multiple of 4, else 1.
//#include lib/vector.wgsl

struct Params {
    clients: u32,
    n: u32,
    s_stride: u32,
    dy_stride: u32,
    dx_stride: u32,
    kind: u32,
    slope: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> s: array<E>;
@group(0) @binding(2) var<storage, read> dy: array<E>;
@group(0) @binding(3) var<storage, read_write> dx: array<E>;

// v > 0, also for NaN: ReLU passes the gradient there, as PyTorch's does. By its bits, because drivers may assume that
// arithmetic never sees NaN
fn passes(v: E) -> B {
    let bits = bitcast<W>(v);
    return (v > E(0.0)) | ((bits & W(0x7fffffffu)) > W(0x7f800000u));
}

fn back(v: E, d: E) -> E {
    switch p.kind {
        case 0u: { return select(E(0.0), d, passes(v)); }
        case 1u: { return select(p.slope * d, d, v > E(0.0)); }
        case 2u: { return d * ((1.0 - v) * (1.0 + v)); }
        default: { return d * (v * (1.0 - v)); }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let kept = id.z * p.s_stride / V;
    let base = id.z * p.dy_stride / V;
    let to = id.z * p.dx_stride / V;
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        dx[to + i] = back(s[kept + i], dy[base + i]);
    }
}
