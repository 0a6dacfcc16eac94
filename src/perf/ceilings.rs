//! The peak rates of a device, measured first and in the same session: bandwidth by size, multiply-adds, the cost of an
//! empty dispatch. The best sample counts: other work on the machine can only slow it down.

use super::fma::{FmaPeak, FmaPeakParams};
use super::measure::{Budget, measure};
use super::problem::Bench;
use super::stats::Summary;
use super::stream::{BLOCK, StreamPeak, StreamPeakParams};
use crate::error::count;
use crate::exec::cpu::peak;
use crate::exec::{Launch, Purpose, Recording};
use crate::kernels::util::copy::CopyParams;
use crate::kernels::util::fill::FillParams;
use crate::kernels::{AnyKernel, Cost, Elem, Inputs, Params, find};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Words of the copied operands. The largest is far beyond any cache; the smaller ones measure the caches.
const COPIES: [u32; 6] = [1 << 13, 1 << 15, 1 << 17, 1 << 20, 1 << 22, 1 << 25];
/// Below this many seconds of samples only small copies are measured.
pub const SMOKE: f64 = 0.01;
/// Dispatches in the sample that measures the cost of a further one.
const DISPATCHES: u32 = 200;

/// Bandwidth at one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// Bytes read and written by a copy.
    pub bytes: f64,
    /// Bytes read and written per second by the best copy: the `copy` kernel, or on GPUs a probe with more loads in
    /// flight.
    pub copy: f64,
    /// Bytes read per second, on GPUs.
    pub read: Option<f64>,
}

impl Copied {
    /// Peak bytes per second.
    pub fn rate(&self) -> f64 {
        self.read.unwrap_or(0.0).max(self.copy)
    }
}

/// The ceilings of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Copies, smallest first.
    pub copies: Vec<Copied>,
    /// Floating-point operations per second; a multiply-add counts as two.
    pub flops: f64,
    /// How `flops` was measured.
    pub flops_by: String,
    /// Seconds to submit one empty dispatch and wait for it.
    pub submit: f64,
    /// Seconds per further dispatch in a pass, each writing the previous one's output.
    pub dispatch: f64,
}

/// What limits a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Limited by multiply-adds.
    Compute,
    /// Limited by bytes.
    Memory,
}

impl Ceilings {
    /// Measures a GPU or the cpu engine.
    ///
    /// # Errors
    /// When the device fails, or the probe's results are wrong.
    pub fn measure(bench: &mut Bench, seconds: f64) -> Result<Ceilings> {
        let budget = Budget { min: 5, ..Budget::of(seconds) };
        let (submit, dispatch) = dispatches(bench, &budget)?;
        let mut copies = Vec::new();
        // A smoke test has no time for sizes beyond the caches.
        let sizes = if seconds < SMOKE { &COPIES[..3] } else { &COPIES[..] };
        for words in sizes.iter().copied() {
            // An operand at the binding limit is the largest possible.
            let most = u32::try_from(bench.engine.max_binding_words()).unwrap_or(u32::MAX);
            let copied = copied(bench, words.min(most / BLOCK * BLOCK), &budget)?;
            copies.push(copied);
        }
        let (flops, flops_by) = match bench.engine.descriptor().engine.as_str() {
            "gpu" => (fma(bench, &budget)?, "multiply-adds in registers".to_string()),
            _ => products(seconds),
        };
        Ok(Ceilings { copies, flops, flops_by, submit, dispatch })
    }

    /// Bytes per second beyond all caches; 0 without a measurement.
    pub fn memory(&self) -> f64 {
        self.copies.last().map_or(0.0, Copied::rate)
    }

    /// Bytes per second for a launch that moves `bytes`: the best of all copies of about that size or larger, because
    /// small operands stay in caches between executions.
    pub fn bandwidth(&self, bytes: f64) -> f64 {
        let below = self.copies.iter().rposition(|c| c.bytes <= bytes).unwrap_or(0);
        self.copies.iter().skip(below).map(Copied::rate).fold(0.0, f64::max)
    }

