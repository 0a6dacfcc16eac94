//! The convolutions' entries.

use super::{Equivalent, Why};
use crate::check::mutant::Operator;

/// The includers of `lib/tile.wgsl`.
const TILED: &[&str] = &["nn/conv2d_tiled.wgsl", "nn/conv_transpose2d_tiled.wgsl", "nn/conv2d_weight_grad_tiled.wgsl"];

const NOT_STORED: &str = "what lies beyond the last pixel, channel or column is computed but not stored";
const OTHER_LANE: &str = "the same blocks are loaded by other lanes";
const DROPPED: &str = "the address of a load whose value `select` drops";

pub(super) const ENTRIES: &[Equivalent] = &[
    Equivalent {
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Constant,
        change: "//# acc[i * 4u + 3u] += a[i] * b.w; => //# acc[i * (4u + 1u) + 3u] += a[i] * b.w;",
        why: Why::Same,
        reason: "the index past the end is clamped to the last place, which is the right one",
    },
    Equivalent {
        files: &["nn/conv2d_tiled.wgsl"],
        operator: Operator::Border,
        change: "for (var r = 0u; r < 4u; r++) { ys |= select(0u, taps_between(0u, p.k), m + r < p.co) << (8u * r); } => for (var r = 0u; r < 4u; r++) { ys |= select(0u, taps_between(0u, p.k), m + r <= p.co) << (8u * r); }",
        why: Why::Same,
        reason: NOT_STORED,
    },
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
        files: &["nn/conv_transpose2d_direct.wgsl", "nn/conv_transpose2d_lanes.wgsl"],
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
        files: &["nn/winograd_conv_transpose2d.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var i = 0u; i < 9u; i++) { x[i] = select(V(), small[at[i] + c], inside[i]); } => for (var i = 0u; i <= 9u; i++) { x[i] = select(V(), small[at[i] + c], inside[i]); }",
        why: Why::Same,
        reason: "the index past the end is clamped to the last place, which is computed again from the same values",
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
        files: &["nn/conv_transpose2d_tiled.wgsl"],
        operator: Operator::Sign,
        change: "return Phase(group.z / (s * s), y, x, (y + p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s); => return Phase(group.z / (s * s), y, x, (y - p.pad) % s, (x + p.pad) % s, (p.h + s - 1u) / s, (p.w + s - 1u) / s);",
        why: Why::Same,
        reason: "the stride is 1 or 2, modulo which a number and its negative are the same",
    },
    Equivalent {
        files: TILED,
        operator: Operator::LoopLong,
        change: "for (var k0 = 0u; k0 < end; k0 += BK) { => for (var k0 = 0u; k0 <= end; k0 += BK) {",
        why: Why::Same,
        reason: "the step too many adds zeros",
    },
    Equivalent {
        files: &["nn/conv2d_tiled.wgsl", "nn/conv2d_weight_grad_tiled.wgsl"],
        operator: Operator::GuardNegated,
        change: "let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE); => let along_k = select(B_ALONG_K, A_ALONG_K, !(t < SIDE));",
        why: Why::Same,
        reason: "both operands are contiguous along the same axis",
    },
    Equivalent {
        files: &["nn/conv2d_tiled.wgsl", "nn/conv2d_weight_grad_tiled.wgsl"],
        operator: Operator::Border,
        change: "let along_k = select(B_ALONG_K, A_ALONG_K, t < SIDE); => let along_k = select(B_ALONG_K, A_ALONG_K, t <= SIDE);",
        why: Why::Same,
        reason: "both operands are contiguous along the same axis",
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
