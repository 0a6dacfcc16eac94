// first_nonfinite: y[c, y_at] = max(y[c, y_at], ~i) with the least i at which x[c, i] is NaN or infinite; unchanged without one
//
// x      [clients][n], client stride x_stride: floats read as words, because drivers may assume that there is no NaN
// y      [clients][y_at + 1], client stride y_stride; only element y_at of a client is written. Starting from 0, it
//        stays 0 if all are finite, else it is 2^32 - 1 - i. Several launches into one element keep the least index
// grid   x: n / 256 workgroups (capped, the loop strides), z: client
// owner  one invocation takes elements 256 workgroups apart up to its first fault. Only faulty rows reach the atomic, and
//        a maximum of integers does not depend on the order

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    y_at: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<atomic<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < p.n; i += groups.x * 256u) {
        // An exponent of ones, with any sign and mantissa.
        if (x[id.z * p.x_stride + i] & 0x7fffffffu) >= 0x7f800000u {
            atomicMax(&y[id.z * p.y_stride + p.y_at], ~i);
            break;
        }
    }
}
