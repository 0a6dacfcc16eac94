//! The operations: their parameters and tensors by name, and the functions that run them.

use super::lab::{Computed, Lab};
use super::{Case, aggregate, attack, conv, elementwise, gan, image, instance, norm, penalty, update};
use crate::Result;

/// Runs a case whose names have been checked.
pub type Runner = fn(&Case, &mut Lab) -> Result<Vec<Computed>>;

/// The inputs and outputs of an operation. A name ending in `*` stands for every name with that prefix.
pub struct Op {
    /// The name in the metadata.
    pub name: &'static str,
    /// Required parameters.
    pub params: &'static [&'static str],
    /// Parameters with a default.
    pub optional_params: &'static [&'static str],
    /// Required inputs.
    pub inputs: &'static [&'static str],
    /// Inputs that may be absent.
    pub optional_inputs: &'static [&'static str],
    /// Allowed expected tensors.
    pub outputs: &'static [&'static str],
    /// The function that runs it; `None`: not built yet.
    pub run: Option<Runner>,
}

const fn op(
    name: &'static str,
    params: &'static [&'static str],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    run: Option<Runner>,
) -> Op {
    Op { name, params, optional_params: &[], inputs, optional_inputs: &[], outputs, run }
}

/// All of them accept a slope, which only leaky_relu uses.
const fn activation(
    name: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    run: Runner,
) -> Op {
    Op { optional_params: &["slope"], ..op(name, &[], inputs, outputs, Some(run)) }
}

/// An aggregation rule: `more` inputs are required beside the updates, weights and noise may be given.
const fn rule(
    name: &'static str,
    params: &'static [&'static str],
    optional_params: &'static [&'static str],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
) -> Op {
    let optional_inputs = &["weights", "noise", "state"];
    Op { optional_params, optional_inputs, ..op(name, params, inputs, outputs, Some(aggregate::aggregate)) }
}

/// An attack on updates.
const fn forgery(
    name: &'static str,
    params: &'static [&'static str],
    optional_params: &'static [&'static str],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
) -> Op {
    Op { optional_params, ..op(name, params, inputs, outputs, Some(attack::attack)) }
}

const ROWS: &[&str] = &["updates"];
const MARKED: &[&str] = &["updates", "malicious"];
const FORGED: &[&str] = &["malicious"];
const CHOSEN: &[&str] = &["malicious", "gamma"];
const UPDATE: &[&str] = &["update"];
const CHOICE: &[&str] = &["update", "selected"];
const RANKED: &[&str] = &["update", "selected", "scores"];

const CONV: &[&str] = &["stride", "padding"];
const X_DY: &[&str] = &["x", "dy"];
const GRADS: &[&str] = &["dx", "dw", "db"];
const NORM_GRADS: &[&str] = &["dx", "dgamma", "dbeta"];

