// The clients' values of one coordinate in ascending order, by a sorting network in registers.
//
// A shader that includes this file declares the parameters `p` with `clients` and `x_stride`, the values `x`, [clients][n], and
// `taken`, [clients]: a client of 0 is not read.
//
// Values are sorted as integers that compare as the numbers do: drivers may assume that arithmetic never sees NaN, and padding
// must come after every number, infinity included.

const N: u32 = 8; // places of the network: a power of two, at least the number of clients
const LOG: u32 = 3; // log2 N
const HALF: u32 = 4; // N / 2

// Values of the coordinate, and the bits of the largest magnitude (above those of infinity if a value is NaN).
var<private> count: u32;
var<private> largest: u32;
var<private> sorted: array<i32, N>;

// The integer of a number; its own inverse.
fn ordered(bits: i32) -> i32 {
    return bits ^ ((bits >> 31u) & 0x7fffffff);
}

fn number(place: i32) -> f32 {
    return bitcast<f32>(ordered(place));
}

// Reads coordinate k of the taken clients.
fn take(k: u32) {
    count = 0u;
    largest = 0u;
    //#unroll
    for (var c = 0u; c < N; c++) {
        sorted[c] = 0x7fffffff;
        if c < p.clients {
            if taken[c] != 0.0 {
                let bits = bitcast<i32>(x[c * p.x_stride + k]);
                largest = max(largest, u32(bits) & 0x7fffffffu);
                sorted[c] = ordered(bits);
                count++;
            }
        }
    }
}

// Brings two places into order.
fn compare(a: u32, b: u32) {
    let least = min(sorted[a], sorted[b]);
    sorted[b] = max(sorted[a], sorted[b]);
    sorted[a] = least;
}

// A bitonic network with ascending blocks only. Stage s joins sorted blocks of 2^s places in pairs: its first step compares a
// place with its mirror image in the pair, the others with the place a quarter, an eighth, ... of the pair further on.
fn sort() {
    //#unroll
    for (var s = 0u; s < LOG; s++) {
        //#unroll
        for (var i = 0u; i < HALF; i++) {
            let low = ((i >> s) << (s + 1u)) + (i & ((1u << s) - 1u));
            compare(low, low ^ ((2u << s) - 1u));
        }
        //#unroll
        for (var t = 0u; t < s; t++) {
            //#unroll
            for (var i = 0u; i < HALF; i++) {
                let h = s - 1u - t;
                let low = ((i >> h) << (h + 1u)) + (i & ((1u << h) - 1u));
                compare(low, low + (1u << h));
            }
        }
    }
}
