//! The parameter gradients of a whole GAN step against finite differences of the losses, evaluated in f64 by loops that
//! share nothing with the kernels: BCE with batch norm, and WGAN-GP with its gradient penalty.

use super::penalty;
use fedgan::exec::{CpuEngine, Engine, Pool, Purpose, Recording, ReferenceEngine, Tensor, align, read_f32, write_f32};
use fedgan::kernels::nn::activation::kind;
use fedgan::kernels::optim::adam::adam_table;
use fedgan::kernels::rng::{HostRng, Stream};
use fedgan::model::{
    Architecture, CriticBatch, Gan, Interpolation, Layer, LayerKind, Network, NetworkBank, Norm, Objective, Optimizer,
    Training,
};

const BATCH: usize = penalty::BATCH;

/// Calls `f` with the indices (large, small, weight) of every product of a convolution over one image; `first` is the
/// weight's offset.
fn products(layer: &Layer, first: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (large, small, k, stride, pad) = match layer.kind {
        LayerKind::Conv { k, stride, pad } => (layer.input, layer.output, k, stride, pad),
        LayerKind::ConvTranspose { k, stride, pad } => (layer.output, layer.input, k, stride, pad),
        other => panic!("{other:?} is not a convolution"),
    };
    let ([h, w, ci], [oh, ow, co]) = (large, small);
    for (oy, ox) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
        for (ky, kx) in (0..k).flat_map(|y| (0..k).map(move |x| (y, x))) {
            let (Some(y), Some(x)) = ((oy * stride + ky).checked_sub(pad), (ox * stride + kx).checked_sub(pad)) else {
                continue;
            };
            if y >= h || x >= w {
                continue;
            }
            for (o, i) in (0..co).flat_map(|o| (0..ci).map(move |i| (o, i))) {
                let weight = first + (((o * k + ky) * k + kx) * ci + i) as usize;
                f(((y * w + x) * ci + i) as usize, ((oy * ow + ox) * co + o) as usize, weight);
            }
        }
    }
}

/// `x` normalised over groups of `rows` rows of c channels, then scaled and shifted.
fn norm(x: &mut [f64], c: usize, rows: usize, gamma: &[f64], beta: &[f64]) {
    for group in x.chunks_mut(rows * c) {
        for k in 0..c {
            let mean = group.iter().skip(k).step_by(c).sum::<f64>() / rows as f64;
            let variance = group.iter().skip(k).step_by(c).map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
            let inverse = 1.0 / (variance + f64::from(1e-5f32)).sqrt();
            group.iter_mut().skip(k).step_by(c).for_each(|v| *v = gamma[k] * (*v - mean) * inverse + beta[k]);
        }
    }
}

