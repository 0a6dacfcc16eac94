//! The report: one row per launch, and the document of a whole run.

use super::ceilings::{Bound, Ceilings};
use super::measure::{Budget, Clock, Timing, Verification, Verifier, measure, verify};
use super::problem::Bench;
use super::round::RoundReport;
use super::stats::{Comparison, Summary};
use super::step::StepReport;
use crate::Result;
use crate::exec::{Descriptor, Purpose};
use crate::kernels::{AnyKernel, Class};
use serde::{Deserialize, Serialize};

/// [`LaunchRow::origin`] of a problem from the command line.
pub const GIVEN: &str = "given";

/// Version of [`Document`]; documents of other versions are not compared.
pub const SCHEMA: u32 = 1;

/// A run of `fedgan bench`, as written to JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of fedgan.
    pub version: String,
    /// The measured device.
    pub device: Descriptor,
    /// The adapter's properties, as listed by `fedgan devices --json`; absent for built-in engines.
    pub adapter: Option<serde_json::Value>,
    /// Threads of the built-in engines; absent for GPUs.
    pub threads: Option<usize>,
    /// Whether naga's run-time checks were enabled; absent for built-in engines.
    pub checked: Option<bool>,
    /// Absent for the reference engine.
    pub ceilings: Option<Ceilings>,
    /// Launches.
    pub rows: Vec<LaunchRow>,
    /// Whole training steps.
    pub steps: Vec<StepReport>,
    /// Whole rounds.
    pub rounds: Vec<RoundReport>,
    /// Edited shaders compared with the built-in ones.
    pub shaders: Vec<ShaderRow>,
}

/// One launch, measured many times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchRow {
    /// The kernel.
    pub kernel: String,
    /// The source of the shape: a workload and one of its launches, `case`, or `given`.
    pub origin: String,
    /// The shape in the syntax of `fedgan bench` and `fedgan validate`.
    pub shape: String,
    /// The shader variants, or `-`.
    pub variant: String,
    /// The shader file, or `-`.
    pub shader: String,
    /// Floating-point operations of a launch.
    pub flops: f64,
    /// Compulsory bytes of a launch: each operand once.
    pub bytes: f64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The outcome of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Correct and timed.
    Timed(Box<Timed>),
    /// Wrong results: not timed.
    Wrong {
        /// The first wrong element.
        why: String,
    },
    /// Not run because it does not fit the device.
    Skipped {
        /// The missing resource.
        why: String,
    },
}

/// A timed launch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// The result of the check.
    pub verified: Verification,
    /// Seconds of the first execution, including compilation.
    pub first: f64,
    /// The clock of `summary`.
    pub clock: Clock,
    /// Seconds per launch.
    pub summary: Summary,
    /// Seconds per launch by the host's clock.
    pub wall: Summary,
    /// Comparison with the ceilings; absent without ceilings.
    pub roofline: Option<Roofline>,
    /// All samples.
    pub samples: Timing,
}

/// A time relative to the ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roofline {
    /// Minimum seconds according to the ceilings.
    pub floor: f64,
    /// What limits the launch.
    pub bound: Bound,
    /// `floor` / median.
    pub share: f64,
    /// Above the ceiling: the cost model, the ceiling or the clock is wrong.
    pub fault: bool,
}

impl Roofline {
    /// For a launch of that cost that took `seconds`. Half a per cent above the ceiling is noise, not a fault.
    pub fn of(ceilings: &Ceilings, cost: crate::kernels::Cost, seconds: f64) -> Roofline {
        let (floor, bound) = ceilings.floor(cost);
        let share = floor / seconds;
        Roofline { floor, bound, share, fault: share.is_nan() || share > 1.005 }
    }
}

