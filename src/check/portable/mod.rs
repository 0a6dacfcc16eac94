//! Portability checks: the same cases as portability variants, in which other devices would run them.
//!
//! A test machine offers more than WebGPU guarantees and hides failures on other devices. Here every case runs again
//! with the default limits, with the opposite run-time checks, and with rolled loops, and must give the same bits.
//! Every shader passes the writers of all backends ([`texts`]) and wgpu's validation without a driver ([`noop`]).

mod strides;
pub mod texts;

use super::Checker;
use super::fill::{Pass, operands};
use super::repro::Repro;
use super::run::GUARD;
use crate::Result;
use crate::exec::Engine;
use crate::gpu::{Adapter, Device, GpuEngine, GpuOptions};
use crate::kernels::{Access, Class, Elem};

/// The result of one portability variant of the cases or shaders.
#[derive(Clone, Debug, serde::Serialize)]
pub struct VariantSummary {
    /// The variant, e.g. `default limits, no feature (tiled)`.
    pub what: String,
    /// The counted items: `cases`, `texts` or `modules`.
    pub unit: &'static str,
    /// Number of checks.
    pub checked: usize,
    /// How many of them failed.
    pub failed: usize,
    /// The first failure: the case or shader, the position, the value found and the correct one.
    pub first: Option<String>,
    /// Why nothing was checked (a tool or an adapter is missing). This is not a failure.
    pub not_run: Option<String>,
}

impl VariantSummary {
    /// A row without checks so far.
    pub fn new(what: impl Into<String>, unit: &'static str) -> Self {
        VariantSummary { what: what.into(), unit, checked: 0, failed: 0, first: None, not_run: None }
    }

    /// A row in which nothing can be checked.
    pub fn not_run(what: impl Into<String>, unit: &'static str, why: impl Into<String>) -> Self {
        VariantSummary { not_run: Some(why.into()), ..VariantSummary::new(what, unit) }
    }

    /// True unless something failed, or nothing was checked without a reason.
    pub fn passed(&self) -> bool {
        self.failed == 0 && (self.checked > 0 || self.not_run.is_some())
    }

    /// Counts one check.
    pub fn add(&mut self, failure: Option<String>) {
        self.checked += 1;
        if let Some(failure) = failure {
            self.failed += 1;
            self.first.get_or_insert(failure);
        }
    }
}

/// An engine with the name of its variant.
pub type VariantEngine = (String, Box<dyn Engine>);

