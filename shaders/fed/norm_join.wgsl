// norm_join: joins the slices of update_norm: y[0, c] = power = least of x[., 0, c], y[1, c] = sum over s of x[s, 1, c] (power / x[s, 0, c])^2
//
// x      [slices][2][clients]: powers of two within 2^-126 to 2^100, and the slices' sums
// y      [2][clients]: the squared norm of client c's update is y[1, c] / y[0, c]^2
// grid   z: client
// owner  one workgroup joins the slices of one client: the least power by a tree, then the sum by another. Quotients of powers of
//        two are formed from their exponents, hence exact

struct Params {
    clients: u32,
    slices: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

//#include lib/scalar_tree.wgsl

var<workgroup> least: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    var own = x[group.z];
    for (var s = lane; s < p.slices; s += THREADS) {
        own = min(own, x[2u * s * p.clients + group.z]);
    }
    least[lane] = own;
    workgroupBarrier();
    for (var width = THREADS / 2u; width > 0u; width /= 2u) {
        if lane < width {
            least[lane] = min(least[lane], least[lane + width]);
        }
        workgroupBarrier();
    }
    let power = least[0];
    var sum = 0.0;
    for (var s = lane; s < p.slices; s += THREADS) {
        let begin = 2u * s * p.clients + group.z;
        let inverse = bitcast<f32>((254u << 23u) - bitcast<u32>(x[begin]));
        let ratio = power * inverse;
        sum += x[begin + p.clients] * ratio * ratio;
    }
    add_lanes(lane, sum);
    if lane == 0u {
        y[group.z] = power;
        y[p.clients + group.z] = part[0];
    }
}
