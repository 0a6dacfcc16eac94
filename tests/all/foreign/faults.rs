//! Faults in the example kernels: every kind must be caught.

use super::{CHECKS, examples, failures, open};
use fedgan::foreign::Manifest;
use fedgan::kernels::shader::Source;

/// The kind of a fault, and the text that it replaces by another.
type Fault = (&'static str, &'static str, &'static str);

/// One fault of each kind in each example, by an edit of its shader, or of its kernel file where the text begins with `@`.
#[test]
fn planted_faults_are_caught() {
    let faults: [(&str, &[Fault]); 5] = [
        (
            "matmul",
            &[
                ("wrong index", "a[row * p.k + i]", "a[row * p.n + i]"),
                ("missing barrier", "workgroupBarrier();\n        for", "for"),
                ("race", "        workgroupBarrier();\n    }\n    if", "    }\n    if"),
                ("out of bounds", "if (row < p.m && column < p.n) {", "if (row < p.m + 1u && column < p.n) {"),
                ("unwritten workgroup memory", "tile_a[place] = 0.0;", ""),
                ("NaN", "= sum;", "= sum / (sum - sum);"),
                ("off-by-one grid", "@threads = [\"n\", \"m\"]", "@threads = [\"n\", \"max(m - 8, 1)\"]"),
            ],
        ),
        (
            "softmax",
            &[
                ("wrong index", "y[base + i] =", "y[base + (i + 1u) % p.n] ="),
                ("missing barrier", "partial[lane] = sum;\n    workgroupBarrier();", "partial[lane] = sum;"),
                (
                    "race",
                    "greatest = partial[0];\n    workgroupBarrier();",
                    "greatest = partial[0];\n    partial[lane] = f32(lane);",
                ),
                (
                    "out of bounds",
                    "for (var i = lane; i < p.n; i += THREADS) {\n        y",
                    "for (var i = lane; i <= p.n; i += THREADS) {\n        y",
                ),
                ("unwritten workgroup memory", "partial[lane] = greatest;", ""),
                ("NaN", "x[base + i] - greatest);\n    }", "x[base + i]);\n    }"),
                ("off-by-one grid", "@workgroups = \"rows\"", "@workgroups = \"max(rows - 1, 1)\""),
            ],
        ),
        (
            "layer_norm",
            &[
                ("wrong index", "weight[i] + bias[i]", "weight[i] + bias[lane]"),
                ("missing barrier", "partial[lane] = value;\n    workgroupBarrier();", "partial[lane] = value;"),
                ("race", "    workgroupBarrier();\n    return sum;", "    return sum;"),
                ("out of bounds", "i < p.n; i += THREADS) {\n        y", "i <= p.n; i += THREADS) {\n        y"),
                (
                    "unwritten workgroup memory",
                    "partial[lane] = value;",
                    "if (value != 0.0) { partial[lane] = value; }",
                ),
                ("NaN", "+ p.eps)", "- 1e30 * p.eps)"),
                ("off-by-one grid", "@workgroups = \"rows\"", "@workgroups = \"rows - 1\""),
            ],
        ),
        (
            "block_sum",
            &[
                ("wrong index", "group.x * BLOCK;", "group.x * (BLOCK - 1u);"),
                ("missing barrier", "partial[lane] = sum;\n    workgroupBarrier();", "partial[lane] = sum;"),
                ("race", "        workgroupBarrier();\n    }\n", "    }\n"),
                ("out of bounds", "y[group.x] = partial[0];", "y[group.x + 1u] = partial[0];"),
                (
                    "unwritten workgroup memory",
                    "partial[lane] = sum;",
                    "if (start + lane < end) { partial[lane] = sum; }",
                ),
                ("NaN", "y[group.x] = partial[0];", "y[group.x] = partial[0] * 0.0 / (partial[0] * 0.0);"),
                (
                    "off-by-one grid",
                    "@ceil(n / 1024)\"\nsizes",
                    "@floor(n / 1024) + 1 - min(1, floor(n / 1024))\"\nsizes",
                ),
            ],
        ),
        (
            "conv_transpose",
            &[
                ("wrong index", "* K + ky) * K + kx]", "* K + kx) * K + ky]"),
                ("out of bounds", "at >= s.n * s.co * height * width", "at > s.n * s.co * height * width"),
                ("NaN", "y[at] = sum;", "y[at] = sqrt(sum - 1e30);"),
                ("off-by-one grid", "@\"n * co * 4 * h * w\"\nsizes", "@\"max(1, n * co * 4 * h * w - 64)\"\nsizes"),
                ("race", "y[at] = sum;", "y[at / 2u * 2u] = sum;"),
            ],
        ),
    ];

    let mut missed = Vec::new();
    for (name, list) in faults {
        let path = examples().join(format!("{name}.kernel.toml"));
        let toml = std::fs::read_to_string(&path).unwrap();
        for (kind, from, to) in list {
            let edited = |text: &str, from: &str, to: &str| {
                assert!(text.contains(from), "{name}, {kind}: the edit must change something");
                // The last place: kernels store at their end.
                let at = text.rfind(from).unwrap();
                format!("{}{to}{}", &text[..at], &text[at + from.len()..])
            };
            let manifest = match from.strip_prefix('@') {
                Some(from) => edited(&toml, from, &to[1..]),
                None => toml.clone(),
            };
            let mut bench = open(Manifest::parse(&path, &manifest).unwrap()).unwrap();
            if !from.starts_with('@') {
                let text = edited(bench.loaded[0].wgsl.text(), from, to);
                bench.replace(0, &[Source::new(name, text)]).unwrap();
            }
            // A fault in the grid is one of the truth as well if it has the same: an error.
            if failures(&mut bench, 0, CHECKS).is_ok_and(|failures| failures.is_empty()) {
                missed.push(format!("{name}: {kind}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
