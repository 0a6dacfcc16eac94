//! Training problems and their launches.

use super::tap::{Heard, Tap};
use crate::error::count;
use crate::exec::{CpuEngine, Engine, TallyEngine};
use crate::fed::attack::{OnUpdate, Scale};
use crate::fed::detector::{IsolationForest, LossReport, MIN_CLIENTS};
use crate::fed::{
    Attack, ClientData, Detector, Federation, Local, OnNonfinite, Pre, Rule, Settings, Shared, Statistics, Weights,
};
use crate::kernels::{AnyKernel, CATALOGUE, Cost, Field, Scalar};
use crate::model::{Architecture, Convolution, Gan, Interpolation, Norm, Objective, Optimizer, Training};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The training objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Binary cross entropy, batch norm, Adam.
    #[default]
    Bce,
    /// Wasserstein distance with gradient penalty, instance norm, one critic step per generator step, Adam.
    WganGp,
}

/// Steps of a counted round: enough for the step numbers in the rows' inputs.
const PAPER_STEPS: u32 = 16;

/// A federation's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Side of an image in pixels.
    pub image_size: u32,
    /// Channels of an image.
    pub channels: u32,
    /// Channels of the narrowest level.
    pub width: u32,
    /// Length of the generator's input.
    pub latent: u32,
    /// Images per step and client.
    pub batch: u32,
    /// Clients, all trained in the same launches.
    pub clients: u32,
    /// Training.
    pub loss: Loss,
    /// Form of the convolutions.
    #[serde(default)]
    pub convolution: Convolution,
}

/// The named problems, with one client.
pub const NAMED: [(&str, Workload); 3] = [
    ("w1", rgb(32, 32, 64)), // small enough for any machine
    ("w2", rgb(64, 64, 100)),
    ("w3", rgb(256, 64, 100)),
];

const fn rgb(image_size: u32, width: u32, latent: u32) -> Workload {
    Workload {
        image_size,
        channels: 3,
        width,
        latent,
        batch: 32,
        clients: 1,
        loss: Loss::Bce,
        convolution: Convolution::Auto,
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Workload { image_size: s, channels, width, latent, batch, clients, loss, convolution } = self;
        let loss = if *loss == Loss::Bce { "bce" } else { "wgan-gp" };
        let clients = count(clients, "client");
        write!(f, "{s}x{s}x{channels}, width {width}, latent {latent}, batch {batch}, {clients}, {loss}")?;
        if *convolution == Convolution::Direct { write!(f, ", direct convolutions") } else { Ok(()) }
    }
}

/// A launch of the training, and its frequency.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The row.
    pub kernel: &'static dyn AnyKernel,
    /// Its parameters.
    pub params: Vec<u32>,
    /// The first launch of this shape.
    pub label: String,
    /// Launches of this shape per step (per round for shapes that are not part of a step).
    pub count: usize,
}

impl Shape {
    /// Work of one launch.
    pub fn cost(&self) -> Cost {
        self.kernel.cost(&self.params)
    }
}

/// A launch to be timed.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The row.
    pub kernel: &'static dyn AnyKernel,
    /// Its parameters.
    pub params: Vec<u32>,
    /// A workload and its launch, `case`, or [`super::row::GIVEN`].
    pub origin: String,
}

impl Problem {
    /// Operations and bytes.
    pub fn work(&self) -> f64 {
        let Cost { flops, bytes } = self.kernel.cost(&self.params);
        flops + bytes
    }

    /// A row's heaviest catalogue case.
    pub fn case(kernel: &'static dyn AnyKernel) -> Option<Problem> {
        let cases = kernel.cases().into_iter().map(|params| Problem { kernel, params, origin: "case".into() });
        cases.max_by(|a, b| a.work().total_cmp(&b.work()))
    }

    /// The launches of `workloads`, at most `most` per kernel and workload, heaviest first; for kernels that training
    /// does not launch, the heaviest catalogue case. In catalogue order.
    ///
    /// # Errors
    /// As [`Workload::shapes`].
    pub fn of_training(
        workloads: &[(String, Workload)],
        wanted: &dyn Fn(&dyn AnyKernel) -> bool,
        most: usize,
    ) -> Result<Vec<Problem>> {
        let shapes = workloads.iter().map(|(name, w)| Ok((name, w.shapes()?))).collect::<Result<Vec<_>>>()?;
        let mut problems: Vec<Problem> = Vec::new();
        for kernel in CATALOGUE.iter().filter(|k| wanted(**k)) {
            let before = problems.len();
            for (name, shapes) in &shapes {
                for s in shapes.iter().filter(|s| s.kernel.name() == kernel.name()).take(most) {
                    // Some launches are the same in every workload.
                    if !problems[before..].iter().any(|p| alike(p.kernel, &p.params, &s.params)) {
                        let origin = format!("{name} {}", s.label);
                        problems.push(Problem { kernel: s.kernel, params: s.params.clone(), origin });
                    }
                }
            }
            if problems.len() == before {
                problems.extend(Problem::case(*kernel));
            }
        }
        Ok(problems)
    }
}

