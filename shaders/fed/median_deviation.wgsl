// median_deviation: y[c, i] += rate * (x[c, i] - median over all clients of x[., i] - y[c, i])
//
// x      [clients][n], client stride x_stride; a NaN is excluded from the median, so that one client's fault does not affect the
//        others, and that client's y is unchanged
// y      [clients][n], client stride y_stride
// grid   x: n workgroups (capped, the loop strides)
// owner  one workgroup takes one element of every client, its lanes share the clients: the two middle values by their ranks
//        (ties in client order; the same value twice for an odd number of clients), then the step of every client.
//        A single lane would need clients^2 iterations, and llvmpipe ends an invocation's loops after 65535 in total

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
    y_stride: u32,
    rate: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// The two middle values; each rank belongs to exactly one client.
var<workgroup> low: f32;
var<workgroup> high: f32;

// By its bits: drivers may assume that arithmetic never sees NaN.
fn missing(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    for (var i = group.x; i < p.n; i += groups.x) {
        for (var c = lane; c < p.clients; c += 64u) {
            let own = x[c * p.x_stride + i];
            if missing(own) {
                continue;
            }
            var rank = 0u;
            var present = 0u;
            for (var d = 0u; d < p.clients; d++) {
                let other = x[d * p.x_stride + i];
                if missing(other) {
                    continue;
                }
                present++;
                if other < own || (other == own && d < c) {
                    rank++;
                }
            }
            if rank == (present - 1u) / 2u {
                low = own;
            }
            if rank == present / 2u {
                high = own;
            }
        }
        workgroupBarrier();
        let median = 0.5 * (low + high);
        for (var c = lane; c < p.clients; c += 64u) {
            let own = x[c * p.x_stride + i];
            if !missing(own) {
                let at = c * p.y_stride + i;
                let before = y[at];
                y[at] = before + p.rate * (own - median - before);
            }
        }
        // The last reader must be done before the next element's middle values are written.
        workgroupBarrier();
    }
}
