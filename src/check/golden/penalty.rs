//! The gradient penalty and its parameter gradient, through the recording used in training.

use super::Case;
use super::gan::network;
use super::lab::{Computed, Lab, Rule, channels_last};
use crate::Result;
use crate::exec::{Pool, Purpose, Recording, align, read_f32, write_f32};
use crate::model::{
    Activations, Architecture, Network, NetworkBank, Norm, Pass, Penalty, PenaltyBuffers, Scratch, export, import,
};

const PENALTY_BOUND: f64 = 1e-5;
const GRADIENT_BOUND: f64 = 2e-5;

/// gradient_penalty.
pub fn gradient_penalty(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (net, batch) = read(case)?;
    let lambda = case.number("lambda", 0.0, 1e6, None)?;
    let (weights, running) =
        import(&net, &network(case, "critic."), "in.critic").map_err(|e| case.malformed(e.to_string()))?;
    let bank = NetworkBank::alloc(lab.engine, &net, 1, true)?;
    write_f32(lab.engine, bank.weights, &weights)?;
    let mut pool = Pool::default();
    let acts = Activations::alloc(lab.engine, &mut pool, &net, 1, 1, batch)?;
    let scratch = Scratch::alloc(lab.engine, &mut pool, &[&net], 1, 1, batch)?;
    let buffers = PenaltyBuffers::alloc(lab.engine, &mut pool, &net, 1, batch)?;
    let (x, shape) = case.ranked::<4>("x_hat", "NCHW")?;
    let x_hat = lab.engine.alloc("golden x_hat", align(x.values.len()))?;
    write_f32(lab.engine, x_hat, &channels_last(&x.f32(), shape))?;
    let losses = lab.room(align(1))?;
    let pass = Pass { net: &net, bank: &bank, acts: &acts, transformed: None, label: "penalty" };
    let penalty = Penalty { pass, buffers: &buffers, scratch: &scratch, lambda: lambda as f32 };
    let mut recording = Recording::new();
    penalty.record(&mut recording, x_hat, losses, 0)?;
    lab.engine.run(&recording, 1)?;
    lab.engine.finish()?;
    lab.engine.forget(&recording);

    let value = lab.get(losses)?[0];
    let rule = Rule::RelativeL2(PENALTY_BOUND);
    let mut all = vec![Computed { name: "penalty".into(), shape: vec![1], got: vec![value], rule }];
    let grads = read_f32(lab.engine, bank.grads, Purpose::Check)?;
    for (name, (shape, got)) in export(&net, &grads, &running) {
        // The topmost norm's beta has no influence: its gradient is 0 on both sides, which satisfies a bound of 0.
        all.push(Computed { name: format!("grad.{name}"), shape, got, rule: Rule::RelativeL2(GRADIENT_BOUND) });
    }
    Ok(all)
}

/// The critic and the batch size that a case describes, with checked shapes.
fn read(case: &Case) -> Result<(Network, u32)> {
    let norm = match case.params.get("norm").and_then(|n| n.as_str()) {
        Some("instance") => Norm::Instance,
        Some("none") => Norm::None,
        _ => {
            let found = case.params.get("norm").map_or("missing".to_string(), |n| n.to_string());
            return Err(case.malformed(format!("parameter `norm` is {found}, must be \"none\" or \"instance\"")));
        }
    };
    let (_, shape) = case.ranked::<4>("x_hat", "NCHW")?;
    let side = case.whole("image_size", 16, 256)?;
    let channels = shape[1] as u32;
    let arch = Architecture { image_size: side, channels, width: case.whole("width", 1, 1024)?, latent: 1 };
    arch.check().map_err(|e| case.malformed(e))?;
    case.shaped("x_hat", &[shape[0], shape[1], side as usize, side as usize])?;
    if shape[0] > 65535 {
        return Err(case.malformed(format!("`in.x_hat` has {} images: at most 65535", shape[0])));
    }
    Ok((arch.critic(norm), shape[0] as u32))
}
