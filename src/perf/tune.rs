//! Finds the fastest variant of a launch on a device: each variant is verified, then all are timed in rotation.
//!
//! The default stays unless another variant is more than 3 % faster, beyond the noise of samples taken alternately. A
//! choice is stored by kernel and parameters without clients and their strides, so chunks still change no bit. A tuning
//! file of another adapter, driver or version is never used.

use super::Bench;
use super::measure::{Budget, Verifier, in_rotation, verify};
use super::stats::{MARGIN, SpeedChange, Summary, compare_pairs};
use super::tap::Heard;
use super::workload::Shape;
use crate::exec::{Engine, Recording};
use crate::gpu::{AdapterFacts, GpuEngine, Tuning, tuning};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A variant that was tried.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its name.
    pub name: &'static str,
    /// Seconds per launch, sample by sample, alternating with the other variants, if it was correct; otherwise the
    /// fault.
    pub outcome: std::result::Result<Vec<f64>, String>,
}

/// A launch and the results of its variants.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The launch.
    pub shape: Shape,
    /// Its variants, the default first.
    pub tried: Vec<Tried>,
}

impl Tried {
    /// Median seconds per launch, if it was correct.
    pub fn median(&self) -> Option<f64> {
        Some(Summary::of(self.outcome.as_ref().ok()?)?.median)
    }

    /// True if this variant takes less time than `default`, beyond margin and noise, or is correct while `default` is
    /// wrong.
    fn beats(&self, default: &Tried) -> bool {
        match (&default.outcome, &self.outcome) {
            (_, Err(_)) => false,
            (Err(_), Ok(_)) => true,
            (Ok(old), Ok(new)) => {
                let pairs: Vec<(f64, f64)> = old.iter().copied().zip(new.iter().copied()).collect();
                compare_pairs(&pairs, MARGIN).is_some_and(|c| c.verdict == SpeedChange::Faster)
            }
        }
    }
}

impl Tuned {
    /// The fastest of the variants that beat the default by more than [`MARGIN`] and the noise, otherwise the default;
    /// `None` if none is correct.
    pub fn chosen(&self) -> Option<&Tried> {
        let (default, others) = self.tried.split_first()?;
        let better = others.iter().filter(|t| t.beats(default));
        let seconds = |t: &Tried| t.median().unwrap_or(f64::INFINITY);
        let best = better.min_by(|a, b| seconds(a).total_cmp(&seconds(b)));
        best.or_else(|| Some(default).filter(|d| d.outcome.is_ok()))
    }

    /// Time of the chosen variant over that of the default; `None` if either is wrong.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.chosen()?.median()? / self.tried.first()?.median()?)
    }

    /// Wrong variants, with the reason.
    pub fn wrong(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.tried.iter().filter_map(|t| Some((t.name, t.outcome.as_ref().err()?.as_str())))
    }
}

/// The launches with more than one variant, one per [`tuning::key`] (the one with the most clients), the heaviest
/// first.
pub fn shapes(heard: &[Heard]) -> Vec<Shape> {
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for launch in heard.iter().flat_map(|h| &h.launches) {
        if launch.kernel.variants(&launch.params).len() < 2 {
            continue;
        }
        let new = Shape { kernel: launch.kernel, params: launch.params.clone(), label: launch.label.clone(), count: 0 };
        let shape = shapes.entry(tuning::key(launch.kernel, &launch.params)).or_insert_with(|| new.clone());
        let count = shape.count + 1;
        if new.cost().flops > shape.cost().flops {
            *shape = new;
        }
        shape.count = count;
    }
    let mut shapes: Vec<Shape> = shapes.into_values().collect();
    shapes.sort_by(|a, b| b.cost().flops.total_cmp(&a.cost().flops));
    shapes
}

/// Tries all variants of a launch. A variant that is wrong, or that the device fails to build, is not timed.
///
/// # Errors
/// When the device is lost or fails on the default variant, or the operands do not fit.
pub fn tune(
    bench: &mut Bench<GpuEngine>,
    facts: &AdapterFacts,
    shape: &Shape,
    verifier: Verifier,
    budget: &Budget,
) -> Result<Tuned> {
    let names: Vec<&'static str> = shape.kernel.variants(&shape.params).into_iter().map(|v| v.0).collect();
    let mut verdicts = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let verdict = match try_one(bench, facts, shape, name, verifier) {
            Err(Error::Device(why) | Error::OutOfMemory { what: why, .. }) if at > 0 => Err(why),
            other => other?,
        };
        verdicts.push(verdict);
    }
    let right: Vec<&Recording> = verdicts.iter().filter_map(|v| v.as_ref().ok()).collect();
    let timings = in_rotation(bench.engine.as_mut(), &right, budget)?;
    let mut samples = timings.iter().map(|t| t.samples().0.to_vec());
    let mut tried = Vec::with_capacity(names.len());
    for (name, verdict) in names.into_iter().zip(verdicts) {
        let outcome = match verdict {
            Ok(recording) => {
                bench.engine.forget(&recording);
                Ok(samples.next().ok_or_else(|| Error::internal("a variant was not timed"))?)
            }
            Err(why) => Err(why),
        };
        tried.push(Tried { name, outcome });
    }
    Ok(Tuned { shape: shape.clone(), tried })
}

