// rank_digits: y[s, b] = number of elements i of slice s whose key has the digits of `found` before digit `digit`, and b at it
//
// x      [n] floats as words
// found  [3]: the key's two words as far as they are found, and the rank within
// y      [slices][256]; slice s is elements 4096 s to 4096 s + 4095
// grid   x: slices
// owner  one workgroup counts one slice, in whole numbers: the order of the additions does not matter

//#include lib/magnitude_key.wgsl

struct Params {
    n: u32,
    digit: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> found: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

// Elements of a slice.
const SLICE: u32 = 4096;
// Values of a digit, and lanes.
const BINS: u32 = 256;

var<workgroup> counts: array<atomic<u32>, BINS>;

@compute @workgroup_size(BINS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    atomicStore(&counts[lane], 0u);
    workgroupBarrier();
    let shift = 24u - 8u * (p.digit % 4u);
    // All digits before this one; of the first digit of a word there are none.
    let before = select(0xffffff00u << shift, 0u, shift == 24u);
    let end = min((group.x + 1u) * SLICE, p.n);
    for (var i = group.x * SLICE + lane; i < end; i += BINS) {
        let first = first_word(x[i]);
        let word = select(i, first, p.digit < 4u);
        let wanted = select(found[1], found[0], p.digit < 4u);
        let same = p.digit < 4u || first == found[0];
        if same && ((word ^ wanted) & before) == 0u {
            atomicAdd(&counts[(word >> shift) & 0xffu], 1u);
        }
    }
    workgroupBarrier();
    y[group.x * BINS + lane] = atomicLoad(&counts[lane]);
}
