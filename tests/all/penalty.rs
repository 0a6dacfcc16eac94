//! The gradient penalty's parameter gradient against finite differences of the penalty itself, evaluated in f64 by
//! loops that share nothing with the kernels.

use fedgan::exec::{CpuEngine, Engine, Pool, Purpose, Recording, ReferenceEngine, align, read_f32, write_f32};
use fedgan::kernels::rng::{HostRng, Stream};
use fedgan::model::{
    Activations, Architecture, LayerKind, Network, NetworkBank, Norm, Pass, Penalty, PenaltyBuffers, Scratch,
};

pub(super) const LAMBDA: f64 = 10.0;
pub(super) const BATCH: usize = 2;

/// A critic over one image in f64: the inputs of every layer, then the gradient of its output with respect to the
/// image.
pub(super) struct Host<'a> {
    pub(super) net: &'a Network,
    pub(super) weights: &'a [f64],
}

impl Host<'_> {
    /// (large index, small index, weight index) of every product of a convolution.
    fn products(&self, layer: usize, mut f: impl FnMut(usize, usize, usize)) {
        let l = &self.net.layers[layer];
        let LayerKind::Conv { k, stride, pad } = l.kind else { panic!("not a convolution") };
        let ([h, w, ci], [oh, ow, co], first) = (l.input, l.output, self.net.params[l.params[0]].offset);
        for (oy, ox, o) in (0..oh).flat_map(|y| (0..ow).flat_map(move |x| (0..co).map(move |o| (y, x, o)))) {
            for (ky, kx, i) in (0..k).flat_map(|y| (0..k).flat_map(move |x| (0..ci).map(move |i| (y, x, i)))) {
                let (y, x) = ((oy * stride + ky) as i64 - pad as i64, (ox * stride + kx) as i64 - pad as i64);
                if (0..h as i64).contains(&y) && (0..w as i64).contains(&x) {
                    let large = (y as usize * w as usize + x as usize) * ci as usize + i as usize;
                    let weight = first + (((o * k + ky) * k + kx) * ci + i) as usize;
                    f(large, ((oy * ow + ox) * co + o) as usize, weight);
                }
            }
        }
    }

    /// Normalised values, inverse deviations.
    fn normalise(x: &[f64], c: usize) -> (Vec<f64>, Vec<f64>) {
        let n = (x.len() / c) as f64;
        let of = |k: usize| x.iter().skip(k).step_by(c);
        let mean: Vec<f64> = (0..c).map(|k| of(k).sum::<f64>() / n).collect();
        let var = (0..c).map(|k| of(k).map(|v| (v - mean[k]).powi(2)).sum::<f64>() / n);
        let inv: Vec<f64> = var.map(|v| 1.0 / (v + f64::from(1e-5f32)).sqrt()).collect();
        (x.iter().enumerate().map(|(i, v)| (v - mean[i % c]) * inv[i % c]).collect(), inv)
    }

    fn param(&self, layer: usize, which: usize, k: usize) -> f64 {
        self.weights[self.net.params[self.net.layers[layer].params[which]].offset + k]
    }

    fn gradient(&self, image: &[f64]) -> Vec<f64> {
        let mut inputs = vec![image.to_vec()];
        for (i, layer) in self.net.layers.iter().enumerate() {
            let (x, c) = (&inputs[i], layer.output[2] as usize);
            let y = match layer.kind {
                LayerKind::Activation(_, slope) => {
                    x.iter().map(|v| if *v > 0.0 { *v } else { f64::from(slope) * v }).collect()
                }
                LayerKind::InstanceNorm => {
                    let (xhat, _) = Self::normalise(x, c);
                    let y = xhat.iter().enumerate();
                    y.map(|(j, v)| self.param(i, 0, j % c) * v + self.param(i, 1, j % c)).collect()
                }
                _ => {
                    let mut y = vec![0.0; layer.output.iter().product::<u32>() as usize];
                    self.products(i, |large, small, w| y[small] += x[large] * self.weights[w]);
                    y
                }
            };
            inputs.push(y);
        }
        let mut d = vec![1.0];
        for (i, layer) in self.net.layers.iter().enumerate().rev() {
            let (x, c) = (&inputs[i], layer.output[2] as usize);
            d = match layer.kind {
                LayerKind::Activation(_, slope) => {
                    x.iter().zip(&d).map(|(v, d)| if *v > 0.0 { *d } else { f64::from(slope) * d }).collect()
                }
                LayerKind::InstanceNorm => {
                    let (xhat, inv) = Self::normalise(x, c);
                    let n = (x.len() / c) as f64;
                    let sum = |k: usize, f: &dyn Fn(usize) -> f64| (k..x.len()).step_by(c).map(f).sum::<f64>() / n;
                    let avg: Vec<f64> = (0..c).map(|k| sum(k, &|j| d[j])).collect();
                    let slope: Vec<f64> = (0..c).map(|k| sum(k, &|j| d[j] * xhat[j])).collect();
                    let scale = |k: usize| self.param(i, 0, k) * inv[k];
                    (0..x.len()).map(|j| scale(j % c) * (d[j] - avg[j % c] - xhat[j] * slope[j % c])).collect()
                }
                _ => {
                    let mut dx = vec![0.0; x.len()];
                    self.products(i, |large, small, w| dx[large] += d[small] * self.weights[w]);
                    dx
                }
            };
        }
        d
    }

    pub(super) fn penalty(&self, images: &[f64]) -> f64 {
        let one = |image: &[f64]| {
            let norm = self.gradient(image).iter().map(|g| g * g).sum::<f64>().sqrt();
            LAMBDA * (norm - 1.0).powi(2) / BATCH as f64
        };
        images.chunks(images.len() / BATCH).map(one).sum()
    }
}

