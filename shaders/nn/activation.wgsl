// activation: y = f(x), f by kind: 0 relu, 1 leaky_relu, 2 tanh, 3 sigmoid
//
// x      [clients][n], client stride x_stride
// y      [clients][n], client stride y_stride
// grid   x: n / V / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation maps vectors i, i + stride, ... of one client
// why    tanh is computed from exp: WGSL's tanh may be off by 1e-5, and Metal's overflows beyond 44

// V: 4 where n is a multiple of 4, else 1.
//#include lib/vector.wgsl
//#include lib/kept.wgsl

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    kind: u32,
    slope: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read_write> y: array<E>;

// (1 - e) / (1 + e), e = exp(-2|v|); below 1/2, where that cancels, a + a^3 q(a^2), q fitted to (tanh(a)/a - 1)/a^2
fn tanh_of(v: E) -> E {
    let a = min(abs(v), E(15.0));
    let e = exp(-2.0 * a);
    let z = a * a;
    let q = (((-6.942942e-3 * z + 2.1470683e-2) * z - 5.3933469e-2) * z + 1.3333226e-1) * z - 3.3333333e-1;
    let t = select((1.0 - e) / (1.0 + e), a + a * (z * q), a < E(0.5));
    return select(t, -t, v < E(0.0));
}

// exp of negative numbers only, with results above the subnormals
fn sigmoid_of(v: E) -> E {
    let e = exp(-min(abs(v), E(87.0)));
    return select(E(1.0), e, v < E(0.0)) / (1.0 + e);
}

fn f(v: E) -> E {
    switch p.kind {
        case 0u: { return select(E(0.0), v, v > E(0.0)); }
        case 1u: { return select(p.slope * v, v, v > E(0.0)); }
        case 2u: { return tanh_of(v); }
        default: { return sigmoid_of(v); }
    }
}

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let base = id.z * p.x_stride / V;
    let to = id.z * p.y_stride / V;
    for (var i = id.x; i < p.n / V; i += groups.x * 256u) {
        let v = x[base + i];
        y[to + i] = kept(v, f(v));
    }
}
