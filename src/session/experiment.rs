//! A run in progress: its rounds and its records.

use super::images::Images;
use super::observer::Round;
use super::parts::Parts;
use crate::check::watch::Checked;
use crate::config::{Plan, Resolved};
use crate::error::{count, size};
use crate::exec::Purpose;
use crate::fed::{Exchanged, Fault, Federation, OnNonfinite, RoundReport};
use crate::metric::{Evaluator, ImageSet, Value};
use crate::model::{NamedTensors, Sampler};
use crate::report::checkpoint::{self, Measured};
use crate::report::layout;
use crate::report::metrics::{Positions, TimingRecord};
use crate::report::rates::Rates;
use crate::report::summary::{Digests, Resumed, Summary, Timing};
use crate::report::tensorboard::EventLog;
use crate::report::{ClientRecord, MetricsWriter, RoundRecord, RunDir, curves, picture, safetensors, usage};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// A run in progress.
pub(super) struct Experiment {
    pub(super) plan: Plan,
    /// The held-out images that pictures show beside generated images.
    shown: Vec<f32>,
    pub(super) federation: Federation,
    sampler: Sampler,
    evaluation_sampler: Sampler,
    evaluator: Evaluator,
    pub(super) output: Option<Output>,
    pub(super) records: Vec<RoundRecord>,
    /// The values of the first and the latest evaluation.
    pub(super) values: (Measured, Measured),
    /// Client-rounds with non-finite values.
    pub(super) diverged: u64,
    /// The findings of verification in this process, if enabled.
    checked: Option<Arc<Mutex<Checked>>>,
    /// The findings of verification in earlier processes.
    pub(super) earlier: Option<Checked>,
    /// Names of the clients by id; empty if they have none.
    names: Vec<String>,
    pub(super) digests: Digests,
    /// The rounds at which another process continued the run.
    pub(super) resumed: Vec<Resumed>,
    pub(super) clock: Clock,
    /// The end of the logs before the last round, with that round's record, if it was evaluated only because it is the last.
    pub(super) at_end: Option<(Positions, RoundRecord)>,
    /// Whether event files for TensorBoard are written.
    pub(super) tensorboard: bool,
}

pub(super) struct Output {
    pub dir: RunDir,
    pub metrics: MetricsWriter,
    /// The event file of this process, if asked for.
    pub events: Option<EventLog>,
}

/// The time of the rounds, over all processes of a run.
pub(super) struct Clock {
    /// Seconds in earlier processes.
    pub before: f64,
    /// Start of this process's rounds.
    pub started: Instant,
    /// This process's first round.
    pub first: u32,
}

impl Clock {
    pub fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }
}

/// The picture of samples after `round` rounds, in a run's directory.
pub(super) fn grid_file(round: u32) -> String {
    format!("grids/round-{round:04}.png")
}

impl Experiment {
    /// A run of the built [`parts`](super::parts), whose clients per launch may differ from the plan's.
    pub fn new(plan: Plan, images: Images, parts: Parts, checked: Option<Arc<Mutex<Checked>>>) -> Result<Self> {
        let evaluator = images.evaluator(&plan, &plan.metrics(), plan.evaluation.samples as usize)?;
        let shown = images.shown((plan.evaluation.grid * plan.evaluation.grid) as usize, plan.seed);
        let digests = images.digests(&plan)?;
        let Parts { federation, sampler, evaluation_sampler } = parts;
        Ok(Experiment {
            plan,
            shown,
            federation,
            sampler,
            evaluation_sampler,
            evaluator,
            output: None,
            records: vec![],
            values: Default::default(),
            diverged: 0,
            checked,
            earlier: None,
            names: images.names,
            digests,
            resumed: vec![],
            clock: Clock { before: 0.0, started: Instant::now(), first: 0 },
            at_end: None,
            tensorboard: false,
        })
    }