    /// Minimum seconds for a launch of this cost, and what limits it.
    pub fn floor(&self, cost: Cost) -> (f64, Bound) {
        let (compute, memory) = (cost.flops / self.flops, cost.bytes / self.bandwidth(cost.bytes));
        if compute > memory { (compute, Bound::Compute) } else { (memory, Bound::Memory) }
    }
}

fn row(name: &str) -> Result<&'static dyn AnyKernel> {
    find(name).ok_or_else(|| Error::internal(format!("no kernel `{name}`")))
}

fn copied(bench: &mut Bench, n: u32, budget: &Budget) -> Result<Copied> {
    let gpu = bench.engine.descriptor().engine == "gpu";
    let mut rate = |kernel: &'static dyn AnyKernel, params: Vec<u32>| -> Result<f64> {
        let recording = bench.record(kernel, &params, "bandwidth")?;
        // Once is enough: the larger copies run the same shader.
        if gpu && n <= COPIES[0] {
            right(bench, &recording)?;
        }
        let timing = measure(bench.engine.as_mut(), &recording, budget, &mut |_| Ok(()))?;
        bench.engine.forget(&recording);
        Ok(kernel.cost(&params).bytes / timing.summary()?.min)
    };
    let bytes = 8.0 * f64::from(n);
    let copy = rate(row("copy")?, CopyParams { clients: 1, n, x_stride: n, y_stride: n }.words())?;
    if !gpu {
        return Ok(Copied { bytes, copy, read: None });
    }
    let probe = |reads| StreamPeakParams { n, groups: (n / BLOCK).min(4096), reads }.words();
    let copy = copy.max(rate(&StreamPeak, probe(0))?);
    Ok(Copied { bytes, copy, read: Some(rate(&StreamPeak, probe(1))?) })
}

/// One fill of one element, alone and many times in a pass; by the host's clock, which includes the submission.
fn dispatches(bench: &mut Bench, budget: &Budget) -> Result<(f64, f64)> {
    let params = FillParams { clients: 1, n: 1, y_stride: 64, value: 1.0 }.words();
    let recording = bench.record(row("fill")?, &params, "empty dispatch")?;
    let mut of = |times: u32| -> Result<f64> {
        let budget = Budget { batch: f64::MAX, most: times, ..*budget };
        let timing = measure(bench.engine.as_mut(), &recording, &budget, &mut |_| Ok(()))?;
        let one = Summary::of(&timing.wall).ok_or_else(|| Error::internal("no samples"))?.min;
        Ok(one * f64::from(times))
    };
    let (one, many) = (of(1)?, of(DISPATCHES)?);
    bench.engine.forget(&recording);
    Ok((one, ((many - one) / f64::from(DISPATCHES - 1)).max(0.0)))
}

/// Runs a probe once and rejects wrong results: checks its first and last elements and some in between.
fn right(bench: &mut Bench, recording: &Recording) -> Result<()> {
    let Launch { kernel, params, args, .. } = &recording.launches()[0];
    bench.engine.run(recording, 1)?;
    let words = args.iter().map(|arg| bench.engine.read(*arg, Purpose::Check)).collect::<Result<Vec<_>>>()?;
    let (slot, inputs) = (words.len() - 1, Inputs(words.iter().map(Vec::as_slice).collect()));
    let last = inputs.len(slot) - 1;
    for at in (0..=last).step_by(last / 1000 + 1).chain([last]) {
        let Some(expected) = kernel.at(params, &inputs, slot, at) else { continue };
        let got = match kernel.bindings()[slot].elem {
            Elem::F32 => inputs.f(slot, at),
            Elem::U32 => f64::from(inputs.u(slot, at)),
        };
        let wanted = expected.value;
        // The comparison is written so that NaN fails.
        if (got - wanted).abs() <= expected.bound {
            continue;
        }
        let name = kernel.name();
        return Err(Error::device(format!("probe {name}: element {at} is {got}, expected {wanted}")));
    }
    Ok(())
}

