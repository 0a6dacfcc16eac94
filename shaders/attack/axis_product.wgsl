// axis_product: y = [y +] sum over n of table[m, n] x[n] along one axis of every poisoned image
//
// x      [clients][batch][outer][n][inner], client stride x_stride
// table  [m][n], the same for all images; its rows from `plain` on, which sum to 0, meet x less the first value of its line, so that
//        a constant line gives 0
// order  [clients][steps * batch], client stride order_stride: bit 31 of entry step * batch + b poisons image b
// state  [4]: step in the round, round, steps in all, free
// y      [clients][batch][outer][m][inner], client stride y_stride; with add = 1 the sum is added and clipped to low..high
// grid   x: batch * outer * m * inner / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation adds one sum in the order of n; NaN stays NaN

// V: 1, because lines are summed element by element.
//#include lib/vector.wgsl
//#include lib/kept.wgsl
//#include lib/poisoned.wgsl

struct Params {
    clients: u32,
    batch: u32,
    outer: u32,
    n: u32,
    m: u32,
    inner: u32,
    plain: u32,
    order_stride: u32,
    x_stride: u32,
    y_stride: u32,
    add: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<E>;
@group(0) @binding(2) var<storage, read> table: array<E>;
@group(0) @binding(3) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> state: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<E>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let image = p.outer * p.m * p.inner;
    for (var i = id.x; i < p.batch * image; i += groups.x * 256u) {
        if !poisoned(id.z, i / image) {
            continue;
        }
        let row = i / p.inner % p.m;
        let first = id.z * p.x_stride + i / (p.m * p.inner) * p.n * p.inner + i % p.inner;
        var base = E();
        if row >= p.plain {
            base = x[first];
        }
        var sum = E();
        for (var k = 0u; k < p.n; k += 1u) {
            sum += table[row * p.n + k] * (x[first + k * p.inner] - base);
        }
        let at = id.z * p.y_stride + i;
        if p.add == 1u {
            let v = y[at] + sum;
            sum = kept(v, min(max(v, E(p.low)), E(p.high)));
        }
        y[at] = sum;
    }
}