    /// What the user should know before training.
    pub fn warnings(&self) -> Vec<String> {
        self.evaluator.warnings()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// One line for the console.
    pub fn describe(&self) -> String {
        let (gan, f) = (self.federation.gan(), &self.federation);
        let bad = &self.plan.attack.malicious;
        let bad: Vec<String> = bad.iter().map(|id| self.named(*id as usize)).collect();
        let form = match f.winograd_layers() {
            0 => String::new(),
            layers => format!(", {} in Winograd's form", count(layers as u32, "layer")),
        };
        let who = if bad.is_empty() { "all honest".into() } else { format!("malicious: [{}]", bad.join(", ")) };
        format!(
            "training  {} ({who}), {} per launch; G {} and D {} parameters{form}; {} of up to {}, batch {}",
            count(f.clients(), "client"),
            f.clients_per_launch(),
            gan.g.parameter_count(),
            gan.d.parameter_count(),
            count(self.plan.rounds, "round"),
            count(f.steps().iter().max().copied().unwrap_or(0), "step"),
            self.plan.train.batch
        )
    }

    /// A client's id, with its name if it has one.
    pub fn named(&self, client: usize) -> String {
        self.names.get(client).map_or_else(|| client.to_string(), |name| format!("{client} {name}"))
    }

    /// Opens the run's files; writes the grids of real images and of the untrained generator.
    pub fn begin(&mut self, dir: &RunDir) -> Result<()> {
        let metrics = MetricsWriter::create(dir, !self.names.is_empty())?;
        self.output = Some(Output { dir: dir.clone(), metrics, events: self.event_log(dir, 0)? });
        let (size, channels) = self.shape();
        let shown = self.shown.len() / (size * size * channels);
        let real = picture::grid(&self.shown, shown, size, channels, self.plan.evaluation.grid as usize)?;
        dir.write_bytes("real.png", &picture::encode_png(&real)?)?;
        self.grid(0)?;
        let untrained = self.evaluate()?;
        if let Some(events) = &mut self.output()?.events {
            events.evaluation(0, &untrained)?;
        }
        self.values.0 = self.values.1.clone();
        self.clock.started = Instant::now();
        Ok(())
    }

    /// Rounds done.
    pub fn done(&self) -> u32 {
        self.federation.rounds_done()
    }

    fn shape(&self) -> (usize, usize) {
        (self.plan.model.image_size as usize, self.plan.model.channels as usize)
    }

    fn shown(&self) -> usize {
        (self.plan.evaluation.grid * self.plan.evaluation.grid) as usize
    }

    pub(super) fn output(&mut self) -> Result<&mut Output> {
        self.output.as_mut().ok_or_else(|| Error::internal("the run has no directory yet"))
    }

    /// The event file of this process, if asked for; its first values have the step `first`.
    pub(super) fn event_log(&self, dir: &RunDir, first: u32) -> Result<Option<EventLog>> {
        let detector = self.plan.detection.warmup().is_some();
        self.tensorboard.then(|| EventLog::create(dir, first, detector)).transpose()
    }

    fn grid(&mut self, round: u32) -> Result<()> {
        let ((size, channels), shown) = (self.shape(), self.shown());
        let images = self.sampler.seeded(self.federation.engine(), shown, Purpose::Evaluation)?;
        let grid = picture::grid(&images, shown, size, channels, self.plan.evaluation.grid as usize)?;
        let bytes = picture::encode_png(&grid)?;
        let output = self.output()?;
        output.dir.write_bytes(&grid_file(round), &bytes)?;
        output.events.as_mut().map_or(Ok(()), |events| events.samples(round, &bytes, grid.dimensions()))
    }

    /// The metrics of the server's samples against the reference images, with their floors.
    fn evaluate(&mut self) -> Result<BTreeMap<String, f64>> {
        let (size, channels) = self.shape();
        let n = self.plan.evaluation.samples as usize;
        let mut gathering = self.evaluator.gather(n)?;
        self.evaluation_sampler.seeded_batches(self.federation.engine(), n, Purpose::Evaluation, |images| {
            gathering.add(&ImageSet::new(images, size, channels))
        })?;
        let values = gathering.values()?;
        let entries = values.iter().chain(self.evaluator.floors()).flat_map(Value::entries).collect();
        self.values.1 = Measured {
            names: values.iter().map(|v| v.name.clone()).collect(),
            entries: values.iter().flat_map(Value::entries).collect(),
        };
        Ok(entries)
    }

    /// Runs a round of the federation only: nothing is measured or written.
    pub fn bare_round(&mut self) -> Result<()> {
        self.federation.run_round().map(|_| ())
    }

    /// Draws as many images as a grid shows, without writing them.
    pub fn bare_sample(&mut self) -> Result<()> {
        let shown = self.shown();
        self.sampler.seeded(self.federation.engine(), shown, Purpose::Check).map(|_| ())
    }

    /// Runs a round and writes its records; in an evaluation round also its pictures.
    pub fn round(&mut self) -> Result<Round> {
        let started = Instant::now();
        let report = self.federation.run_round()?;
        let seconds = started.elapsed().as_secs_f64();
        let done = report.round + 1;
        let (regular, last) = (self.plan.evaluation.is_due(done), done == self.plan.rounds);
        let evaluated = last || regular;
        let mut extra = BTreeMap::new();
        if evaluated {
            self.grid(done)?;
            extra.extend(self.evaluate()?);
        }
        let record = self.record(&report, extra);
        // Each critic step trains on its own batch.
        let a_step = u64::from(self.plan.train.batch) * u64::from(self.plan.train.training().critic_steps());
        let images: u64 = report.clients.iter().map(|c| u64::from(c.trained.steps) * a_step).sum();
        if last && !regular {
            let plain = RoundRecord { extra: BTreeMap::new(), ..record.clone() };
            self.at_end = Some((self.output()?.metrics.sync()?, plain));
        }
        let images_per_second = images as f64 / seconds.max(1e-9);
        let timing = TimingRecord {
            round: record.round,
            seconds,
            images_per_second,
            host_bytes: usage::host_bytes(),
            device_bytes: Some(self.federation.engine().allocated_bytes()),
            open_files: usage::open_files(),
        };
        let output = self.output()?;
        output.metrics.round(&record)?;
        output.metrics.timing(&timing)?;
        if let Some(events) = &mut output.events {
            events.round(&record)?;
        }
        let (loss_g, loss_d) = record.mean_losses();
        self.diverged += report.diverged().len() as u64;
        self.records.push(record);
        if evaluated {
            self.curves()?;
        }
        let diverged = report.diverged().into_iter().map(|(client, fault)| (self.named(client), fault)).collect();
        let left_out = self.plan.federation.nonfinite == OnNonfinite::Drop;
        Ok(Round { done, loss_g, loss_d, images_per_second, diverged, left_out })
    }

    fn record(&self, report: &RoundReport, extra: BTreeMap<String, f64>) -> RoundRecord {
        let clients = report.clients.iter().enumerate();
        let clients = clients
            .map(|(i, c)| ClientRecord {
                client: i,
                malicious: self.plan.attack.malicious.contains(&(i as u32)),
                weight: c.weighted.weight,
                loss_g: c.trained.mean[2],
                loss_d_real: c.trained.mean[0],
                loss_d_fake: c.trained.mean[1],
                last_loss_g: c.trained.last[2],
                last_loss_d_real: c.trained.last[0],
                last_loss_d_fake: c.trained.last[1],
                update_norm: Some(c.measured.update_norm),
                update_cosine: Some(c.measured.update_cosine).filter(|c| c.is_finite()),
                penalty: Some(c.trained.penalty).filter(|_| self.plan.train.loss == crate::config::LossKind::WganGp),
                probe_deviation: Some(c.measured.probe_deviation).filter(|d| d.is_finite()),
                flagged: c.weighted.flagged,
                score: Some(c.weighted.score).filter(|s| s.is_finite()),
                nonfinite: c.trained.nonfinite.as_ref().map(Fault::to_string),
                name: self.names.get(i).cloned(),
            })
            .collect();
        RoundRecord { round: report.round as usize, clients, aggregation: report.networks.clone(), extra }
    }

    fn curves(&mut self) -> Result<()> {
        let picture = curves::loss_curves(&self.plan.name, &self.records, &self.names)?;
        let bytes = picture::encode_png(&picture)?;
        self.output()?.dir.replace_bytes("losses.png", &bytes)?;
        Ok(())
    }

    /// Writes the networks, the last picture and, as the last file, the summary.
    pub fn end(&mut self, resolved: &Resolved) -> Result<Summary> {
        let seconds = self.clock.seconds();
        let generator = self.federation.export_generator()?;
        self.save("generator.safetensors", &generator)?;
        for client in 0..self.federation.clients() {
            let discriminator = self.federation.export_discriminator(client)?;
            self.save(&format!("discriminators/client-{client:03}.safetensors"), &discriminator)?;
        }
        self.beside_real()?;
        // The last verification's verdict.
        self.federation.engine().finish()?;
        let summary = self.summary(resolved, seconds);
        let keeps = self.plan.checkpoint.keeps_last();
        let dir = &self.output()?.dir;
        dir.write_text(layout::SUMMARY, &summary.to_json()?)?;
        dir.sync();
        if !keeps {
            checkpoint::clear(dir)?;
        }
        Ok(summary)
    }

    fn summary(&self, resolved: &Resolved, seconds: f64) -> Summary {
        Summary {
            name: self.plan.name.clone(),
            seed: self.plan.seed,
            rounds: self.plan.rounds,
            version: resolved.version.clone(),
            device: resolved.device.clone(),
            reason: resolved.reason.clone(),
            clients: self.names.clone(),
            diverged: self.diverged,
            metrics: self.values.1.entries.clone(),
            untrained: self.values.0.entries.clone(),
            floors: self.evaluator.floors().iter().flat_map(Value::entries).collect(),
            digests: Some(self.digests.clone()),
            detector: self.rates().as_ref().map(Into::into),
            verified: self.verified(),
            resumed: self.resumed.clone(),
            warnings: resolved.warnings.clone(),
            timing: Timing { seconds },
        }
    }

    /// The findings of verification so far, in this process and in earlier ones.
    pub(super) fn verified(&self) -> Option<Checked> {
        let now = self.checked.as_ref().map(|c| c.lock().unwrap_or_else(PoisonError::into_inner).clone());
        match (self.earlier.clone(), now) {
            (Some(earlier), Some(now)) => Some(earlier.and(now)),
            (earlier, now) => now.or(earlier),
        }
    }

    fn rates(&self) -> Option<Rates> {
        let warmup = self.plan.detection.warmup()?;
        Some(Rates::of(&self.records, warmup, self.plan.attack.start_round))
    }

    /// The outcome for the console.
    pub fn outcome(&mut self) -> String {
        let traffic = self.federation.engine().traffic();
        let scalars = traffic.bytes(Purpose::RoundScalars);
        let here = self.plan.rounds - self.clock.first;
        let rounds = u64::from(here) * u64::from(self.plan.federation.clients);
        let detection = self.rates().map_or(String::new(), |rates| format!("\ndetector  {}", rates.describe()));
        let verified = self.verified().map_or(String::new(), |checked| format!("\nverified  {checked}"));
        let (measured, scalars) = (self.measured(), scalars / rounds.max(1));
        let exchanged = match self.federation.ranks() {
            1 => String::new(),
            ranks => {
                let Exchanged { bytes, seconds } = self.federation.exchanged();
                let (bytes, ms) = (bytes / u64::from(here.max(1)), 1e3 * seconds / f64::from(here.max(1)));
                format!("\nexchanged {} per round between {ranks} ranks, in {ms:.1} ms", size(bytes))
            }
        };
        format!(
            "{measured}traffic   {scalars} bytes per client and round read from the device{exchanged}{detection}{verified}"
        )
    }

    /// The latest values beside those of the untrained generator, and the floors; one line each.
    fn measured(&self) -> String {
        let (first, last) = (&self.values.0.entries, &self.values.1.entries);
        let value = |of: &BTreeMap<String, f64>, name: &String| of.get(name).copied().unwrap_or(f64::NAN);
        let line =
            |name: &String| format!("measured  {name} {:.4}, untrained {:.4}\n", value(last, name), value(first, name));
        let mut lines: Vec<String> = self.values.1.names.iter().map(line).collect();
        lines.extend(
            self.evaluator
                .floors()
                .iter()
                .map(|f| format!("floor     {} {:.4}, real against real images\n", f.name, f.value)),
        );
        lines.concat()
    }

    fn save(&mut self, name: &str, tensors: &NamedTensors) -> Result<()> {
        let metadata = BTreeMap::from([
            ("format".to_string(), "pt".to_string()),
            ("fedgan".to_string(), env!("CARGO_PKG_VERSION").to_string()),
        ]);
        let bytes = safetensors::encode(tensors, &metadata)?;
        self.output()?.dir.write_bytes(name, &bytes)?;
        Ok(())
    }

    fn beside_real(&mut self) -> Result<()> {
        let ((size, channels), columns) = (self.shape(), self.plan.evaluation.grid as usize);
        let all = self.shown();
        let shown = self.shown.len() / (size * size * channels);
        let images = self.sampler.seeded(self.federation.engine(), all, Purpose::Evaluation)?;
        let fake = picture::grid(&images, all, size, channels, columns)?;
        let real = picture::grid(&self.shown, shown, size, channels, columns)?;
        let label = format!("generated after {}", count(self.plan.rounds, "round"));
        let both = picture::side_by_side(&[(label.as_str(), &fake), ("real", &real)])?;
        self.output()?.dir.write_bytes("samples.png", &picture::encode_png(&both)?)?;
        Ok(())
    }
}