/// Records the launch with that variant on fresh operands and checks it: returns its recording, or the fault.
fn try_one(
    bench: &mut Bench<GpuEngine>,
    facts: &AdapterFacts,
    shape: &Shape,
    name: &str,
    verifier: Verifier,
) -> Result<std::result::Result<Recording, String>> {
    let mut only = Tuning::new(facts);
    only.pick(shape.kernel, &shape.params, name);
    // Recording fills the outputs again, so that no variant is credited with the previous one's output.
    let recording = bench.record(shape.kernel, &shape.params, &shape.label)?;
    bench.engine.retune(Some(Arc::new(only)));
    // A recording is built when it first runs, and keeps that build.
    let (verification, _) = verify(bench.engine.as_mut(), &recording.launches()[0], &recording, verifier)?;
    Ok(match verification.failure {
        None => Ok(recording),
        Some(why) => {
            bench.engine.forget(&recording);
            Err(why)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Launch;
    use crate::gpu::{Choice, Device, DeviceTarget, GpuOptions, choose};
    use crate::kernels::nn::conv::ConvParams;
    use crate::kernels::{Class, Params};
    use crate::perf::Verification;
    use std::cell::Cell;

    fn shape(clients: u32) -> Shape {
        let params = ConvParams::new(clients, 2, [8, 8, 8], [4, 4, 16], 4, 2, 1).words();
        Shape { kernel: crate::kernels::find("conv2d").unwrap(), params, label: "test".into(), count: 1 }
    }

    fn tuned(outcomes: &[std::result::Result<f64, String>]) -> Tuned {
        // Drifts to twice the time, which affects all variants equally.
        let samples = |seconds: f64| (0..20).map(|i| seconds * (1.0 + f64::from(i) / 20.0)).collect();
        let tried = ["a", "b", "c"].into_iter().zip(outcomes);
        let tried = tried.map(|(name, o)| Tried { name, outcome: o.clone().map(samples) });
        Tuned { shape: shape(1), tried: tried.collect() }
    }

    #[test]
    fn the_default_stays_unless_another_is_clearly_faster() {
        let chosen = |outcomes: &[_]| tuned(outcomes).chosen().map(|t| t.name);
        assert_eq!(chosen(&[Ok(1.0), Ok(0.98), Ok(2.0)]), Some("a"));
        assert_eq!(chosen(&[Ok(1.0), Ok(0.9), Ok(0.8)]), Some("c"));
        let wrong = || Err("off by one".to_string());
        assert_eq!(chosen(&[Ok(1.0), wrong(), Ok(0.99)]), Some("a"), "a wrong variant is never chosen");
        assert_eq!(chosen(&[wrong(), Ok(3.0), Ok(2.0)]), Some("c"));
        assert_eq!(chosen(&[wrong(), wrong()]), None);
        let noise = |swap: bool| (0..20).map(|i| if (i % 2 == 0) == swap { 1.0 } else { 2.0 }).collect();
        let mut noisy = tuned(&[Ok(1.5), Ok(1.4)]);
        (noisy.tried[0].outcome, noisy.tried[1].outcome) = (Ok(noise(true)), Ok(noise(false)));
        noisy.tried[1].outcome.as_mut().unwrap()[0] = 1.0;
        assert_eq!(noisy.chosen().map(|t| t.name), Some("a"), "noise is not sufficient");
        noisy.tried[1].outcome = Ok(vec![0.5; 3]);
        assert_eq!(noisy.chosen().map(|t| t.name), Some("a"), "few samples are not sufficient");
        assert_eq!(tuned(&[Ok(2.0), Ok(1.0)]).ratio(), Some(0.5));
        assert_eq!(tuned(&[wrong(), Ok(1.0)]).ratio(), None);
        assert_eq!(tuned(&[Ok(1.0), wrong()]).wrong().collect::<Vec<_>>(), [("b", "off by one")]);
    }

    #[test]
    fn launches_count_once_per_key_with_their_most_clients() {
        let launch = |clients| {
            let Shape { kernel, params, label, .. } = shape(clients);
            Launch { kernel, params, args: Vec::new(), label }
        };
        let fill = Launch {
            kernel: crate::kernels::find("fill").unwrap(),
            params: vec![1, 9, 64, 0],
            args: Vec::new(),
            label: "fill".into(),
        };
        let launches = vec![launch(1), fill, launch(3), launch(2)];
        let found = shapes(&[Heard { id: 1, launches, times: 1, seconds: 0.0 }]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].count, found[0].params[0]), (3, 3));
    }

    /// On any adapter: all variants are checked on fresh outputs, and a wrong one is neither timed nor chosen.
    #[test]
    fn variants_are_verified_before_they_are_timed() {
        let Choice { target: DeviceTarget::Gpu(adapter), .. } = choose("gpu").unwrap() else { panic!("no adapter") };
        let options = GpuOptions { class: Some(Class::Tiled), ..GpuOptions::default() };
        let engine = GpuEngine::new(Device::open_for(&adapter, &options).unwrap(), options).unwrap();
        let mut bench = Bench::of(engine);
        let budget = Budget { min: 2, max: 3, ..Budget::of(0.0) };
        let calls = Cell::new(0);
        let verifier = |_: &Launch, before: &[&[u32]], after: &[&[u32]]| {
            assert!(before[2].iter().all(|w| f32::from_bits(*w).is_nan()), "an output that was written before");
            assert!(after[2].iter().all(|w| f32::from_bits(*w).is_finite()));
            calls.set(calls.get() + 1);
            let failure = (calls.get() == 2).then(|| "wrong".to_string());
            Ok(Verification { failure, ..Verification::default() })
        };
        let found = tune(&mut bench, &adapter.facts, &shape(1), &verifier, &budget).unwrap();
        assert_eq!(calls.get(), 3);
        let names: Vec<&str> = found.tried.iter().map(|t| t.name).collect();
        assert_eq!(names, ["32x32", "64x64", "128x128"]);
        assert_eq!(found.wrong().collect::<Vec<_>>(), [("64x64", "wrong")]);
        assert!(found.chosen().unwrap().name != "64x64" && found.ratio().unwrap() > 0.0);
    }
}
