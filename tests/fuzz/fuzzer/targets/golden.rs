//! Golden cases, run on the f64 reference if they can be read.

use super::tensors::header_length;
use super::{ORIGIN, Target};
use fedgan::Result;
use fedgan::check::golden::{Case, run_case};
use fedgan::exec::ReferenceEngine;
use fedgan::model::NamedTensors;
use fedgan::report::safetensors;
use std::collections::BTreeMap;
use std::path::Path;

const WORDS: &[&str] = &[
    "\"dtype\":",
    "\"shape\":",
    "\"data_offsets\":",
    "\"F32\"",
    "\"F64\"",
    "\"op\":",
    "\"params\":",
    "\"in.x\":",
    "\"in.w\":",
    "\"in.b\":",
    "\"in.dy\":",
    "\"out.y\":",
    "\"out.dx\":",
    "\"out.loss\":",
    "\"in.gamma\":",
    "\"in.trigger\":",
    "\"in.weights\":",
    "conv2d",
    "conv_transpose2d",
    "_backward",
    "batch_norm",
    "instance_norm",
    "leaky_relu",
    "sigmoid",
    "bce_with_logits",
    "adam",
    "rmsprop",
    "weighted_mean",
    "paste_trigger",
    "image.blend",
    "image.sig",
    "image.warp",
    "image.fiba",
    "\"in.flow\":",
    "alpha",
    "beta",
    "amplitude",
    "frequency",
    "strength",
    "gradient_penalty",
    "gan_step",
    "stride",
    "padding",
    "eps",
    "momentum",
    "slope",
    "target",
    "step",
    "top",
    "left",
    "[1,1,2,2]",
    "[]",
    "[0,4]",
    "\\\"",
    ",",
    "}}",
];

pub(super) const TARGETS: &[Target] =
    &[Target { name: "golden", seeds, words: WORDS, most: 4096, repair: Some(header_length), run }];

/// A tensor: its name, its shape.
type Part = (&'static str, &'static [usize]);

