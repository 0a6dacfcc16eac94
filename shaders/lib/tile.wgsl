// The core of the tiled convolutions: out[n, m] = sum(k) A[m, k] B[n, k], where m is contiguous in the output.
//
// owner  one workgroup: a tile of SIDE m x SIDE n; one invocation: 4 VM x 4 VN of them, in quads of 4 x 4.
// The sum runs along k in steps of BK. In each step an invocation loads one block, 4 k x 4 rows of one operand, into registers
// while the previous step is multiplied; then all blocks are stored in workgroup memory. Every variant adds in the order of k.
//
// A shader that includes this file supplies the index maps:
//   A_ALONG_K, B_ALONG_K     whether an operand is contiguous along k (else along its rows): neighbours load neighbours
//   Walk                     a position on the axis k with the offset of its loads; start, advance by quads of k
//   Place                    the common part of a block's loads; place
//   fetch                    a block of A (invocations below SIDE) or B
//   depth, put               the length of the axis k; a store of four m

// Rows and columns of a tile: 32, 64 or 128. Two operands of SIDE / 4 x BK / 4 blocks, one per invocation.
const SIDE: u32 = 64;
// Quads per invocation along m and n; SIDE^2 = 16 VM VN invocations.
const VM: u32 = 2;
const VN: u32 = 1;
const BK: u32 = 16;
const THREADS: u32 = 2u * SIDE;
const QUADS: u32 = SIDE / 4u;

// One row per k: quads of A, then of B. Every four rows, the place of a quad shifts by two (with exclusive or, which needs no
// padding), so that invocations that store blocks of neighbouring k use different banks.
var<workgroup> tiles: array<vec4<f32>, BK * 2u * QUADS>;

// A block as loaded: four k of row i or, where not `across`, four rows of the i-th k. Elements that are not known lie beyond an end.
// They become 0 when the block is stored, after a step of multiplications: a select right after the load would wait for it.
struct Block { loads: mat4x4<f32>, known: array<vec4<bool>, 4> }

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    // Loading: the block of quad part.y, k from part.x * 4.
    let lane = t % SIDE;
    let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE);
    let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / 4u), along_k);
    let column = t / SIDE * QUADS + part.y;
    let to = part.x * 8u * QUADS + (column ^ (part.x * 2u));
    let across = along_k && V == 4u;
    // Computing: quads tx, tx + QUADS / VM .. of m; ty, ty + QUADS / VN .. of n. 32 neighbours own 8 x 4, the shape that
    // reads the fewest different quads.
    let tx = t % 8u + t / 32u % (QUADS / VM / 8u) * 8u;
    let ty = t / 8u % 4u + t / (4u * (QUADS / VM)) * 4u;

    let at = place(group, t, part.y * 4u);
    var k = start(group, at, part.x);
    var block = fetch(t, at, k);
    // Element c of quad (i, j): n is the c-th of its quad, the vector holds four m.
    var acc: array<vec4<f32>, VM * VN * 4u>;
    let end = depth(group);
    for (var k0 = 0u; k0 < end; k0 += BK) {
        var rows: mat4x4<f32>;
        //#unroll
        for (var i = 0u; i < 4u; i++) { rows[i] = select(vec4<f32>(), block.loads[i], block.known[i]); }
        if across { rows = transpose(rows); }
        //#unroll
        for (var i = 0u; i < 4u; i++) { tiles[to + i * 2u * QUADS] = rows[i]; }
        // Before the barrier, which no compiler moves a load across: at the end of the step, the store would wait for it.
        k = advance(at, k, BK / 4u);
        block = fetch(t, at, k);
        workgroupBarrier();
        //#if VN == 2
        //#unroll
        for (var kk = 0u; kk < BK; kk++) {
            var a: array<vec4<f32>, VM>;
            var b: array<vec4<f32>, VN>;
            //#unroll
            for (var i = 0u; i < VM; i++) { a[i] = tiles[(tx ^ (kk / 4u * 2u)) + kk * 2u * QUADS + i * (QUADS / VM)]; }
            //#unroll
            for (var j = 0u; j < VN; j++) { b[j] = tiles[(ty ^ (kk / 4u * 2u)) + kk * 2u * QUADS + QUADS + j * (QUADS / VN)]; }
            //#unroll
            for (var i = 0u; i < VM; i++) {
                //#unroll
                for (var j = 0u; j < VN; j++) {
                    acc[(i * VN + j) * 4u] += a[i] * b[j].x;
                    acc[(i * VN + j) * 4u + 1u] += a[i] * b[j].y;
                    acc[(i * VN + j) * 4u + 2u] += a[i] * b[j].z;
                    acc[(i * VN + j) * 4u + 3u] += a[i] * b[j].w;
                }
            }
        }
        //#else
//#         var a: array<vec4<f32>, VM>;
//#         //#unroll
//#         for (var i = 0u; i < VM; i++) { a[i] = tiles[tx + i * (QUADS / VM)]; }
//#         var b = tiles[ty + QUADS];
//#         //#unroll
//#         for (var kk = 0u; kk < BK; kk++) {
//#             // The operands of the next k are read ahead.
//#             let kn = (kk + 1u) % BK;
//#             let row = kn * 2u * QUADS;
//#             let places = kn / 4u * 2u;
//#             var an: array<vec4<f32>, VM>;
//#             //#unroll
//#             for (var i = 0u; i < VM; i++) { an[i] = tiles[(tx ^ places) + row + i * (QUADS / VM)]; }
//#             let bn = tiles[(ty ^ places) + row + QUADS];
//#             //#unroll
//#             for (var i = 0u; i < VM; i++) {
//#                 acc[i * 4u] += a[i] * b.x;
//#                 acc[i * 4u + 1u] += a[i] * b.y;
//#                 acc[i * 4u + 2u] += a[i] * b.z;
//#                 acc[i * 4u + 3u] += a[i] * b.w;
//#             }
//#             a = an;
//#             b = bn;
//#         }
        //#endif
        workgroupBarrier();
    }
    let m0 = group.y * SIDE;
    let n0 = group.x * SIDE;
    //#unroll
    for (var j = 0u; j < VN; j++) {
        //#unroll
        for (var c = 0u; c < 4u; c++) {
            //#unroll
            for (var i = 0u; i < VM; i++) {
                let m = m0 + (tx + i * (QUADS / VM)) * 4u;
                let n = n0 + (ty + j * (QUADS / VN)) * 4u + c;
                put(group, m, n, acc[(i * VN + j) * 4u + c]);
            }
        }
    }
}