/// The probe's rate, after its sums passed the check.
fn fma(bench: &mut Bench, budget: &Budget) -> Result<f64> {
    let p = FmaPeakParams { groups: 4096, turns: 64, scale: 0.5, shift: 0.25 };
    let recording = bench.record(&FmaPeak, &p.words(), "multiply-add probe")?;
    let params = &recording.launches()[0].params;
    right(bench, &recording)?;
    let timing = measure(bench.engine.as_mut(), &recording, budget, &mut |_| Ok(()))?;
    bench.engine.forget(&recording);
    Ok(FmaPeak.cost(params).flops / timing.summary()?.min)
}

/// Matrix products on all threads, the best of several runs.
fn products(seconds: f64) -> (f64, String) {
    let (start, mut best, mut threads) = (Instant::now(), 0.0, 0);
    while best == 0.0 || start.elapsed().as_secs_f64() < seconds {
        let take = Instant::now();
        let (n, flops) = peak::products(8);
        (threads, best) = (n, f64::max(best, flops / take.elapsed().as_secs_f64()));
    }
    (best, format!("256 x 256 matrix products in cache, {}", count(threads, "thread")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::perf) fn ceilings() -> Ceilings {
        let copy = |bytes, copy| Copied { bytes, copy, read: None };
        Ceilings {
            copies: vec![copy(1e6, 5e9), copy(1e7, 2e10), copy(1e9, 1e10)],
            flops: 1e11,
            flops_by: "given".into(),
            submit: 1e-4,
            dispatch: 1e-5,
        }
    }

    #[test]
    fn small_operands_are_compared_with_cache_bandwidth() {
        let c = ceilings();
        assert_eq!([1e3, 1e6, 5e7, 1e9, 1e12].map(|b| c.bandwidth(b)), [2e10, 2e10, 2e10, 1e10, 1e10]);
        assert_eq!(c.memory(), 1e10);
        assert_eq!(c.floor(Cost { flops: 1e9, bytes: 1e9 }), (0.1, Bound::Memory));
        assert_eq!(c.floor(Cost { flops: 1e11, bytes: 1e9 }), (1.0, Bound::Compute));
    }

    #[test]
    fn a_device_has_ceilings() {
        for request in ["cpu", "gpu"] {
            let (engine, _) = crate::gpu::open(request, crate::gpu::GpuOptions::default()).unwrap();
            let mut bench = Bench::new(engine);
            let p = FmaPeakParams { groups: 3, turns: 8, scale: 0.5, shift: 0.25 };
            let (submit, dispatch) = dispatches(&mut bench, &Budget { min: 3, ..Budget::of(0.0) }).unwrap();
            assert!(submit > 0.0 && dispatch >= 0.0);
            assert!(copied(&mut bench, 4096, &Budget::of(0.0)).unwrap().rate() > 0.0);
            if request == "gpu" {
                let recording = bench.record(&FmaPeak, &p.words(), "probe").unwrap();
                right(&mut bench, &recording).unwrap();
                let y = crate::exec::read_f32(bench.engine.as_mut(), recording.launches()[0].args[0], Purpose::Check);
                assert!(y.unwrap().iter().all(|v| (v - 6.0).abs() < 1e-4), "12 chains end at 0.5 each");
            }
        }
        assert!(products(0.0).0 > 0.0);
    }

    /// A device with wrong sums has no ceiling.
    #[test]
    fn a_probe_with_wrong_results_is_refused() {
        use crate::kernels::shader::{Source, source};
        let text = source("util/copy.wgsl").unwrap().replace("= x[source + i]", "= x[source]");
        let sources = [("util/copy.wgsl".to_string(), Source::new("copy.wgsl", text))].into();
        let options = crate::gpu::GpuOptions { sources, ..Default::default() };
        let mut bench = Bench::new(crate::gpu::open("gpu", options).unwrap().0);
        let error = copied(&mut bench, COPIES[0], &Budget::of(0.0)).unwrap_err();
        assert!(error.exit_code() == 1 && error.to_string().contains("probe copy: element"), "{error}");
    }
}