/// Every operation of docs/golden-format.md.
pub static OPS: &[Op] = &[
    Op { optional_inputs: &["b"], ..op("conv2d", CONV, &["x", "w"], &["y"], Some(conv::forward)) },
    op("conv2d_backward", CONV, &["x", "w", "dy"], GRADS, Some(conv::backward)),
    Op { optional_inputs: &["b"], ..op("conv_transpose2d", CONV, &["x", "w"], &["y"], Some(conv::forward)) },
    op("conv_transpose2d_backward", CONV, &["x", "w", "dy"], GRADS, Some(conv::backward)),
    op(
        "batch_norm",
        &["eps", "momentum"],
        &["x", "gamma", "beta", "running_mean", "running_var"],
        &["y", "running_mean", "running_var"],
        Some(norm::forward),
    ),
    op("batch_norm_backward", &["eps"], &["x", "gamma", "dy"], NORM_GRADS, Some(norm::backward)),
    op("instance_norm", &["eps"], &["x", "gamma", "beta"], &["y"], Some(instance::forward)),
    op("instance_norm_backward", &["eps"], &["x", "gamma", "dy"], NORM_GRADS, Some(instance::backward)),
    activation("relu", &["x"], &["y"], elementwise::forward),
    activation("relu_backward", X_DY, &["dx"], elementwise::backward),
    activation("leaky_relu", &["x"], &["y"], elementwise::forward),
    activation("leaky_relu_backward", X_DY, &["dx"], elementwise::backward),
    activation("tanh", &["x"], &["y"], elementwise::forward),
    activation("tanh_backward", X_DY, &["dx"], elementwise::backward),
    activation("sigmoid", &["x"], &["y"], elementwise::forward),
    activation("sigmoid_backward", X_DY, &["dx"], elementwise::backward),
    op("bce_with_logits", &["target"], &["x"], &["loss", "dx"], Some(elementwise::bce)),
    op("adam", &["lr", "beta1", "beta2", "eps", "step"], &["w", "g", "m", "v"], &["w", "m", "v"], Some(update::adam)),
    op("rmsprop", &["lr", "alpha", "eps"], &["w", "g", "v"], &["w", "v"], Some(update::rmsprop)),
    op("weighted_mean", &[], &["x", "weights"], &["y"], Some(update::weighted_mean)),
    rule("aggregate.mean", &[], &[], ROWS, UPDATE),
    rule("aggregate.median", &[], &[], ROWS, UPDATE),
    rule("aggregate.trimmed_mean", &["f"], &[], ROWS, UPDATE),
    rule("aggregate.meamed", &["f"], &[], ROWS, UPDATE),
    rule("aggregate.krum", &["f"], &["neighbours"], ROWS, RANKED),
    rule("aggregate.multi_krum", &["f"], &["m", "neighbours"], ROWS, RANKED),
    rule("aggregate.bulyan", &["f"], &[], ROWS, CHOICE),
    rule("aggregate.geometric_median", &["nu", "iterations", "init"], &[], ROWS, &["update", "weights"]),
    rule("aggregate.centred_clipping", &["tau", "iterations"], &[], ROWS, UPDATE),
    rule("aggregate.norm_clip", &["c"], &["sigma"], ROWS, UPDATE),
    rule("aggregate.crfl", &["rho"], &["sigma"], &["updates", "global"], &["global"]),
    rule("aggregate.mda", &["f"], &[], ROWS, CHOICE),
    rule("aggregate.dnc", &["f", "c"], &[], &["updates", "coords"], CHOICE),
    rule("aggregate.foolsgold", &[], &["kappa"], &["updates", "history"], &["update", "weights", "history"]),
    rule("aggregate.fltrust", &[], &[], &["updates", "root"], &["update", "weights"]),
    rule("aggregate.flame", &[], &["sigma"], ROWS, CHOICE),
    rule("aggregate.sign_majority", &[], &[], ROWS, UPDATE),
    rule("aggregate.robust_lr", &["theta"], &[], ROWS, UPDATE),
    op("pre.nnm", &["f"], ROWS, &["updates"], Some(aggregate::pre)),
    op("pre.arc", &["f"], ROWS, &["updates"], Some(aggregate::pre)),
    op("pre.bucketing", &["s"], &["updates", "order"], &["updates"], Some(aggregate::pre)),
    forgery("attack.scale", &["gamma"], &[], MARKED, FORGED),
    forgery("attack.sign_flip", &["c"], &[], MARKED, FORGED),
    forgery("attack.ipm", &["epsilon"], &[], MARKED, FORGED),
    forgery("attack.alie", &[], &["z", "ddof"], MARKED, &["malicious", "z"]),
    forgery("attack.min_max", &["deviation"], &[], MARKED, CHOSEN),
    forgery("attack.min_sum", &["deviation"], &["bound"], MARKED, CHOSEN),
    forgery("attack.mimic", &["target"], &[], MARKED, FORGED),
    forgery("attack.free_rider", &["sigma"], &[], &["updates", "malicious", "reference", "noise"], FORGED),
    forgery("attack.neurotoxin", &["top"], &[], &["updates", "malicious", "reference"], FORGED),
    op("paste_trigger", &["top", "left"], &["x", "trigger"], &["y"], Some(update::paste_trigger)),
    op("image.blend", &["alpha"], &["x", "trigger"], &["y"], Some(image::blend)),
    op("image.sig", &["amplitude", "frequency", "lo", "hi"], &["x"], &["y"], Some(image::sig)),
    op("image.warp", &["strength"], &["x", "flow"], &["y"], Some(image::warp)),
    op("image.fiba", &["alpha", "beta", "lo", "hi"], &["x", "trigger"], &["y"], Some(image::fiba)),
    op(
        "gradient_penalty",
        &["image_size", "width", "lambda", "norm"],
        &["x_hat", "critic.*"],
        &["penalty", "grad.*"],
        Some(penalty::gradient_penalty),
    ),
    op(
        "gan_step",
        &["image_size", "width", "latent", "batch", "lr", "beta1", "beta2"],
        &["real", "z_d", "z_g", "generator.*", "discriminator.*"],
        &[
            "loss_d_real",
            "loss_d_fake",
            "loss_g",
            "grad.generator.*",
            "grad.discriminator.*",
            "generator.*",
            "discriminator.*",
        ],
        Some(gan::step),
    ),
];