impl Timed {
    /// Summarises the samples.
    ///
    /// # Errors
    /// Without samples (a bug).
    pub fn new(
        verified: Verification,
        first: f64,
        samples: Timing,
        cost: crate::kernels::Cost,
        ceilings: Option<&Ceilings>,
    ) -> Result<Timed> {
        let (summary, clock) = (samples.summary()?, samples.samples().1);
        let wall = Timing { device: Vec::new(), ..samples.clone() }.summary()?;
        let roofline = ceilings.map(|c| Roofline::of(c, cost, summary.median));
        Ok(Timed { verified, first, clock, summary, wall, roofline, samples })
    }
}

impl LaunchRow {
    /// An empty row for a launch on an engine with that variant name.
    pub fn named(kernel: &dyn AnyKernel, params: &[u32], shape: String, origin: String, variant: &str) -> LaunchRow {
        let cost = kernel.cost(params);
        let class = Class::ALL.into_iter().find(|c| c.name() == variant);
        LaunchRow {
            kernel: kernel.name().into(),
            origin,
            shape,
            variant: variant.into(),
            shader: class.map_or("-".into(), |c| kernel.build(params, c).file.into()),
            flops: cost.flops,
            bytes: cost.bytes,
            outcome: Outcome::Skipped { why: "not run".into() },
        }
    }

    /// Verifies the launch and, if it is correct, times it.
    ///
    /// # Errors
    /// When the device is lost or the reference reads outside the operands. A launch that does not fit or compile is an
    /// outcome, not an error.
    pub fn run(
        mut self,
        bench: &mut Bench,
        kernel: &'static dyn AnyKernel,
        params: &[u32],
        verifier: Verifier,
        budget: &Budget,
        ceilings: Option<&Ceilings>,
    ) -> Result<LaunchRow> {
        let recording = match bench.record(kernel, params, &self.origin) {
            Ok(recording) => recording,
            Err(crate::Error::Device(why) | crate::Error::OutOfMemory { what: why, .. }) => {
                self.outcome = Outcome::Skipped { why };
                return Ok(self);
            }
            Err(error) => return Err(error),
        };
        let engine = bench.engine.as_mut();
        if self.origin == GIVEN {
            let args = &recording.launches()[0].args;
            let before: Vec<Vec<u32>> = args.iter().map(|a| engine.read(*a, Purpose::Check)).collect::<Result<_>>()?;
            let before: Vec<&[u32]> = before.iter().map(Vec::as_slice).collect();
            // Parameters from the command line may pass the shape rule and still not match the tables in the row's
            // inputs.
            verifier(&recording.launches()[0], &before, &before).map_err(|e| {
                crate::Error::input(format!("{}: the parameters do not match the row's inputs: {e}", self.shape))
            })?;
        }
        let (verification, first) = verify(engine, &recording.launches()[0], &recording, verifier)?;
        self.outcome = match &verification.failure {
            Some(why) => Outcome::Wrong { why: why.clone() },
            None => {
                let samples = measure(engine, &recording, budget, &mut |_| Ok(()))?;
                Outcome::Timed(Box::new(Timed::new(verification, first, samples, kernel.cost(params), ceilings)?))
            }
        };
        bench.engine.forget(&recording);
        Ok(self)
    }

    /// The timing, if there is one.
    pub fn timed(&self) -> Option<&Timed> {
        match &self.outcome {
            Outcome::Timed(timed) => Some(timed),
            _ => None,
        }
    }

    /// Floating-point operations and bytes per second, if timed.
    pub fn rates(&self) -> Option<(f64, f64)> {
        self.timed().map(|t| (self.flops / t.summary.median, self.bytes / t.summary.median))
    }
}

/// An edited shader and the built-in one, launched alternately.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShaderRow {
    /// The edited shader's row; its samples were taken alternately.
    pub edited: LaunchRow,
    /// The built-in shader's.
    pub builtin: LaunchRow,
    /// Edited over built-in; absent if one was not timed.
    pub comparison: Option<Comparison>,
}

