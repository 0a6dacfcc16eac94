// pair_distance, lanes: y[s, i, j] = sum over the coordinates k of slice s of (x[i, k] - x[j, k])^2
//
// x      [clients][n], client stride x_stride
// y      [slices][clients][clients], symmetric; slice s is coordinates 4096 s to 4096 s + 4095
// For software adapters with subgroups of 8 lanes (lib/lanes): a lane loads four coordinates of clients of
// its own on both sides of a tile; it gets all clients of the first side by broadcasts and meets them with its own of the second.
// owner  one invocation: the pairs of all 8 GROUPS clients of the first side with GROUPS clients of the second, 8 apart, over one
//        slice. One workgroup: one subgroup.
// grid   x: slices, y: tiles of 8 GROUPS x 8 GROUPS pairs on and above the diagonal

// Clients of a side for each lane.
const GROUPS: u32 = 4;
// Clients of a tile's side: 8 GROUPS.
const SIDE: u32 = 32;
// Sums of a lane: SIDE GROUPS.
const SUMS: u32 = 128;
// Coordinates of a slice.
const SLICE: u32 = 4096;
// Coordinates of an inner sum: with 32 steps of four in each and 32 inner sums, a term passes through at most 67 additions.
const BLOCK: u32 = 128;

struct Params {
    clients: u32,
    n: u32,
    x_stride: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<Pair>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

//#include lib/lanes.wgsl
//#include lib/pair_sides.wgsl

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let side = sides(group.y);
    let first = group.x * SLICE;
    let end = min(first + SLICE, p.n);
    // Rows of the lane's clients in units of four words; beyond the last client that one is read again, and nothing is written.
    var own: array<u32, GROUPS>;
    var other: array<u32, GROUPS>;
    //#unroll
    for (var g = 0u; g < GROUPS; g++) {
        own[g] = min(side.x + g * 8u + lane, p.clients - 1u) * (p.x_stride / 4u);
        other[g] = min(side.y + g * 8u + lane, p.clients - 1u) * (p.x_stride / 4u);
    }
    // Element (i GROUPS + j): client i of the first side with client 8 j + lane of the second.
    var total: array<f32, SUMS>;
    //#unroll
    for (var i = 0u; i < SUMS; i++) { total[i] = 0.0; }
    for (var start = first; start < end; start += BLOCK) {
        let to = min(start + BLOCK, end);
        var sum: array<f32, SUMS>;
        //#unroll
        for (var i = 0u; i < SUMS; i++) { sum[i] = 0.0; }
        for (var k = start; k < to; k += 4u) {
            // Words beyond the last coordinate may hold anything.
            let inside = k + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(end);
            var b: array<vec4<f32>, GROUPS>;
            //#unroll
            for (var j = 0u; j < GROUPS; j++) { b[j] = select(vec4<f32>(), quad(x[other[j] + k / 4u]), inside); }
            //#unroll
            for (var g = 0u; g < GROUPS; g++) {
                var a = spread(select(vec4<f32>(), quad(x[own[g] + k / 4u]), inside));
                //#unroll
                for (var i = 0u; i < 8u; i++) {
                    //#unroll
                    for (var j = 0u; j < GROUPS; j++) {
                        let d = a[i] - b[j];
                        sum[(g * 8u + i) * GROUPS + j] += d.x * d.x + d.y * d.y + d.z * d.z + d.w * d.w;
                    }
                }
            }
        }
        //#unroll
        for (var i = 0u; i < SUMS; i++) { total[i] += sum[i]; }
    }
    //#unroll
    for (var j = 0u; j < GROUPS; j++) {
        let b = side.y + j * 8u + lane;
        //#unroll
        for (var i = 0u; i < SIDE; i++) {
            let a = side.x + i;
            // A tile on the diagonal has both orders of its pairs, the same to the bit, and writes each once; the first side of
            // another tile is full.
            if b < p.clients && (a <= b || side.x != side.y) {
                y[(group.x * p.clients + a) * p.clients + b] = total[i * GROUPS + j];
                y[(group.x * p.clients + b) * p.clients + a] = total[i * GROUPS + j];
            }
        }
    }
}
