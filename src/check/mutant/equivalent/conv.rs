//! The convolutions' entries.

use super::{Equivalent, Why};
use crate::check::mutant::Operator;

/// The includers of `lib/tile.wgsl`.
const TILED: &[&str] = &["nn/conv2d_tiled.wgsl", "nn/conv_transpose2d_tiled.wgsl", "nn/conv2d_weight_grad_tiled.wgsl"];

const NOT_STORED: &str = "what lies beyond the last pixel, channel or column is computed but not stored";
const OTHER_LANE: &str = "the same blocks are loaded by other lanes";
const DROPPED: &str = "the address of a load whose value `select` drops";
const OTHER_PLACE: &str = "the place is another one for stores and loads alike";

pub(super) const ENTRIES: &[Equivalent] = &[
    Equivalent {
        files: &["nn/conv2d_direct.wgsl"],
        operator: Operator::Sign,
        change: "let a = weights[weight_base + (min(m0 + i, p.co - 1u) * taps + tap) * cl + c]; => let a = weights[weight_base + (min(m0 + i, p.co + 1u) * taps + tap) * cl + c];",
        why: Why::Same,
        reason: NOT_STORED,
    },
    Equivalent {
        files: &["nn/conv2d_direct.wgsl"],
        operator: Operator::Border,
        change: "if first >= pixels { return; } => if first > pixels { return; }",
        why: Why::Same,
        reason: "the first group past the end stores nothing",
    },
    Equivalent {
        files: &["nn/conv2d_direct.wgsl"],
        operator: Operator::Constant,
        change: "at[j] = select(0u, ((row[j] + y) * p.w + x) * cl, inside[j]) + large_base; => at[j] = select((0u + 1u), ((row[j] + y) * p.w + x) * cl, inside[j]) + large_base;",
        why: Why::Same,
        reason: DROPPED,
    },
    Equivalent {
        files: &["nn/conv_transpose2d_direct.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var j = 0u; j < TN; j++) { => for (var j = 0u; j <= TN; j++) { #2",
        why: Why::Same,
        reason: "the index past the end is clamped to the last place, which is computed again from the same values",
    },
    Equivalent {
        files: &["nn/conv_transpose2d_direct.wgsl"],
        operator: Operator::Border,
        change: "if first >= pixels { return; } => if first > pixels { return; }",
        why: Why::Same,
        reason: "the first group past the end stores nothing",
    },
    Equivalent {
        files: &["nn/conv2d_weight_grad_direct.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var j = 0u; j < TN; j++) { => for (var j = 0u; j <= TN; j++) { #2",
        why: Why::Same,
        reason: "the index past the end is clamped to the last place, which is computed again from the same values",
    },
    Equivalent {
        files: &["nn/conv2d_weight_grad_direct.wgsl"],
        operator: Operator::Border,
        change: "if first >= columns { return; } => if first > columns { return; }",
        why: Why::Same,
        reason: "the first group past the end stores nothing",
    },
    Equivalent {
        files: &["nn/conv2d_narrow.wgsl"],
        operator: Operator::Constant,
        change: "let a = select(E(), large[large_base + select(0u, ((image + y) * p.w + x) * cl + c, inside)], inside); => let a = select(E(), large[large_base + select((0u + 1u), ((image + y) * p.w + x) * cl + c, inside)], inside);",
        why: Why::Same,
        reason: DROPPED,
    },
    Equivalent {
        files: TILED,
        operator: Operator::GuardNegated,
        change: "let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / 4u), along_k); => let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / 4u), !(along_k));",
        why: Why::Same,
        reason: OTHER_LANE,
    },
    Equivalent {
        files: &["nn/conv2d_tiled.wgsl"],
        operator: Operator::Border,
        change: "let top = select(vec4(0x40000000u), q / p.ow % p.oh * p.stride - p.pad, q < vec4(p.n * p.oh * p.ow)); => let top = select(vec4(0x40000000u), q / p.ow % p.oh * p.stride - p.pad, q <= vec4(p.n * p.oh * p.ow));",
        why: Why::Same,
        reason: NOT_STORED,
    },
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Sign,
        change: "return Phase(group.z / (s * s), y, x, (y + p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s); => return Phase(group.z / (s * s), y, x, (y - p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s);",
        why: Why::Same,
        reason: "the stride is 1 or 2, modulo which a number and its negative are the same",
    },
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Border,
        change: "let inside = k.tx < k.taps_x && k.ty < k.taps_y && oy < p.oh && ox < p.ow; => let inside = k.tx <= k.taps_x && k.ty < k.taps_y && oy < p.oh && ox < p.ow;",
        why: Why::Same,
        reason: "tx is below taps_x but in a phase without taps, whose sum is empty",
    },
    Equivalent {
        files: &["nn/conv2d_weight_grad_tiled.wgsl"],
        operator: Operator::Border,
        change: "let ky = select(vec4(0x40000000u), column / p.ci / p.k - p.pad, column < vec4(p.k * p.k * p.ci)); => let ky = select(vec4(0x40000000u), column / p.ci / p.k - p.pad, column <= vec4(p.k * p.k * p.ci));",
        why: Why::Same,
        reason: NOT_STORED,
    },
    Equivalent {
        files: TILED,
        operator: Operator::LoopLong,
        change: "for (var k0 = 0u; k0 < end; k0 += BK) { => for (var k0 = 0u; k0 <= end; k0 += BK) {",
        why: Why::Same,
        reason: "the step too many adds zeros",
    },
    Equivalent {
        files: TILED,
        operator: Operator::GuardNegated,
        change: "let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE); => let along_k = select(B_ALONG_K, A_ALONG_K, !(t < SIDE));",
        why: Why::Same,
        reason: OTHER_LANE,
    },
    Equivalent {
        files: TILED,
        operator: Operator::Border,
        change: "let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE); => let along_k = select(B_ALONG_K, A_ALONG_K, t <= SIDE);",
        why: Why::Same,
        reason: OTHER_LANE,
    },
    Equivalent {
        files: TILED,
        operator: Operator::SwapOperands,
        change: "return k * 2u * QUADS + (column ^ (k / 4u * 2u)); => return k * 2u * QUADS + (column ^ (((4u) / (k)) * 2u));",
        why: Why::Same,
        reason: OTHER_PLACE,
    },
    Equivalent {
        files: TILED,
        operator: Operator::Constant,
        change: "return k * 2u * QUADS + (column ^ (k / 4u * 2u)); => return k * 2u * QUADS + (column ^ (k / (4u + 1u) * 2u));",
        why: Why::Same,
        reason: OTHER_PLACE,
    },
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Border,
        change: "let known = m < p.ci && k.tx < k.taps_x && k.ty < k.taps_y; => let known = m <= p.ci && k.tx < k.taps_x && k.ty < k.taps_y;",
        why: Why::Same,
        reason: NOT_STORED,
    },
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Constant,
        change: "let oy = select(vec4(0x40000000u), q / here.cols % here.rows + (here.y + p.pad - here.ky0) / p.stride, known); => let oy = select(vec4((0x40000000u + 1u)), q / here.cols % here.rows + (here.y + p.pad - here.ky0) / p.stride, known);",
        why: Why::Same,
        reason: "still a row that no tap meets",
    },
    Equivalent {
        files: &["nn/conv2d_weight_grad_tiled.wgsl"],
        operator: Operator::Border,
        change: "let known = k.q < k.end && n < p.co; => let known = k.q < k.end && n <= p.co;",
        why: Why::Same,
        reason: NOT_STORED,
    },
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var j = 0u; j < VN; j++) { => for (var j = 0u; j <= VN; j++) { #2",
        why: Why::GroupRace,
        reason: "the stores too many go to the next workgroup's pixels, which it overwrites later",
    },
    Equivalent {
        files: &["nn/conv2d_weight_grad_tiled.wgsl"],
        operator: Operator::Constant,
        change: "let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / 4u), along_k); => let part = select(vec2(lane / QUADS, lane % QUADS), vec2(lane % 4u, lane / (4u + 1u)), along_k);",
        why: Why::Same,
        reason: "this arm is for operands that are contiguous along k; here none is",
    },
];