/// The operation of a case.
///
/// # Errors
/// Lists the operations if it is unknown; states if it is not built yet.
pub fn find(case: &Case) -> Result<(&'static Op, Runner)> {
    let Some(op) = OPS.iter().find(|op| op.name == case.op) else {
        let near = |op: &&Op| (1e3 * strsim::jaro_winkler(op.name, &case.op)) as u32;
        let nearest = OPS.iter().max_by_key(near).map_or("", |op| op.name);
        let what = format!("unknown op; the nearest is `{nearest}`, docs/golden-format.md lists them all");
        return Err(case.malformed(what));
    };
    match op.run {
        Some(run) => Ok((op, run)),
        None => Err(case.malformed("not built yet")),
    }
}

/// Checks a case's parameter and tensor names against its operation.
///
/// # Errors
/// Names the first unknown or missing name and the allowed ones.
pub fn check_names(case: &Case, op: &Op) -> Result<()> {
    let allowed = |lists: [&[&str]; 2], prefix: &str| {
        let names: Vec<String> = lists.concat().iter().map(|n| format!("{prefix}{n}")).collect();
        if names.is_empty() { "none is allowed".into() } else { format!("allowed: {}", names.join(", ")) }
    };
    let params = [op.params, op.optional_params];
    if let Some(key) = case.params.keys().find(|k| !params.concat().contains(&k.as_str())) {
        return Err(case.malformed(format!("unknown parameter `{key}`; {}", allowed(params, ""))));
    }
    if let Some(key) = op.params.iter().find(|k| !case.params.contains_key(**k)) {
        return Err(case.malformed(format!("parameter `{key}` is missing; {}", allowed(params, ""))));
    }
    let inputs = [op.inputs, op.optional_inputs];
    if let Some(name) = case.inputs.keys().find(|n| !inputs.concat().iter().any(|p| matches(p, n))) {
        return Err(case.malformed(format!("unknown tensor `in.{name}`; {}", allowed(inputs, "in."))));
    }
    if let Some(pattern) = op.inputs.iter().find(|p| !case.inputs.keys().any(|n| matches(p, n))) {
        return Err(case.malformed(format!("tensor `in.{pattern}` is missing; {}", allowed(inputs, "in."))));
    }
    if let Some(name) = case.expected.keys().find(|n| !op.outputs.iter().any(|p| matches(p, n))) {
        return Err(case.malformed(format!("unknown tensor `out.{name}`; {}", allowed([op.outputs, &[]], "out."))));
    }
    Ok(())
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}
