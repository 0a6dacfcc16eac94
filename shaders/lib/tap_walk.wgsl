// The axis k of the tiled convolutions whose k is (tap, channel): conv2d and conv_transpose2d. Offsets advance by additions alone, and
// the taps that read a pixel are bits, so the loop has no multiplication and no comparison with a border.
//
// A shader that includes this file supplies `place`, and `met`: an element of the operand beside the weights.

// A position on the axis k: offset of its loads, channel, tap (x, y).
struct Walk { off: u32, c: u32, x: u32, y: u32 }

// The common part of four loads, which start at `first`. The offset grows by `quad` every four k, by `tap` where a tap ends and by `row`
// where a row of taps ends. Load r is known at tap (x, y) if bits 8 r + x of xs and 8 r + y of ys are set.
struct Place { first: vec4<u32>, xs: u32, ys: u32, quad: u32, tap: u32, row: u32, taps: u32, c: u32 }

// Bits low .. high - 1 (none if low is not below high): the taps of one direction that read a pixel. A kernel has at most 7.
fn taps_between(low: u32, high: u32) -> u32 {
    return (1u << max(low, high)) - (1u << low);
}

fn advance(at: Place, walk: Walk, quads: u32) -> Walk {
    var k = walk;
    k.off += quads * at.quad;
    k.c += quads * 4u;
    for (; k.c >= at.c; k.c -= at.c) {
        k.off += at.tap;
        k.x += 1u;
        if k.x >= at.taps { k.x = 0u; k.y += 1u; k.off += at.row; }
    }
    return k;
}

fn start(group: vec3<u32>, at: Place, quad: u32) -> Walk {
    return advance(at, Walk(), quad);
}

fn bits(at: Place, k: Walk) -> u32 {
    return (at.ys >> min(k.y, 7u)) & (at.xs >> k.x);
}

//#if V == 4
fn fetch(t: u32, at: Place, k: Walk) -> Block {
    var block: Block;
    let known = bits(at, k);
    var src: vec4<u32>;
    //#unroll
    for (var r = 0u; r < 4u; r++) {
        let has = (known & (1u << (8u * r))) != 0u;
        block.known[r] = vec4(has);
        src[r] = select(0u, at.first[r] + k.off, has);
    }
    if t < SIDE {
        //#unroll
        for (var r = 0u; r < 4u; r++) { block.loads[r] = weights[src[r]]; }
    } else {
        //#unroll
        for (var r = 0u; r < 4u; r++) { block.loads[r] = met(src[r]); }
    }
    return block;
}
//#else
//# fn next(at: Place, walk: Walk) -> Walk {
//#     var k = walk;
//#     k.off += at.quad / 4u;
//#     k.c += 1u;
//#     if k.c == at.c {
//#         k.c = 0u;
//#         k.off += at.tap;
//#         k.x += 1u;
//#         if k.x >= at.taps { k.x = 0u; k.y += 1u; k.off += at.row; }
//#     }
//#     return k;
//# }
//#
//# fn fetch(t: u32, at: Place, k: Walk) -> Block {
//#     var block: Block;
//#     var src: array<vec4<u32>, 4>;
//#     var e = k;
//#     //#unroll
//#     for (var i = 0u; i < 4u; i++) {
//#         let known = bits(at, e);
//#         block.known[i] = (vec4(known) & vec4(1u, 0x100u, 0x10000u, 0x1000000u)) != vec4(0u);
//#         src[i] = select(vec4(0u), at.first + e.off, block.known[i]);
//#         e = next(at, e);
//#     }
//#     if t < SIDE {
//#         //#unroll
//#         for (var i = 0u; i < 4u; i++) { block.loads[i] = vec4(weights[src[i].x], weights[src[i].y], weights[src[i].z], weights[src[i].w]); }
//#     } else {
//#         //#unroll
//#         for (var i = 0u; i < 4u; i++) { block.loads[i] = vec4(met(src[i].x), met(src[i].y), met(src[i].z), met(src[i].w)); }
//#     }
//#     return block;
//# }
//#endif