/// True if two launches of a kernel differ only in floats and, for a single client, in client strides: neither affects
/// their time.
fn alike(kernel: &dyn AnyKernel, a: &[u32], b: &[u32]) -> bool {
    let fields = kernel.fields();
    let clients = fields.iter().position(|f| f.name == "clients");
    let single = clients.is_none_or(|at| a[at] == 1 && b[at] == 1);
    let matters = |f: &Field| f.ty != Scalar::f32 && !(single && f.draw.is_stride());
    fields.iter().zip(a.iter().zip(b)).all(|(f, (a, b))| a == b || !matters(f))
}

impl Workload {
    /// The problem with that name, in any case.
    ///
    /// # Errors
    /// Lists the names.
    pub fn named(name: &str) -> Result<Workload> {
        let found = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, w)| *w);
        found.ok_or_else(|| {
            let all: Vec<String> = NAMED.iter().map(|(name, w)| format!("{name} ({w})")).collect();
            Error::input(format!("no workload `{name}`; there are: {}", all.join("; ")))
        })
    }

    /// Rejects sizes of zero and those that [`Gan`] rejects.
    ///
    /// # Errors
    /// Names the size.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("batch", self.batch), ("clients", self.clients)] {
            if !(1..=4096).contains(&value) {
                return Err(Error::input(format!("--{name} {value}: must be within 1 to 4096")));
            }
        }
        self.gan().map(|_| ())
    }

    fn gan(&self) -> Result<Gan> {
        let Workload { image_size, channels, width, latent, .. } = *self;
        let training = match self.loss {
            Loss::Bce => Training { convolution: self.convolution, ..Training::default() },
            Loss::WganGp => Training {
                norm: Norm::Instance,
                objective: Objective::WganGp { lambda: 10.0, n_critic: 1, interpolation: Interpolation::Uniform },
                optimizer: Optimizer::Adam,
                convolution: self.convolution,
            },
        };
        Gan::with(Architecture { image_size, channels, width, latent }, 0.5, 0.999, 1e-8, training)
    }

    /// An honest federation of these sizes on `engine`, with `steps` steps per round, whose clients share random
    /// images. It records the same launches as `fedgan run` for such a plan.
    ///
    /// # Errors
    /// As [`Federation::new`].
    pub fn federation(&self, engine: Box<dyn Engine>, steps: u32) -> Result<Federation> {
        self.build(engine, self.gan()?, self.settings(steps))
    }

    fn settings(&self, steps: u32) -> Settings {
        Settings {
            seed: 1,
            batch: self.batch,
            lr: 2e-4,
            local: Local::Steps(steps),
            shared: Shared::Generator,
            rule: Rule::default(),
            pre: Pre::default(),
            statistics: Statistics::default(),
            client_momentum: 0.0,
            weights: Weights::Equal,
            clients_per_launch: None,
            attack: Attack::checker(Vec::new()),
            report: LossReport::True,
            detector: Detector::None {},
            nonfinite: OnNonfinite::Stop,
        }
    }

    fn build(&self, engine: Box<dyn Engine>, gan: Gan, settings: Settings) -> Result<Federation> {
        let images: Vec<u32> = (0..self.batch).collect();
        let bytes = self.batch as usize * gan.arch.image() as usize;
        let pixels: Vec<u8> =
            (0..bytes.next_multiple_of(4) as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let holdings = vec![images; self.clients as usize];
        Federation::new(engine, gan, settings, ClientData { pixels: &pixels, holdings, server: Vec::new() })
    }

    /// The distinct launches (ignoring floats and unused strides) of a training step and of the rest of a round: for
    /// this problem, for the same with an attack, a detector and both networks averaged, for WGAN-GP with RMSprop, and in
    /// the direct form of the convolutions. Heaviest first; a shape is listed with the first of them that has it.
    ///
    /// # Errors
    /// When a size is rejected.
    pub fn shapes(&self) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::new();
        let own = self.gan()?;
        let mut wgan = Workload { loss: Loss::WganGp, ..*self }.gan()?;
        wgan.training.optimizer = Optimizer::RmsProp { lr: 5e-5, alpha: 0.99 };
        let direct = Workload { convolution: Convolution::Direct, ..*self }.gan()?;
        for (gan, attacked) in [(own.clone(), false), (own, true), (wgan, false), (direct, false)] {
            let mut seen: Vec<Shape> = Vec::new();
            for launch in self.on_paper(gan, attacked)?.into_iter().flat_map(|h| h.launches) {
                let same = |s: &&mut Shape| {
                    s.kernel.name() == launch.kernel.name() && alike(s.kernel, &s.params, &launch.params)
                };
                match seen.iter_mut().find(same) {
                    Some(shape) => shape.count += 1,
                    None => {
                        seen.push(Shape { kernel: launch.kernel, params: launch.params, label: launch.label, count: 1 })
                    }
                }
            }
            let same =
                |a: &Shape, b: &Shape| a.kernel.name() == b.kernel.name() && alike(a.kernel, &a.params, &b.params);
            let known = |s: &Shape| shapes.iter().any(|o| same(o, s));
            seen.retain(|s| !known(s));
            shapes.extend(seen);
        }
        let weight = |s: &Shape| s.cost().flops + s.cost().bytes;
        shapes.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        Ok(shapes)
    }

    /// The recordings of a round, without computing it.
    fn on_paper(&self, gan: Gan, attacked: bool) -> Result<Vec<Heard>> {
        // Counts and computes nothing, with the host's binding limits: sizes that no device here could train.
        let (paper, _) = TallyEngine::of(&CpuEngine::new());
        let (tap, ear) = Tap::new(Box::new(paper));
        let mut settings = self.settings(PAPER_STEPS);
        if attacked {
            settings.attack =
                Attack { malicious: vec![0], update: OnUpdate::Scale(Scale { factor: 2.0 }), ..settings.attack };
            settings.shared = Shared::Both;
            if self.clients >= MIN_CLIENTS {
                settings.detector = Detector::IsolationForest(IsolationForest::default());
            }
        }
        self.build(Box::new(tap), gan, settings)?.run_round()?;
        Ok(ear.heard())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counted recordings equal those that a real engine runs, and almost the whole catalogue is covered.
    #[test]
    fn shapes_are_those_of_training() {
        let small = Workload { width: 2, batch: 4, clients: 3, ..Workload::named("W1").unwrap() };
        let (tap, ear) = Tap::new(Box::new(CpuEngine::new()));
        small.federation(Box::new(tap), PAPER_STEPS).unwrap().run_round().unwrap();
        let shapes = small.shapes().unwrap();
        let heard = ear.heard();
        let step = heard.iter().find(|h| h.is_step()).unwrap();
        assert_eq!(step.times, u64::from(PAPER_STEPS));
        for launch in heard.iter().flat_map(|h| &h.launches) {
            let found = shapes
                .iter()
                .any(|s| s.kernel.name() == launch.kernel.name() && alike(s.kernel, &s.params, &launch.params));
            assert!(found, "{}", launch.label);
        }
        let of = |name: &str| shapes.iter().filter(|s| s.kernel.name() == name).count();
        for kernel in ["conv2d", "gradient_penalty", "rmsprop", "paste_trigger", "median_deviation", "scale_update"] {
            assert!(of(kernel) > 0, "{kernel}");
        }
        let work: Vec<f64> = shapes.iter().map(|s| s.cost().flops + s.cost().bytes).collect();
        assert!(work.windows(2).all(|w| w[0] >= w[1]), "heaviest first");
    }

    /// 256 pixels need more memory than most machines have; counting needs none.
    #[test]
    fn every_kernel_has_a_problem_at_every_size() {
        let named: Vec<(String, Workload)> = NAMED.iter().map(|(n, w)| (n.to_string(), *w)).collect();
        let problems = Problem::of_training(&named, &|_| true, 1).unwrap();
        for kernel in CATALOGUE {
            let own: Vec<&Problem> = problems.iter().filter(|p| p.kernel.name() == kernel.name()).collect();
            assert!((1..=3).contains(&own.len()), "{}: {}", kernel.name(), own.len());
            for (i, p) in own.iter().enumerate() {
                assert!(own[..i].iter().all(|o| !alike(p.kernel, &p.params, &o.params)), "{}", p.origin);
            }
        }
        let conv = problems.iter().filter(|p| p.kernel.name() == "conv2d");
        let flops: Vec<f64> = conv.map(|p| p.kernel.cost(&p.params).flops).collect();
        assert!(flops[0] < flops[1] && flops[1] < flops[2], "{flops:?}");
    }

    #[test]
    fn sizes_are_checked() {
        let w1 = Workload::named("w1").unwrap();
        w1.check().unwrap();
        assert!(Workload::named("w4").unwrap_err().to_string().contains("w3 (256x256x3"));
        for bad in [Workload { batch: 0, ..w1 }, Workload { clients: 0, ..w1 }, Workload { image_size: 33, ..w1 }] {
            assert_eq!(bad.check().unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}
