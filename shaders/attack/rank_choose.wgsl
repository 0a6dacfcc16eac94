// rank_choose: the digit of `found` becomes the first value b up to which the counts reach the rank found[2], or 255; the counts
//              below b are subtracted from the rank
//
// counts  [slices][256]
// found   [3]: the key's two words as far as they are found, and the rank within; the digit was 0
// grid    one workgroup
// owner   each of 256 lanes adds the slices of one value, then the first lane walks over the values

struct Params {
    slices: u32,
    digit: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;

const BINS: u32 = 256;

var<workgroup> totals: array<u32, BINS>;

@compute @workgroup_size(BINS)
fn main(@builtin(local_invocation_index) lane: u32) {
    var total = 0u;
    for (var s = 0u; s < p.slices; s++) {
        total += counts[s * BINS + lane];
    }
    totals[lane] = total;
    workgroupBarrier();
    if lane == 0u {
        let rank = found[2];
        var below = 0u;
        var bin = 0u;
        while bin < BINS - 1u && below + totals[bin] < rank {
            below += totals[bin];
            bin++;
        }
        found[p.digit / 4u] |= bin << (24u - 8u * (p.digit % 4u));
        found[2] = rank - below;
    }
}