/// The network's outputs for a batch.
fn forward(net: &Network, weights: &[f64], input: &[f64]) -> Vec<f64> {
    let mut x = input.to_vec();
    for layer in &net.layers {
        let [h, w, c] = layer.output.map(|side| side as usize);
        let param = |i: usize| &weights[net.params[layer.params[i]].offset..];
        match layer.kind {
            LayerKind::BatchNorm => norm(&mut x, c, BATCH * h * w, param(0), param(1)),
            LayerKind::InstanceNorm => norm(&mut x, c, h * w, param(0), param(1)),
            LayerKind::Activation(kind::TANH, _) => x.iter_mut().for_each(|v| *v = v.tanh()),
            LayerKind::Activation(_, slope) => x.iter_mut().filter(|v| **v < 0.0).for_each(|v| *v *= f64::from(slope)),
            LayerKind::Conv { .. } | LayerKind::ConvTranspose { .. } => {
                let transposed = matches!(layer.kind, LayerKind::ConvTranspose { .. });
                let mut y = vec![0.0; BATCH * h * w * c];
                let each = x.len() / BATCH;
                for (x, y) in x.chunks(each).zip(y.chunks_mut(h * w * c)) {
                    products(layer, net.params[layer.params[0]].offset, |large, small, weight| match transposed {
                        true => y[large] += x[small] * weights[weight],
                        false => y[small] += x[large] * weights[weight],
                    });
                }
                x = y;
            }
        }
    }
    x
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn bce(logits: &[f64], target: f64) -> f64 {
    mean(logits.iter().map(|x| x.max(0.0) - x * target + (-x.abs()).exp().ln_1p()))
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Checks every parameter tensor of `net` against `grads`, by differences of `loss`.
fn near(what: &str, net: &Network, weights: &[f64], grads: &[f32], loss: impl Fn(&[f64]) -> f64) {
    let mut moved = weights.to_vec();
    for spec in &net.params {
        let mut difference = |i: usize| {
            let h = 1e-7;
            moved[i] = weights[i] + h;
            let above = loss(&moved);
            moved[i] = weights[i] - h;
            let below = loss(&moved);
            moved[i] = weights[i];
            (above - below) / (2.0 * h)
        };
        let want: Vec<f64> = (spec.offset..spec.offset + spec.words()).map(&mut difference).collect();
        let size = want.iter().map(|w| w * w).sum::<f64>().sqrt();
        let got = &grads[spec.offset..][..spec.words()];
        let error = got.iter().zip(&want).map(|(g, w)| (f64::from(*g) - w).powi(2)).sum::<f64>().sqrt();
        // Losses of order 1 in f64 leave noise of 1e-16 / 1e-7 in a difference.
        let noise = 1e-7 * (spec.words() as f64).sqrt();
        assert!(error <= 2e-5 * size + noise, "{what} {}: off by {error:.2e} of {size:.2e}", spec.name);
        assert!(
            size > 1e3 * noise || spec.name.ends_with("bias"),
            "{what} {}: a gradient of {size:.2e} shows nothing",
            spec.name
        );
    }
}

/// Inputs and results of a step.
struct Step {
    gan: Gan,
    d_before: Vec<f64>,
    d_after: Vec<f64>,
    g: Vec<f64>,
    d_grads: Vec<f32>,
    g_grads: Vec<f32>,
    real: Vec<f64>,
    z: [Vec<f64>; 2],
    mix: Vec<f64>,
}

fn weights(net: &Network, rng: &mut HostRng) -> Vec<f32> {
    let mut row = vec![0.0; net.stride];
    for spec in &net.params {
        let scale = spec.shape.len() == 1 && spec.name.ends_with("weight");
        row[spec.offset..][..spec.words()]
            .iter_mut()
            .for_each(|w| *w = (0.3 * rng.normal() + if scale { 1.0 } else { 0.0 }) as f32);
    }
    row
}

/// Runs one training step of one client, including the updates.
fn step(engine: &mut dyn Engine, training: Training) -> Step {
    let arch = Architecture { image_size: 16, channels: 1, width: 2, latent: 3 };
    let gan = Gan::with(arch, 0.5, 0.9, 1e-8, training).unwrap();
    let b = gan.alloc(engine, &mut Pool::default(), 1, 1, BATCH as u32, 1).unwrap();
    let mut rng = HostRng::new(8, Stream::CHECK, 0, 0);
    let (d, g) = (weights(&gan.d, &mut rng), weights(&gan.g, &mut rng));
    let mut tensor = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    let data = [tensor(BATCH * 256), tensor(BATCH * 3), tensor(BATCH * 3), tensor(BATCH)];
    let table = adam_table(0.01, 0.5, 0.9, 1, 1);
    let mut give = |values: &[f32]| {
        let to = engine.alloc("operand", align(values.len())).unwrap();
        write_f32(engine, to, values).unwrap();
        to
    };
    let [real, z_d, z_g, mix] = [0, 1, 2, 3].map(|i: usize| give(&data[i]));
    write_f32(engine, b.d.weights, &d).unwrap();
    write_f32(engine, b.g.weights, &g).unwrap();
    write_f32(engine, b.tables.adam, &table).unwrap();
    if let Some(critic) = b.tables.critic_adam {
        write_f32(engine, critic, &table).unwrap();
    }
    engine.write(b.tables.state, &[0, 0, 1, 0]).unwrap();
    engine.write(b.tables.client_steps, &[1]).unwrap();
    let mut rec = Recording::new();
    if training.objective == Objective::Bce {
        gan.record_step(&mut rec, &b, real, z_d, z_g).unwrap();
    } else {
        gan.record_critic_step(&mut rec, &b, 0, CriticBatch { real, z: z_d, weights: mix }).unwrap();
        gan.record_generator_step(&mut rec, &b, z_g).unwrap();
    }
    engine.run(&rec, 1).unwrap();
    let mut take =
        |of: &NetworkBank, tensor: fn(&NetworkBank) -> Tensor| read_f32(engine, tensor(of), Purpose::Check).unwrap();
    let d_after = wide(&take(&b.d, |bank| bank.weights));
    let (d_grads, g_grads) = (take(&b.d, |bank| bank.grads), take(&b.g, |bank| bank.grads));
    let [real, z_d, z_g, mix] = data.map(|values| wide(&values));
    Step { gan, d_before: wide(&d), d_after, g: wide(&g), d_grads, g_grads, real, z: [z_d, z_g], mix }
}

impl Step {
    fn judge(&self, d: &[f64], images: &[f64]) -> Vec<f64> {
        forward(&self.gan.d, d, images)
    }

    /// D's gradient before its update, G's through the updated D.
    fn check(&self, what: &str, d_loss: impl Fn(&Step, &[f64], &[f64]) -> f64, g_loss: impl Fn(&[f64]) -> f64) {
        let moved = self.d_before.iter().zip(&self.d_after).filter(|(a, b)| a != b).count();
        assert!(moved >= self.gan.d.parameter_count() / 2, "D was not updated: {moved}");
        let fake = forward(&self.gan.g, &self.g, &self.z[0]);
        near(&format!("{what} D"), &self.gan.d, &self.d_before, &self.d_grads, |d| d_loss(self, d, &fake));
        let loss = |g: &[f64]| g_loss(&self.judge(&self.d_after, &forward(&self.gan.g, g, &self.z[1])));
        near(&format!("{what} G"), &self.gan.g, &self.g, &self.g_grads, loss);
    }
}

fn engines() -> [(&'static str, Box<dyn Engine>); 2] {
    [("reference", Box::new(ReferenceEngine::new())), ("cpu", Box::new(CpuEngine::new()))]
}

#[test]
fn of_binary_cross_entropy_with_batch_norm() {
    for (name, mut engine) in engines() {
        let step = step(engine.as_mut(), Training::default());
        let d_loss = |s: &Step, d: &[f64], fake: &[f64]| bce(&s.judge(d, &s.real), 1.0) + bce(&s.judge(d, fake), 0.0);
        step.check(name, d_loss, |logits| bce(logits, 1.0));
    }
}

#[test]
fn of_wgan_with_gradient_penalty() {
    for norm in [Norm::Instance, Norm::None] {
        for (name, mut engine) in engines() {
            let (lambda, interpolation) = (penalty::LAMBDA, Interpolation::Uniform);
            let objective = Objective::WganGp { lambda, n_critic: 1, interpolation };
            let step =
                step(engine.as_mut(), Training { norm, objective, optimizer: Optimizer::Adam, ..Default::default() });
            let d_loss = |s: &Step, d: &[f64], fake: &[f64]| {
                let each = s.real.len() / BATCH;
                let x_hat: Vec<f64> = (0..s.real.len())
                    .map(|i| s.mix[i / each] * s.real[i] + (1.0 - s.mix[i / each]) * fake[i])
                    .collect();
                let penalty = penalty::Host { net: &s.gan.d, weights: d }.penalty(&x_hat);
                mean(s.judge(d, fake).into_iter()) - mean(s.judge(d, &s.real).into_iter()) + penalty
            };
            step.check(&format!("{norm:?} {name}"), d_loss, |logits| -mean(logits.iter().copied()));
        }
    }
}