/// The penalty and its parameter gradients as recorded.
fn recorded(engine: &mut dyn Engine, net: &Network, weights: &[f32], images: &[f32]) -> (f64, Vec<f32>) {
    let batch = BATCH as u32;
    let bank = NetworkBank::alloc(engine, net, 1, true).unwrap();
    let pool = &mut Pool::default();
    let acts = Activations::alloc(engine, pool, net, 1, 1, batch).unwrap();
    let scratch = Scratch::alloc(engine, pool, &[net], 1, 1, batch).unwrap();
    let buffers = PenaltyBuffers::alloc(engine, pool, net, 1, batch).unwrap();
    let x_hat = engine.alloc("x_hat", align(images.len())).unwrap();
    let losses = engine.alloc("losses", align(1)).unwrap();
    write_f32(engine, bank.weights, weights).unwrap();
    write_f32(engine, x_hat, images).unwrap();
    let pass = Pass { net, bank: &bank, acts: &acts, transformed: None, label: "penalty" };
    let penalty = Penalty { pass, buffers: &buffers, scratch: &scratch, lambda: LAMBDA as f32 };
    let mut rec = Recording::new();
    penalty.record(&mut rec, x_hat, losses, 0).unwrap();
    engine.run(&rec, 1).unwrap();
    let value = read_f32(engine, losses, Purpose::Check).unwrap()[0];
    (f64::from(value), read_f32(engine, bank.grads, Purpose::Check).unwrap())
}

