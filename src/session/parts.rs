//! The parts of a run on its device.

use super::images::Images;
use crate::config::Plan;
use crate::exec::{Engine, Recording};
use crate::fed::{ClientData, Federation, Settings};
use crate::kernels::rng::Stream;
use crate::model::{Architecture, Gan, Sampler};
use crate::{Error, Result};

/// The parts of an experiment on its device.
pub struct Parts {
    /// Server and clients.
    pub federation: Federation,
    /// Draws the images of the sample grids.
    pub sampler: Sampler,
    /// Draws the images that the metrics measure.
    pub evaluation_sampler: Sampler,
}

impl Parts {
    /// The recordings that a run executes repeatedly.
    pub fn recordings(&self) -> impl Iterator<Item = &Recording> {
        let samplers = [&self.sampler, &self.evaluation_sampler].into_iter().flat_map(Sampler::recordings);
        self.federation.recordings().chain(samplers)
    }
}

/// Builds networks, clients and samplers on the engine.
///
/// # Errors
/// A client with less than a batch, a tensor too large for the device, more steps than its counters allow.
pub fn parts(plan: &Plan, images: &Images, engine: Box<dyn Engine>) -> Result<Parts> {
    let (m, t) = (&plan.model, &plan.train);
    let arch = Architecture { image_size: m.image_size, channels: m.channels, width: m.width, latent: m.latent };
    let gan = Gan::with(arch, t.beta1, t.beta2, t.eps, t.training())?;
    let settings = Settings {
        seed: plan.seed,
        batch: t.batch,
        lr: t.lr,
        local: plan.train.local(),
        shared: plan.federation.shared,
        rule: plan.federation.aggregation.clone(),
        pre: plan.federation.pre_aggregation.clone(),
        statistics: plan.federation.statistics,
        client_momentum: plan.federation.client_momentum,
        weights: plan.federation.weights,
        clients_per_launch: plan.federation.clients_per_launch,
        attack: plan.attack.clone(),
        report: plan.report,
        detector: plan.detection.clone(),
        nonfinite: plan.federation.nonfinite,
    };
    let data = ClientData { pixels: &images.train, holdings: images.holdings.clone(), server: images.server.clone() };
    let mut federation = Federation::new(engine, gan, settings, data)?;
    federation.name_clients(images.names.clone());
    countable(plan, federation.steps().iter().copied().max().unwrap_or(0))?;
    let (net, bank) = (federation.gan().g.clone(), *federation.server_generator());
    let sampler = Sampler::new(federation.engine(), &net, &bank, plan.seed, Stream::SAMPLE)?;
    let evaluation_sampler = Sampler::new(federation.engine(), &net, &bank, plan.seed, Stream::EVALUATION)?;
    Ok(Parts { federation, sampler, evaluation_sampler })
}

/// Rejects more steps than the device can count: random numbers depend on the step's number in the run, a u32.
fn countable(plan: &Plan, steps: u32) -> Result<()> {
    let critic = plan.train.training().critic_steps();
    let all = u128::from(plan.rounds) * u128::from(steps) * u128::from(critic);
    match all <= u128::from(u32::MAX) {
        true => Ok(()),
        false => Err(Error::input(format!(
            "rounds = {}: with {steps} steps per round (train.local_steps, train.local_epochs) and train.n_critic = {critic} \
             that is {all} steps, at most {} can be counted",
            plan.rounds,
            u32::MAX
        ))),
    }
}
