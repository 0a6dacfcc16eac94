//! One GAN training step, through the recording used in training.

use super::Case;
use super::lab::{Computed, Lab, Rule, channels_last};
use crate::Result;
use crate::exec::{Pool, Purpose, Recording, Tensor, align, read_f32, write_f32};
use crate::kernels::optim::adam::adam_table;
use crate::kernels::{U, gamma};
use crate::model::{Architecture, Gan, GanBuffers, NamedTensors, Network, NetworkBank, export, import};

const LOSSES: [&str; 3] = ["loss_d_real", "loss_d_fake", "loss_g"];
const LOSS_BOUND: f64 = 1e-5;
const GRADIENT_BOUND: f64 = 2e-5;
const UPDATE_SHARE: f64 = 5e-3;
const RUNNING_BOUND: f64 = 1e-5;
/// Momentum of the running statistics, as in the format.
const MOMENTUM: f64 = 0.1;
/// Share of the batches' contribution to a running variance, besides the roundings of the updates.
const VARIANCE_SHARE: f64 = 1e-4;

/// gan_step.
pub fn step(case: &Case, lab: &mut Lab) -> Result<Vec<Computed>> {
    let (gan, batch) = read(case)?;
    let named = |e: crate::Error| case.malformed(e);
    let g = import(&gan.g, &network(case, "generator."), "in.generator").map_err(named)?;
    let d = import(&gan.d, &network(case, "discriminator."), "in.discriminator").map_err(named)?;
    let buffers = gan.alloc(lab.engine, &mut Pool::default(), 1, 1, batch, 1)?;
    for (bank, (weights, running)) in [(&buffers.g, &g), (&buffers.d, &d)] {
        write_f32(lab.engine, bank.weights, weights)?;
        write_f32(lab.engine, bank.running, running)?;
    }
    let lr = case.number("lr", 0.0, 1e6, None)?;
    lab.engine.write(buffers.tables.state, &[0; 4])?;
    lab.engine.write(buffers.tables.client_steps, &[1])?;
    write_f32(lab.engine, buffers.tables.adam, &adam_table(lr, gan.beta1, gan.beta2, 1, 1))?;
    let (real, shape) = case.ranked::<4>("real", "NCHW")?;
    let real = upload(lab, &channels_last(&real.f32(), shape))?;
    let z_d = upload(lab, &case.input("z_d")?.f32())?;
    let z_g = upload(lab, &case.input("z_g")?.f32())?;
    let mut recording = Recording::new();
    gan.record_step(&mut recording, &buffers, real, z_d, z_g)?;
    lab.engine.run(&recording, 1)?;
    lab.engine.finish()?;
    lab.engine.forget(&recording);
    collect(case, lab, &gan, &buffers)
}

/// The GAN and batch size that a case describes, with checked shapes.
fn read(case: &Case) -> Result<(Gan, u32)> {
    let (batch, side) = (case.whole("batch", 1, 65535)?, case.whole("image_size", 16, 256)?);
    let (_, real) = case.ranked::<4>("real", "NCHW")?;
    let arch = Architecture {
        image_size: side,
        channels: real[1] as u32,
        width: case.whole("width", 1, 1024)?,
        latent: case.whole("latent", 1, 4096)?,
    };
    arch.check().map_err(|e| case.malformed(e))?;
    let (n, s) = (batch as usize, side as usize);
    case.shaped("real", &[n, real[1], s, s])?;
    for z in ["z_d", "z_g"] {
        case.shaped(z, &[n, arch.latent as usize, 1, 1])?;
    }
    let below_one = 1.0 - 1e-9;
    let (b1, b2) = (case.number("beta1", 0.0, below_one, None)?, case.number("beta2", 0.0, below_one, None)?);
    let gan = Gan::new(arch, b1, b2, 1e-8).map_err(|e| case.malformed(e))?;
    if let Some(name) = case.inputs.keys().find(|name| name.ends_with(".num_batches_tracked")) {
        return Err(case.malformed(format!("unknown tensor `in.{name}`: a case has no num_batches_tracked")));
    }
    let norms = gan.g.layers.iter().chain(&gan.d.layers).filter(|l| l.running.is_some());
    if norms.map(|l| batch * l.output[0] * l.output[1]).min() == Some(1) {
        return Err(case.malformed("batch statistics need 2 values per channel"));
    }
    Ok((gan, batch))
}

