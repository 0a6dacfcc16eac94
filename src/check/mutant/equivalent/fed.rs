//! Of the kernels of aggregation rules.

use super::super::Operator;
use super::{Equivalent, TREE, Why};

/// Rules over a coordinate's sorted values, with the values in registers.
const NETWORKS: &[&str] = &["fed/trimmed_mean_network.wgsl", "fed/mean_around_median_network.wgsl"];
/// Votes over the signs of updates.
const VOTES: &[&str] = &["fed/sign_majority.wgsl", "fed/robust_rate.wgsl"];
const NO_CLIENT: &str = "clients beyond the last are read as 0, hence not taken";
const ALL_VOTES: &str = "every vote is reversed, and only the magnitude of their sum counts";
const SQUARED: &str = "the difference is squared";

/// All known ones.
pub(super) const ENTRIES: &[Equivalent] = &[
    Equivalent {
        files: NETWORKS,
        operator: Operator::GuardDropped,
        change: "if c < p.clients { => if true {",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
    Equivalent {
        files: NETWORKS,
        operator: Operator::Border,
        change: "if c < p.clients { => if c <= p.clients {",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
    Equivalent {
        files: VOTES,
        operator: Operator::Border,
        change: "return select(size, -size, bitcast<i32>(v) < 0); => return select(size, -size, bitcast<i32>(v) <= 0);",
        why: Why::Same,
        reason: "0 and -0 are the same integer",
    },
    Equivalent {
        files: &["fed/robust_rate.wgsl"],
        operator: Operator::GuardNegated,
        change: "return select(size, -size, bitcast<i32>(v) < 0); => return select(size, -size, !(bitcast<i32>(v) < 0));",
        why: Why::Same,
        reason: ALL_VOTES,
    },
    Equivalent {
        files: &["fed/robust_rate.wgsl"],
        operator: Operator::SwapOperands,
        change: "return i32(place(to) > place(origin)) - i32(place(to) < place(origin)); => return ((i32(place(to) < place(origin))) - (i32(place(to) > place(origin))));",
        why: Why::Same,
        reason: ALL_VOTES,
    },
    Equivalent {
        files: &["fed/update_norm.wgsl"],
        operator: Operator::SwapOperands,
        change: "most = max(most, bitcast<u32>(x[row + k] - base[k]) & 0x7fffffffu); => most = max(most, bitcast<u32>(((base[k]) - (x[row + k]))) & 0x7fffffffu);",
        why: Why::Same,
        reason: "both differences have the same magnitude",
    },
    Equivalent {
        files: &["fed/pair_distance.wgsl"],
        operator: Operator::SwapOperands,
        change: "let d0 = x[a.x + k] - other; => let d0 = ((other) - (x[a.x + k]));",
        why: Why::Same,
        reason: SQUARED,
    },
    Equivalent {
        files: &["fed/update_norm.wgsl"],
        operator: Operator::SwapOperands,
        change: "let u = (x[row + k] - base[k]) * power; => let u = (((base[k]) - (x[row + k]))) * power;",
        why: Why::Same,
        reason: SQUARED,
    },
    Equivalent {
        files: &["fed/pooled_variance.wgsl"],
        operator: Operator::SwapOperands,
        change: "let distance = mean[c * p.x_stride + i] - centre[i]; => let distance = ((centre[i]) - (mean[c * p.x_stride + i]));",
        why: Why::Same,
        reason: SQUARED,
    },
    Equivalent {
        files: &["fed/pair_dot.wgsl"],
        operator: Operator::SwapOperands,
        change: "let c = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.clients - 1u)); => let c = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(((1u) - (p.clients))));",
        why: Why::Outside,
        reason: "the powers of clients beyond the last scale sums that are not stored",
    },
    Equivalent {
        files: &["fed/pair_distance_lanes.wgsl"],
        operator: Operator::SwapOperands,
        change: "other[g] = min(side.y + g * 8u + lane, p.clients - 1u) * (p.x_stride / 4u); => other[g] = min(side.y + g * 8u + lane, ((1u) - (p.clients))) * (p.x_stride / 4u);",
        why: Why::Outside,
        reason: "the rows of clients beyond the last enter sums that are not stored",
    },
    Equivalent {
        files: &["fed/pair_distance_lanes.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var j = 0u; j < GROUPS; j++) { b[j] = select(vec4<f32>(), quad(x[other[j] + k / 4u]), inside); } => for (var j = 0u; j <= GROUPS; j++) { b[j] = select(vec4<f32>(), quad(x[other[j] + k / 4u]), inside); }",
        why: Why::Outside,
        reason: "both arrays of a lane end at GROUPS",
    },
    Equivalent {
        files: &["fed/pair_distance.wgsl", "fed/pair_dot.wgsl"],
        operator: Operator::Border,
        change: "if lane < 16u && i <= j && j < p.clients { => if lane <= 16u && i <= j && j < p.clients {",
        why: Why::GroupRace,
        reason: "lane 16 writes a pair of another tile, which writes it too",
    },
    Equivalent {
        files: &["fed/update_norm.wgsl", "fed/norm_join.wgsl"],
        operator: Operator::Border,
        change: "if lane < width { => if lane <= width { #2",
        why: Why::LaneRace,
        reason: TREE,
    },
    Equivalent {
        files: &["fed/trimmed_mean_shared.wgsl", "fed/mean_around_median_shared.wgsl"],
        operator: Operator::NoBarrier,
        change: "workgroupBarrier(); => ; #2",
        why: Why::LaneRace,
        reason: "it separates coordinates of one workgroup, of which no case has two: they have 65535 workgroups",
    },
    Equivalent {
        files: &["fed/trimmed_mean_shared.wgsl", "fed/mean_around_median_shared.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = lane; c < p.clients; c += LANES) { => for (var c = lane; c <= p.clients; c += LANES) {",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
    Equivalent {
        files: &["fed/trimmed_mean_shared.wgsl", "fed/mean_around_median_shared.wgsl"],
        operator: Operator::Constant,
        change: "var most = 0u; => var most = (0u + 1u);",
        why: Why::Same,
        reason: "only magnitudes above infinity count",
    },
    Equivalent {
        files: &["fed/sign_majority.wgsl", "fed/robust_rate.wgsl", "fed/pooled_variance.wgsl"],
        operator: Operator::LoopLong,
        change: "for (var c = 0u; c < p.clients; c++) { => for (var c = 0u; c <= p.clients; c++) {",
        why: Why::Outside,
        reason: NO_CLIENT,
    },
];