/// Operation, parameters, tensors.
const CASES: &[(&str, &str, &[Part])] = &[
    (
        "conv2d",
        r#"{"stride":2,"padding":1}"#,
        &[("in.x", &[1, 1, 4, 4]), ("in.w", &[2, 1, 4, 4]), ("in.b", &[2]), ("out.y", &[1, 2, 2, 2])],
    ),
    (
        "conv2d_backward",
        r#"{"stride":1,"padding":0}"#,
        &[
            ("in.x", &[1, 1, 3, 3]),
            ("in.w", &[1, 1, 2, 2]),
            ("in.dy", &[1, 1, 2, 2]),
            ("out.dx", &[1, 1, 3, 3]),
            ("out.dw", &[1, 1, 2, 2]),
            ("out.db", &[1]),
        ],
    ),
    (
        "conv_transpose2d",
        r#"{"stride":2,"padding":1}"#,
        &[("in.x", &[1, 2, 2, 2]), ("in.w", &[2, 1, 4, 4]), ("out.y", &[1, 1, 4, 4])],
    ),
    (
        "conv_transpose2d_backward",
        r#"{"stride":1,"padding":0}"#,
        &[("in.x", &[1, 1, 2, 2]), ("in.w", &[1, 1, 2, 2]), ("in.dy", &[1, 1, 3, 3]), ("out.dx", &[1, 1, 2, 2])],
    ),
    (
        "batch_norm",
        r#"{"eps":1e-5,"momentum":0.1}"#,
        &[
            ("in.x", &[2, 2, 1, 2]),
            ("in.gamma", &[2]),
            ("in.beta", &[2]),
            ("in.running_mean", &[2]),
            ("in.running_var", &[2]),
            ("out.y", &[2, 2, 1, 2]),
        ],
    ),
    (
        "batch_norm_backward",
        r#"{"eps":1e-5}"#,
        &[("in.x", &[2, 1, 1, 2]), ("in.gamma", &[1]), ("in.dy", &[2, 1, 1, 2]), ("out.dx", &[2, 1, 1, 2])],
    ),
    (
        "instance_norm",
        r#"{"eps":1e-5}"#,
        &[("in.x", &[1, 2, 2, 2]), ("in.gamma", &[2]), ("in.beta", &[2]), ("out.y", &[1, 2, 2, 2])],
    ),
    (
        "instance_norm_backward",
        r#"{"eps":1e-5}"#,
        &[("in.x", &[1, 1, 2, 2]), ("in.gamma", &[1]), ("in.dy", &[1, 1, 2, 2]), ("out.dgamma", &[1])],
    ),
    ("leaky_relu", r#"{"slope":0.2}"#, &[("in.x", &[5]), ("out.y", &[5])]),
    ("sigmoid_backward", "{}", &[("in.x", &[2, 2]), ("in.dy", &[2, 2]), ("out.dx", &[2, 2])]),
    ("bce_with_logits", r#"{"target":1.0}"#, &[("in.x", &[3]), ("out.loss", &[1]), ("out.dx", &[3])]),
    (
        "adam",
        r#"{"lr":1e-3,"beta1":0.5,"beta2":0.999,"eps":1e-8,"step":3}"#,
        &[("in.w", &[2]), ("in.g", &[2]), ("in.m", &[2]), ("in.v", &[2]), ("out.w", &[2]), ("out.v", &[2])],
    ),
    (
        "rmsprop",
        r#"{"lr":1e-3,"alpha":0.99,"eps":1e-8}"#,
        &[("in.w", &[2]), ("in.g", &[2]), ("in.v", &[2]), ("out.w", &[2])],
    ),
    ("weighted_mean", "{}", &[("in.x", &[3, 2]), ("in.weights", &[3]), ("out.y", &[2])]),
    (
        "paste_trigger",
        r#"{"top":1,"left":0}"#,
        &[("in.x", &[1, 1, 3, 3]), ("in.trigger", &[1, 2, 2]), ("out.y", &[1, 1, 3, 3])],
    ),
    (
        "image.blend",
        r#"{"alpha":0.2}"#,
        &[("in.x", &[1, 1, 2, 3]), ("in.trigger", &[1, 2, 3]), ("out.y", &[1, 1, 2, 3])],
    ),
    (
        "image.sig",
        r#"{"amplitude":0.1,"frequency":6,"lo":-1,"hi":1}"#,
        &[("in.x", &[1, 1, 2, 3]), ("out.y", &[1, 1, 2, 3])],
    ),
    (
        "image.warp",
        r#"{"strength":0.5}"#,
        &[("in.x", &[1, 1, 3, 3]), ("in.flow", &[2, 2, 2]), ("out.y", &[1, 1, 3, 3])],
    ),
    (
        "image.fiba",
        r#"{"alpha":0.15,"beta":0.3,"lo":-1,"hi":1}"#,
        &[("in.x", &[1, 1, 4, 5]), ("in.trigger", &[1, 4, 5]), ("out.y", &[1, 1, 4, 5])],
    ),
];

fn seeds() -> Result<Vec<Vec<u8>>> {
    let case = |(op, params, parts): &(&str, &str, &[Part])| {
        let values = |shape: &[usize]| (0..shape.iter().product()).map(|i: usize| 0.25 * (i % 5) as f32).collect();
        let tensors: NamedTensors = parts.iter().map(|(n, s)| (n.to_string(), (s.to_vec(), values(s)))).collect();
        let metadata = BTreeMap::from([("op".to_string(), op.to_string()), ("params".to_string(), params.to_string())]);
        safetensors::encode(&tensors, &metadata)
    };
    CASES.iter().map(case).collect()
}

fn run(input: &[u8]) -> Result<()> {
    let case = Case::decode(input, Path::new(ORIGIN))?;
    run_case(&mut ReferenceEngine::new(), &case).map(|_| ())
}
