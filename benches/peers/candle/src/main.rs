//! candle's time for one training step of DCGAN clients, one after the other: D on real and on generated images, D's
//! update; G through D, G's update. fp32. Prints one JSON object.

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ops::leaky_relu;
use candle_nn::{AdamW, BatchNorm, Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use candle_nn::{Init, Module, ModuleT, Optimizer, ParamsAdamW};
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
    /// Only cpu.
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, default_value_t = 10)]
    reps: usize,
    #[arg(long, default_value_t = 2)]
    warmup: usize,
}

fn levels(size: usize) -> usize {
    (size / 4).ilog2() as usize
}

/// The variables of one network, with what makes them.
struct Vars {
    all: Vec<Var>,
    device: Device,
}

impl Vars {
    fn new(device: &Device) -> Self {
        Vars { all: vec![], device: device.clone() }
    }

    fn add(&mut self, init: Init, shape: &[usize]) -> Result<Tensor> {
        let var = init.var(shape, DType::F32, &self.device)?;
        self.all.push(var.clone());
        Ok(var.as_tensor().clone())
    }

    fn filters(&mut self, from: usize, to: usize) -> Result<Tensor> {
        self.add(Init::Randn { mean: 0.0, stdev: 0.02 }, &[from, to, 4, 4])
    }

    fn norm(&mut self, channels: usize) -> Result<BatchNorm> {
        let mean = Tensor::zeros(channels, DType::F32, &self.device)?;
        let var = Tensor::ones(channels, DType::F32, &self.device)?;
        let (weight, bias) = (self.add(Init::Const(1.0), &[channels])?, self.add(Init::Const(0.0), &[channels])?);
        BatchNorm::new(channels, mean, var, weight, bias, 1e-5)
    }

    fn parameters(&self) -> usize {
        self.all.iter().map(|var| var.elem_count()).sum()
    }

    fn adam(&self) -> Result<AdamW> {
        // Without decay AdamW is Adam.
        AdamW::new(self.all.clone(), ParamsAdamW { lr: 2e-4, beta1: 0.5, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 })
    }
}

struct Generator {
    convs: Vec<ConvTranspose2d>,
    norms: Vec<BatchNorm>,
}

impl Generator {
    fn new(size: usize, width: usize, latent: usize, vars: &mut Vars) -> Result<Self> {
        let conv = |vars: &mut Vars, from, to, stride, padding| {
            let config = ConvTranspose2dConfig { padding, stride, ..Default::default() };
            Ok::<_, candle_core::Error>(ConvTranspose2d::new(vars.filters(from, to)?, None, config))
        };
        let mut now = width << (levels(size) - 1);
        let mut convs = vec![conv(vars, latent, now, 1, 0)?];
        let mut norms = vec![vars.norm(now)?];
        for _ in 1..levels(size) {
            convs.push(conv(vars, now, now / 2, 2, 1)?);
            now /= 2;
            norms.push(vars.norm(now)?);
        }
        convs.push(conv(vars, now, 3, 2, 1)?);
        Ok(Generator { convs, norms })
    }

    fn forward(&self, z: &Tensor) -> Result<Tensor> {
        self.convs.iter().enumerate().try_fold(z.clone(), |x, (i, conv)| {
            let y = conv.forward(&x)?;
            match self.norms.get(i) {
                Some(norm) => norm.forward_t(&y, true)?.relu(),
                None => y.tanh(),
            }
        })
    }
}

struct Discriminator {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
}

impl Discriminator {
    fn new(size: usize, width: usize, vars: &mut Vars) -> Result<Self> {
        let (mut convs, mut norms, mut before, mut now) = (vec![], vec![], 3, width);
        for level in 0..levels(size) {
            let config = Conv2dConfig { padding: 1, stride: 2, ..Default::default() };
            convs.push(Conv2d::new(vars.filters(now, before)?, None, config));
            if level > 0 {
                norms.push(vars.norm(now)?);
            }
            (before, now) = (now, 2 * now);
        }
        convs.push(Conv2d::new(vars.filters(1, before)?, None, Conv2dConfig::default()));
        Ok(Discriminator { convs, norms })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = self.convs.len() - 1;
        let logits = self.convs.iter().enumerate().try_fold(x.clone(), |x, (i, conv)| {
            let y = conv.forward(&x)?;
            match i {
                0 => leaky_relu(&y, 0.2),
                i if i < last => leaky_relu(&self.norms[i - 1].forward_t(&y, true)?, 0.2),
                _ => Ok(y),
            }
        })?;
        logits.flatten_all()
    }
}

/// Binary cross entropy of logits against all ones or all zeros. candle's own takes the logarithm of a sigmoid, which
/// is not finite for large logits.
fn bce(logits: &Tensor, real: bool) -> Result<Tensor> {
    let wrong = if real { logits.neg()? } else { logits.clone() };
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    (wrong.relu()? + rest)?.mean_all()
}

struct Client {
    g: Generator,
    d: Discriminator,
    adam_g: AdamW,
    adam_d: AdamW,
    real: Tensor,
    parameters: usize,
}

impl Client {
    fn new([size, width, latent, batch]: [usize; 4], device: &Device) -> Result<Self> {
        let (mut of_g, mut of_d) = (Vars::new(device), Vars::new(device));
        Ok(Client {
            g: Generator::new(size, width, latent, &mut of_g)?,
            d: Discriminator::new(size, width, &mut of_d)?,
            adam_g: of_g.adam()?,
            adam_d: of_d.adam()?,
            real: Tensor::rand(-1f32, 1.0, (batch, 3, size, size), device)?,
            parameters: of_g.parameters() + of_d.parameters(),
        })
    }

    /// G's loss.
    fn step(&mut self, latent: usize, device: &Device) -> Result<f32> {
        let batch = self.real.dim(0)?;
        let fake = self.g.forward(&Tensor::randn(0f32, 1.0, (batch, latent, 1, 1), device)?)?;
        let loss = (bce(&self.d.forward(&self.real)?, true)? + bce(&self.d.forward(&fake.detach())?, false)?)?;
        self.adam_d.backward_step(&loss)?;
        let loss = bce(&self.d.forward(&fake)?, true)?;
        self.adam_g.backward_step(&loss)?;
        loss.to_scalar()
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (size, width, latent) = match args.workload.as_str() {
        "W1" => (32, 32, 64),
        "W2" => (64, 64, 100),
        "W3" => (256, 64, 100),
        other => panic!("--workload {other}: W1, W2 or W3"),
    };
    assert_eq!(args.device, "cpu", "--device: only cpu");
    let device = Device::Cpu;
    let mut clients = (0..args.clients)
        .map(|_| Client::new([size, width, latent, args.batch], &device))
        .collect::<Result<Vec<_>>>()?;
    let mut loss = 0.0;
    let mut step = || {
        let start = Instant::now();
        for client in &mut clients {
            loss = client.step(latent, &device)?;
        }
        Ok::<_, candle_core::Error>(1e3 * start.elapsed().as_secs_f64())
    };
    let first = step()?;
    for _ in 0..args.warmup {
        step()?;
    }
    let mut times = (0..args.reps.max(1)).map(|_| step()).collect::<Result<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[(q * (times.len() - 1) as f64) as usize];
    println!(
        "{}",
        serde_json::json!({
            "candle": "0.11.1", "device": args.device, "workload": args.workload, "batch": args.batch,
            "clients": args.clients, "median_ms": at(0.5), "p20_ms": at(0.2), "p80_ms": at(0.8), "min_ms": times[0],
            "n": times.len(), "first_ms": first, "parameters": clients[0].parameters, "loss": loss,
        })
    );
    Ok(())
}