/// The alternative options of the engine on an adapter.
fn others(adapter: &Adapter) -> [(&'static str, GpuOptions); 3] {
    let own = GpuOptions::default;
    let checks = !adapter.facts.checked();
    [
        ("default limits, no feature", GpuOptions { default_limits: true, ..own() }),
        (if checks { "with run-time checks" } else { "without run-time checks" }, {
            GpuOptions { checked: Some(checks), ..own() }
        }),
        ("loops not expanded", GpuOptions { unroll: false, ..own() }),
    ]
}

/// Every case in every portability variant on `adapter`, for the classes of shader variants that it can run; cases with the
/// same build in several classes run once. `tick` is called with the variant's name after each case.
///
/// # Errors
/// If parameters are rejected. A failure of the device is a failed row.
pub fn on_adapter(adapter: &Adapter, repros: &[Repro], mut tick: impl FnMut(&str)) -> Result<Vec<VariantSummary>> {
    let mut rows = Vec::new();
    for class in Class::ALL.into_iter().filter(|class| adapter.facts.runs(*class)) {
        let cases = super::suite::differing(repros, class);
        if cases.is_empty() {
            continue;
        }
        let portable = Class::PORTABLE.contains(&class);
        let open = |options: GpuOptions| -> Result<Box<dyn Engine>> {
            let device = Device::open(adapter, options.default_limits)?;
            Ok(Box::new(GpuEngine::new(device, GpuOptions { class: Some(class), ..options })?))
        };
        let mut normal = open(GpuOptions::default())?;
        let mut forms: Vec<VariantEngine> = Vec::new();
        for (what, options) in others(adapter).into_iter().filter(|(_, options)| portable || !options.default_limits) {
            let what = format!("{what} ({})", class.name());
            match open(options) {
                Ok(engine) => forms.push((what, engine)),
                Err(error) => {
                    let mut row = VariantSummary::new(what, "cases");
                    row.add(Some(error.to_string()));
                    rows.push(row);
                }
            }
        }
        rows.extend(compare(normal.as_mut(), &mut forms, &cases, || tick(class.name()))?);
    }
    Ok(rows)
}

/// Runs every case on `normal` and on each of `forms`, from the same inputs: every word of every operand and of its
/// guard bands must be the same. A case that changes nothing proves nothing and fails. One row per variant.
///
/// # Errors
/// If parameters are rejected.
pub fn compare(
    normal: &mut dyn Engine,
    forms: &mut [VariantEngine],
    repros: &[Repro],
    mut tick: impl FnMut(),
) -> Result<Vec<VariantSummary>> {
    let mut rows: Vec<VariantSummary> =
        forms.iter().map(|(what, _)| VariantSummary::new(what.as_str(), "cases")).collect();
    let mut normal = Checker::new(normal);
    let mut others: Vec<Checker> = forms.iter_mut().map(|(_, engine)| Checker::new(engine.as_mut())).collect();
    for repro in repros {
        let inputs = operands(repro.kernel, &repro.params, Pass::Rounding, repro.seed, repro.style)?;
        let expected = match outputs(&mut normal, repro, &inputs) {
            Err(error) => Err(format!("{repro}: in the normal variant: {error}")),
            Ok(words) if !wrote(repro, &inputs, &words) => Err(format!("{repro}: the launch changes nothing")),
            Ok(words) => Ok(words),
        };
        for (row, other) in rows.iter_mut().zip(&mut others) {
            row.add(match &expected {
                Err(why) => Some(why.clone()),
                Ok(expected) => match outputs(other, repro, &inputs) {
                    Err(error) => Some(format!("{repro}: {error}")),
                    Ok(got) => difference(repro, &got, expected),
                },
            });
        }
        tick();
    }
    Ok(rows)
}

/// All operands with their guard bands after one launch.
fn outputs(checker: &mut Checker, repro: &Repro, inputs: &[Vec<u32>]) -> Result<Vec<Vec<u32>>> {
    Ok(checker.execute(repro, inputs, false)?.remove(0))
}

fn wrote(repro: &Repro, inputs: &[Vec<u32>], after: &[Vec<u32>]) -> bool {
    let bindings = repro.kernel.bindings().iter().zip(inputs.iter().zip(after));
    bindings
        .into_iter()
        .any(|(b, (before, after))| b.access == Access::ReadWrite && after[GUARD..GUARD + before.len()] != before[..])
}

/// The first word that differs, as text.
fn difference(repro: &Repro, got: &[Vec<u32>], expected: &[Vec<u32>]) -> Option<String> {
    for (binding, (got, expected)) in repro.kernel.bindings().iter().zip(got.iter().zip(expected)) {
        let Some(at) = got.iter().zip(expected).position(|(a, b)| a != b) else { continue };
        let word = |w: u32| match binding.elem {
            Elem::F32 => format!("{:?} ({w:#010x})", f32::from_bits(w)),
            Elem::U32 => w.to_string(),
        };
        let (name, index) = (binding.name, at as i64 - GUARD as i64);
        return Some(format!("{repro}: {name}[{index}] is {}, normally {}", word(got[at]), word(expected[at])));
    }
    None
}

/// Every case in every class through wgpu's own validation on its noop backend, with WebGPU's default limits: shader
/// module, layouts, pipeline, bind group and dispatch. No driver is needed, and no result is computed.
///
/// # Errors
/// If parameters are rejected, or a noop device cannot be created.
pub fn noop(repros: &[Repro], options: &GpuOptions, mut tick: impl FnMut()) -> Result<VariantSummary> {
    let device = Device::noop()?;
    let mut row = VariantSummary::new("wgpu validation, default limits, no driver", "cases");
    for class in Class::ALL {
        let options = GpuOptions { class: Some(class), ..options.clone() };
        let mut engine = GpuEngine::new(device.clone(), options)?;
        let mut checker = Checker::new(&mut engine);
        for repro in super::suite::differing(repros, class) {
            let inputs = operands(repro.kernel, &repro.params, Pass::Rounding, repro.seed, repro.style)?;
            let error = outputs(&mut checker, &repro, &inputs).err();
            row.add(error.map(|error| format!("{repro} ({}): {error}", class.name())));
            tick();
        }
    }
    Ok(row)
}
