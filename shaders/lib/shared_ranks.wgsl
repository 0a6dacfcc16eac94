// The clients' values of one coordinate in ascending order in workgroup memory, for more clients than lib/ranks has registers for:
// the lanes share the clients and count the rank of each, ties in client order.
//
// A shader that includes this file declares the parameters `p` with `clients` and `x_stride`, the values `x`, [clients][n], and
// `taken`, [clients]: a client of 0 is not read.

const LANES: u32 = 64;
const MOST: u32 = 1024; // most clients

var<workgroup> sorted: array<f32, MOST>;
// Of the last lane that had a taken client: values of the coordinate, and the bits of the largest magnitude. All such lanes agree.
var<workgroup> count: u32;
var<workgroup> largest: u32;

// Compares as the number does, NaN above infinity: drivers may assume that arithmetic never sees NaN.
fn ordered(v: f32) -> i32 {
    let bits = bitcast<i32>(v);
    return bits ^ ((bits >> 31u) & 0x7fffffff);
}

// Sorts coordinate k; every lane must call it.
fn sort(k: u32, lane: u32) {
    for (var c = lane; c < p.clients; c += LANES) {
        if taken[c] == 0.0 {
            continue;
        }
        let own = x[c * p.x_stride + k];
        var rank = 0u;
        var present = 0u;
        var most = 0u;
        for (var d = 0u; d < p.clients; d++) {
            if taken[d] == 0.0 {
                continue;
            }
            let other = x[d * p.x_stride + k];
            present++;
            most = max(most, bitcast<u32>(other) & 0x7fffffffu);
            if ordered(other) < ordered(own) || (ordered(other) == ordered(own) && d < c) {
                rank++;
            }
        }
        sorted[rank] = own;
        count = present;
        largest = most;
    }
    workgroupBarrier();
}
