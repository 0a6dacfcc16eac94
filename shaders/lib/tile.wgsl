// The core of the tiled convolutions: out[n, m] = sum(k) A[m, k] B[n, k], where m is contiguous in the output.
//
// owner  one workgroup: a tile of SIDE m x SIDE n; one invocation: 4 VM x 4 VN of them, in quads of 4 x 4.
// The sum runs along k in steps of BK. In each step an invocation loads one block, 4 k x 4 rows of one operand, into registers
// while the previous step is multiplied; then all blocks are stored in workgroup memory. Every variant adds in the order of k.
//
// A shader that includes this file supplies the index maps:
//   A_ALONG_K, B_ALONG_K     whether an operand is contiguous along k (else along its rows): neighbours load neighbours
//   Walk                     a position on the axis k; start, advance by BK
//   Place                    the common part of a block's loads; place
//   fetch_a, fetch_b         a block, column i: the i-th k; zeros beyond all ends
//   depth, put               the length of the axis k; a store of four m

// Rows and columns of a tile: 32, 64 or 128. Two operands of SIDE / 4 x BK / 4 blocks, one per invocation.
const SIDE: u32 = 64;
// Quads per invocation along m and n; SIDE^2 = 16 VM VN invocations.
const VM: u32 = 2;
const VN: u32 = 1;
const BK: u32 = 16;
const THREADS: u32 = 2u * SIDE;
const QUADS: u32 = SIDE / 4u;

// One row per k: quads of A, then of B.
var<workgroup> tiles: array<vec4<f32>, BK * 2u * QUADS>;

// Every four rows, the place of a quad shifts by two (with exclusive or, which needs no padding), so that invocations that store
// blocks of neighbouring k use different banks.
fn slot(k: u32, column: u32) -> u32 {
    return k * 2u * QUADS + (column ^ (k / 4u * 2u));
}

fn fetch(t: u32, at: Place, k: Walk) -> mat4x4<f32> {
    if t < SIDE { return fetch_a(at, k); }
    return fetch_b(at, k);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) t: u32) {
    // Loading: the block of quad part.y, k from part.x * 4.
    let lane = t % SIDE;
    let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE);
    let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / 4u), along_k);
    let column = t / SIDE * QUADS + part.y;
    // Computing: quads tx, tx + QUADS / VM .. of m; ty, ty + QUADS / VN .. of n.
    let tx = t % (QUADS / VM);
    let ty = t / (QUADS / VM);

    let at = place(group, t, part.y * 4u);
    var k = start(group, part.x * 4u);
    var block = fetch(t, at, k);
    // Element c of quad (i, j): n is the c-th of its quad, the vector holds four m.
    var acc: array<vec4<f32>, VM * VN * 4u>;
    let end = depth(group);
    for (var k0 = 0u; k0 < end; k0 += BK) {
        //#unroll
        for (var i = 0u; i < 4u; i++) { tiles[slot(part.x * 4u + i, column)] = block[i]; }
        workgroupBarrier();
        k = advance(k, BK);
        block = fetch(t, at, k);
        //#unroll
        for (var kk = 0u; kk < BK; kk++) {
            var a: array<vec4<f32>, VM>;
            var b: array<vec4<f32>, VN>;
            //#unroll
            for (var i = 0u; i < VM; i++) { a[i] = tiles[slot(kk, tx + i * (QUADS / VM))]; }
            //#unroll
            for (var j = 0u; j < VN; j++) { b[j] = tiles[slot(kk, QUADS + ty + j * (QUADS / VN))]; }
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