impl Document {
    /// Number of rows, shaders and launches of steps and rounds with wrong results.
    pub fn wrong(&self) -> usize {
        let shaders = self.shaders.iter().flat_map(|s| [&s.edited, &s.builtin]);
        let rows = self.rows.iter().chain(shaders).filter(|r| matches!(r.outcome, Outcome::Wrong { .. })).count();
        let rounds = self.rounds.iter().map(|r| r.wrong.len()).sum::<usize>();
        rows + self.steps.iter().map(|s| s.wrong.len()).sum::<usize>() + rounds
    }

    /// Everything that can be compared with a baseline: name, samples and their clock.
    pub fn measurements(&self) -> Vec<(String, &[f64], Clock)> {
        let mut all: Vec<(String, &[f64], Clock)> = Vec::new();
        for row in &self.rows {
            if let Some(timed) = row.timed() {
                let (samples, clock) = timed.samples.samples();
                all.push((format!("{} ({})", row.shape, row.variant), samples, clock));
            }
        }
        all.extend(self.steps.iter().map(|s| (format!("step: {}", s.workload), &s.wall[..], Clock::Wall)));
        all.extend(self.rounds.iter().map(|r| (r.name(), &r.wall[..], Clock::Wall)));
        all
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::kernels::Cost;
    use crate::perf::ceilings::tests::ceilings;

    /// A row with `n` samples around `seconds`.
    pub(in crate::perf) fn timed(kernel: &str, seconds: f64, n: usize) -> LaunchRow {
        let wall = (0..n).map(|i| seconds * (1.0 + 0.001 * (i % 5) as f64)).collect();
        let samples = Timing { batch: 3, wall, device: Vec::new() };
        let cost = Cost { flops: 1e9, bytes: 1e9 };
        let verify_sampled = Verification { elements: 7, percent: 12.5, failure: None };
        let timed = Timed::new(verify_sampled, 2.0, samples, cost, Some(&ceilings())).unwrap();
        LaunchRow {
            kernel: kernel.into(),
            origin: "w1 a, \"b\"".into(),
            shape: format!("{kernel}:n=1,m=2"),
            variant: "direct".into(),
            shader: "-".into(),
            flops: cost.flops,
            bytes: cost.bytes,
            outcome: Outcome::Timed(Box::new(timed)),
        }
    }

    pub(in crate::perf) fn document(rows: Vec<LaunchRow>) -> Document {
        let word = |w: &str| w.to_string();
        Document {
            schema: SCHEMA,
            version: word("1.2.3"),
            device: Descriptor {
                engine: word("gpu"),
                adapter: word("a"),
                address: String::new(),
                backend: word("Vulkan"),
                device_type: word("Cpu"),
                driver: word("d"),
                variant: word("direct"),
            },
            adapter: None,
            threads: None,
            checked: Some(true),
            ceilings: Some(ceilings()),
            rows,
            steps: Vec::new(),
            rounds: Vec::new(),
            shaders: Vec::new(),
        }
    }

    #[test]
    fn a_rate_above_the_ceiling_is_a_fault() {
        // 1e9 bytes at 1e10 per second need at least 0.1 s.
        let of = |seconds| Roofline::of(&ceilings(), Cost { flops: 1e9, bytes: 1e9 }, seconds);
        assert_eq!((of(0.2).share, of(0.2).fault, of(0.2).bound), (0.5, false, Bound::Memory));
        assert!(!of(0.0999).fault && of(0.09).fault && of(0.0).fault && of(f64::NAN).fault);
        assert!(timed("fill", 0.05, 5).timed().unwrap().roofline.unwrap().fault);
    }

    #[test]
    fn the_json_has_all_samples_and_round_trips() {
        let document = document(vec![timed("fill", 0.2, 17)]);
        let value = serde_json::to_value(&document).unwrap();
        assert_eq!(value["rows"][0]["outcome"], "timed");
        assert_eq!(value["rows"][0]["samples"]["wall"].as_array().unwrap().len(), 17);
        assert_eq!((&value["version"], &value["device"]["driver"]), (&"1.2.3".into(), &"d".into()));
        let back: Document = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(back).unwrap(), value);
    }
}