/// The inputs whose names start with `prefix`, without the prefix. `num_batches_tracked` is not a tensor of a case.
pub(super) fn network(case: &Case, prefix: &str) -> NamedTensors {
    let own = case.inputs.iter().filter_map(|(name, t)| Some((name.strip_prefix(prefix)?, t)));
    own.map(|(name, t)| (name.to_string(), (t.shape.clone(), t.f32()))).collect()
}

fn upload(lab: &mut Lab, values: &[f32]) -> Result<Tensor> {
    let tensor = lab.engine.alloc("golden batch", align(values.len()))?;
    write_f32(lab.engine, tensor, values)?;
    Ok(tensor)
}

/// Losses, gradients, weights and running statistics after the step.
fn collect(case: &Case, lab: &mut Lab, gan: &Gan, buffers: &GanBuffers) -> Result<Vec<Computed>> {
    let mut all = Vec::new();
    let losses = lab.get(buffers.losses)?;
    for (name, value) in LOSSES.into_iter().zip(losses) {
        all.push(Computed { name: name.into(), shape: vec![1], got: vec![value], rule: Rule::Close(LOSS_BOUND) });
    }
    for (net, bank, prefix) in [(&gan.g, &buffers.g, "generator."), (&gan.d, &buffers.d, "discriminator.")] {
        collect_network(case, lab, net, bank, prefix, &mut all)?;
    }
    Ok(all)
}

fn collect_network(
    case: &Case,
    lab: &mut Lab,
    net: &Network,
    bank: &NetworkBank,
    prefix: &str,
    all: &mut Vec<Computed>,
) -> Result<()> {
    let mut row = |tensor| read_f32(lab.engine, tensor, Purpose::Check);
    let (weights, running, grads) = (row(bank.weights)?, row(bank.running)?, row(bank.grads)?);
    for (name, (shape, got)) in export(net, &weights, &running) {
        let name = format!("{prefix}{name}");
        let rule = if name.contains(".running_") {
            running_rule(case, &name, prefix)?
        } else {
            Rule::Update {
                before: case.input(&name)?.values.clone(),
                share: UPDATE_SHARE,
                // The weights' own rounding, which does not depend on the learning rate.
                floor: U,
                cap: f64::INFINITY,
            }
        };
        all.push(Computed { name, shape, got, rule });
    }
    for (name, (shape, got)) in export(net, &grads, &running) {
        if !name.contains(".running_") {
            let rule = Rule::RelativeL2(GRADIENT_BOUND);
            all.push(Computed { name: format!("grad.{prefix}{name}"), shape, got, rule });
        }
    }
    Ok(())
}

/// A running variance changes little, so that 1e-5 of it would hide a biased batch variance. It is therefore also
/// compared with a share of the batches' contribution, plus three roundings per update (D is updated by three passes, G
/// by two).
fn running_rule(case: &Case, name: &str, prefix: &str) -> Result<Rule> {
    if name.ends_with(".running_mean") {
        return Ok(Rule::RelativeL2(RUNNING_BOUND));
    }
    let updates = if prefix == "discriminator." { 3 } else { 2 };
    let kept = (1.0 - MOMENTUM).powi(updates);
    let before = case.input(name)?.values.iter().map(|v| kept * v).collect();
    Ok(Rule::Update { before, share: VARIANCE_SHARE, floor: gamma(3 * updates as usize), cap: RUNNING_BOUND })
}