fn agrees(norm: Norm, image_size: u32, channels: u32, width: u32) {
    let net = Architecture { image_size, channels, width, latent: 1 }.critic(norm);
    let mut rng = HostRng::new(5, Stream::CHECK, 0, 0);
    let mut weights = vec![0.0f32; net.stride];
    for spec in &net.params {
        let scale = spec.shape.len() == 1 && spec.name.ends_with("weight");
        let row = &mut weights[spec.offset..][..spec.words()];
        row.iter_mut().for_each(|w| *w = (0.25 * rng.normal() + if scale { 1.0 } else { 0.0 }) as f32);
    }
    let images: Vec<f32> =
        (0..BATCH * (image_size * image_size * channels) as usize).map(|_| rng.normal() as f32).collect();
    let exact: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
    let pixels: Vec<f64> = images.iter().map(|x| f64::from(*x)).collect();
    let at = |weights: &[f64]| Host { net: &net, weights }.penalty(&pixels);
    let value = at(&exact);
    let engines: [Box<dyn Engine>; 2] = [Box::new(ReferenceEngine::new()), Box::new(CpuEngine::new())];
    let results = engines.map(|mut e| recorded(e.as_mut(), &net, &weights, &images));
    for (got, _) in &results {
        assert!((got - value).abs() <= 1e-5 * value, "{norm:?}: penalty {got}, in f64 {value}");
    }
    for spec in &net.params {
        let mut moved = exact.clone();
        let difference = |i: usize| {
            let (w, h) = (exact[i], 1e-6);
            moved[i] = w + h;
            let above = at(&moved);
            moved[i] = w - h;
            let below = at(&moved);
            moved[i] = w;
            (above - below) / (2.0 * h)
        };
        let want: Vec<f64> = (spec.offset..spec.offset + spec.words()).map(difference).collect();
        let norm2 = want.iter().map(|w| w * w).sum::<f64>().sqrt();
        for (_, grads) in &results {
            let got = &grads[spec.offset..][..spec.words()];
            let error = got.iter().zip(&want).map(|(g, w)| (f64::from(*g) - w).powi(2)).sum::<f64>().sqrt();
            // Differences of f64 penalties of about 10 at 1e-6 leave about 1e-9 of noise.
            assert!(error <= 2e-5 * norm2 + 1e-7, "{norm:?} {}: off by {error:.2e} of {norm2:.2e}", spec.name);
        }
    }
}

#[test]
fn every_parameter_gradient_agrees_with_finite_differences() {
    // Two levels and three.
    for (image_size, channels, width) in [(16, 3, 2), (32, 1, 1)] {
        agrees(Norm::Instance, image_size, channels, width);
        agrees(Norm::None, image_size, channels, width);
    }
}

/// The topmost norm's beta does not influence the penalty: its gradient is exactly 0, that of the norm below is not.
#[test]
fn the_topmost_shift_has_no_gradient() {
    let net = Architecture { image_size: 16, channels: 1, width: 2, latent: 1 }.critic(Norm::Instance);
    let weights: Vec<f32> = (0..net.stride).map(|i| ((i * 37 % 101) as f32 / 50.0 - 0.9) * 0.4).collect();
    let images: Vec<f32> = (0..BATCH * 256).map(|i| (i * 53 % 97) as f32 / 48.0 - 1.0).collect();
    let (_, grads) = recorded(&mut CpuEngine::new(), &net, &weights, &images);
    let of = |name: &str| {
        let spec = net.params.iter().find(|s| s.name == name).unwrap();
        grads[spec.offset..][..spec.words()].to_vec()
    };
    assert!(of("main.4.bias").iter().all(|g| *g == 0.0));
    assert!(of("main.1.bias").iter().all(|g| *g != 0.0));
}

#[test]
fn a_critic_with_batch_norm_is_refused() {
    let net = Architecture { image_size: 16, channels: 1, width: 2, latent: 1 }.discriminator();
    let engine: &mut dyn Engine = &mut CpuEngine::new();
    let bank = NetworkBank::alloc(engine, &net, 1, true).unwrap();
    let pool = &mut Pool::default();
    let acts = Activations::alloc(engine, pool, &net, 1, 1, 2).unwrap();
    let scratch = Scratch::alloc(engine, pool, &[&net], 1, 1, 2).unwrap();
    let buffers = PenaltyBuffers::alloc(engine, pool, &net, 1, 2).unwrap();
    let x = engine.alloc("x", 512).unwrap();
    let pass = Pass { net: &net, bank: &bank, acts: &acts, transformed: None, label: "penalty" };
    let penalty = Penalty { pass, buffers: &buffers, scratch: &scratch, lambda: 10.0 };
    let error = penalty.record(&mut Recording::new(), x, x, 0).unwrap_err();
    assert!(error.to_string().contains("batch norm"), "{error}");
}
