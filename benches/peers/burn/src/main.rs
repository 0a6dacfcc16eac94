//! burn's time for one training step of DCGAN clients, one after the other: D on real and on generated images, D's
//! update; G through D, G's update. fp32. Prints one JSON object.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{leaky_relu, log_sigmoid, relu};
use clap::Parser;
use std::time::Instant;

/// The workload; `--workload` sets the defaults.
#[derive(Parser)]
struct Args {
    /// W1: 32 px, width 32, latent 64; W2: 64 px, width 64, latent 100; W3: 256 px, width 64, latent 100. RGB.
    #[arg(long, default_value = "W1")]
    workload: String,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// cpu (feature flex) or gpu (feature wgpu: the default adapter).
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, default_value_t = 10)]
    reps: usize,
    #[arg(long, default_value_t = 2)]
    warmup: usize,
}

const INIT: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

fn levels(size: usize) -> usize {
    (size / 4).ilog2() as usize
}

#[derive(Module, Debug)]
struct Generator {
    convs: Vec<ConvTranspose2d>,
    norms: Vec<BatchNorm>,
}

impl Generator {
    fn new(size: usize, width: usize, latent: usize, device: &Device) -> Self {
        let conv = |from, to, stride, pad| {
            let config = ConvTranspose2dConfig::new([from, to], [4, 4]).with_stride([stride, stride]);
            config.with_padding([pad, pad]).with_bias(false).with_initializer(INIT).init(device)
        };
        let mut now = width << (levels(size) - 1);
        let mut convs = vec![conv(latent, now, 1, 0)];
        let mut norms = vec![BatchNormConfig::new(now).init(device)];
        for _ in 1..levels(size) {
            convs.push(conv(now, now / 2, 2, 1));
            now /= 2;
            norms.push(BatchNormConfig::new(now).init(device));
        }
        convs.push(conv(now, 3, 2, 1));
        Generator { convs, norms }
    }

    fn forward(&self, z: Tensor<4>) -> Tensor<4> {
        self.convs.iter().enumerate().fold(z, |x, (i, conv)| {
            let y = conv.forward(x);
            self.norms.get(i).map_or_else(|| y.clone().tanh(), |norm| relu(norm.forward(y.clone())))
        })
    }
}

#[derive(Module, Debug)]
struct Discriminator {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Discriminator {
    fn new(size: usize, width: usize, device: &Device) -> Self {
        let (mut convs, mut norms, mut before, mut now) = (vec![], vec![], 3, width);
        for level in 0..levels(size) {
            let config = Conv2dConfig::new([before, now], [4, 4]).with_stride([2, 2]);
            let config = config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
            convs.push(config.with_bias(false).with_initializer(INIT).init(device));
            if level > 0 {
                norms.push(BatchNormConfig::new(now).init(device));
            }
            (before, now) = (now, 2 * now);
        }
        convs.push(Conv2dConfig::new([before, 1], [4, 4]).with_bias(false).with_initializer(INIT).init(device));
        Discriminator { convs, norms }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = x.dims();
        let last = self.convs.len() - 1;
        let logits = self.convs.iter().enumerate().fold(x, |x, (i, conv)| {
            let y = conv.forward(x);
            match i {
                0 => leaky_relu(y, 0.2),
                i if i < last => leaky_relu(self.norms[i - 1].forward(y), 0.2),
                _ => y,
            }
        });
        logits.reshape([batch])
    }
}

/// Binary cross entropy of logits against all ones or all zeros.
fn bce(logits: Tensor<1>, real: bool) -> Tensor<1> {
    log_sigmoid(if real { logits } else { logits.neg() }).neg().mean()
}

struct Client {
    g: Option<Generator>,
    d: Option<Discriminator>,
    adam_g: ModuleOptimizer,
    adam_d: ModuleOptimizer,
    real: Tensor<4>,
}

impl Client {
    fn new([size, width, latent, batch]: [usize; 4], device: &Device) -> Self {
        let adam = || AdamConfig::new().with_beta_1(0.5).with_beta_2(0.999).with_epsilon(1e-8).init();
        Client {
            g: Some(Generator::new(size, width, latent, device)),
            d: Some(Discriminator::new(size, width, device)),
            adam_g: adam(),
            adam_d: adam(),
            real: Tensor::random([batch, 3, size, size], Distribution::Uniform(-1.0, 1.0), device),
        }
    }

    /// burn counts the running statistics of a norm, half of its tensors, as parameters.
    fn parameters(&self) -> usize {
        let (g, d) = (self.g.as_ref().expect("a generator"), self.d.as_ref().expect("a discriminator"));
        let norms = g.norms.num_params() + d.norms.num_params();
        g.convs.num_params() + d.convs.num_params() + norms / 2
    }

    /// G's loss.
    fn step(&mut self, latent: usize, device: &Device) -> f32 {
        let (g, d) = (self.g.take().expect("a generator"), self.d.take().expect("a discriminator"));
        let [batch, ..] = self.real.dims();
        let fake = g.forward(Tensor::random([batch, latent, 1, 1], Distribution::Normal(0.0, 1.0), device));
        let loss = bce(d.forward(self.real.clone()), true) + bce(d.forward(fake.clone().detach()), false);
        let d = self.adam_d.step(2e-4, d.clone(), GradientsParams::from_grads(loss.backward(), &d));
        let loss = bce(d.forward(fake), true);
        let g = self.adam_g.step(2e-4, g.clone(), GradientsParams::from_grads(loss.backward(), &g));
        (self.g, self.d) = (Some(g), Some(d));
        // Reading the loss awaits the device.
        loss.into_data().try_to_vec::<f32>().expect("one loss")[0]
    }
}

fn device(name: &str) -> Device {
    match name {
        #[cfg(feature = "flex")]
        "cpu" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "gpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        _ => panic!("--device {name} was not built: features are flex (cpu) and wgpu (gpu)"),
    }
}

fn main() {
    let args = Args::parse();
    let (size, width, latent) = match args.workload.as_str() {
        "W1" => (32, 32, 64),
        "W2" => (64, 64, 100),
        "W3" => (256, 64, 100),
        other => panic!("--workload {other}: W1, W2 or W3"),
    };
    let device = device(&args.device).autodiff();
    let mut clients: Vec<Client> =
        (0..args.clients).map(|_| Client::new([size, width, latent, args.batch], &device)).collect();
    let parameters = clients.first().map_or(0, Client::parameters);
    let mut loss = 0.0;
    let mut step = || {
        let start = Instant::now();
        for client in &mut clients {
            loss = client.step(latent, &device);
        }
        1e3 * start.elapsed().as_secs_f64()
    };
    let first = step();
    for _ in 0..args.warmup {
        step();
    }
    let mut times: Vec<f64> = (0..args.reps.max(1)).map(|_| step()).collect();
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[(q * (times.len() - 1) as f64) as usize];
    println!(
        "{}",
        serde_json::json!({
            "burn": "0.22.1", "device": args.device, "workload": args.workload, "batch": args.batch,
            "clients": args.clients, "median_ms": at(0.5), "p20_ms": at(0.2), "p80_ms": at(0.8), "min_ms": times[0],
            "n": times.len(), "first_ms": first, "parameters": parameters, "loss": loss,
        })
    );
}
