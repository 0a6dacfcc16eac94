//! The measured device, and engines on it.

use super::BenchArgs;
use crate::exec::{Descriptor, Engine};
use crate::gpu::{AdapterFacts, Choice, DeviceTarget, GpuOptions, choose, open};
use crate::perf::Document;
use crate::perf::row::SCHEMA;
use crate::{Error, Result};

/// Largest number of operations and bytes of a problem for the reference engine: some seconds of work.
pub(super) const REFERENCE_LIMIT: f64 = 2e8;

/// The device of a run.
pub(super) struct Subject {
    request: String,
    /// The chosen device, with the reason.
    pub reason: String,
    /// The adapter of a GPU engine.
    pub facts: Option<AdapterFacts>,
    /// Options for building engines.
    pub options: GpuOptions,
    descriptor: Descriptor,
}

impl Subject {
    /// Resolves `--device` and opens it once, so that a device that fails to open is reported before anything is measured.
    pub(super) fn open(args: &BenchArgs) -> Result<Subject> {
        let request = args.device.clone().unwrap_or(if args.shader.is_empty() { "auto" } else { "gpu" }.to_string());
        let options =
            GpuOptions { class: args.variant, checked: args.checks, timestamps: true, ..GpuOptions::default() };
        let facts = match choose(&request)? {
            Choice { target: DeviceTarget::Gpu(adapter), .. } => Some(adapter.facts),
            Choice { reason, .. } => {
                let needs = [
                    ("--shader", !args.shader.is_empty()),
                    ("--variant", args.variant.is_some()),
                    ("--checks", args.checks.is_some()),
                ];
                if let Some((name, _)) = needs.iter().find(|(_, given)| *given) {
                    return Err(Error::input(format!(
                        "{name} needs a GPU device, and --device {request} is {reason}; `fedgan devices` lists adapters"
                    )));
                }
                None
            }
        };
        let (engine, reason) = open(&request, options.clone())?;
        let descriptor = engine.descriptor().clone();
        // `auto` falls back to the cpu engine if the adapter fails to open.
        let facts = facts.filter(|_| descriptor.engine == "gpu");
        Ok(Subject { request, reason, facts, options, descriptor })
    }

    /// A fresh engine on the device.
    pub(super) fn engine(&self) -> Result<Box<dyn Engine>> {
        Ok(open(&self.request, self.options.clone())?.0)
    }

    /// A fresh engine with other options.
    pub(super) fn engine_with(&self, options: GpuOptions) -> Result<Box<dyn Engine>> {
        Ok(open(&self.request, options)?.0)
    }

    pub(super) fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    pub(super) fn variant(&self) -> &str {
        &self.descriptor.variant
    }

    /// The reference engine defines correct results and is not meant to be fast.
    pub(super) fn is_reference(&self) -> bool {
        self.descriptor.engine == "reference"
    }

    /// A hardware GPU, not a software adapter on the CPU.
    pub(super) fn is_hardware(&self) -> bool {
        self.facts.as_ref().is_some_and(|f| f.kind != crate::gpu::AdapterKind::Cpu)
    }

    pub(super) fn checked(&self) -> Option<bool> {
        self.facts.as_ref().map(|f| self.options.checked.unwrap_or(f.checked()))
    }

    /// A document without measurements.
    pub(super) fn document(&self) -> Document {
        Document {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").into(),
            device: self.descriptor.clone(),
            adapter: self.facts.as_ref().and_then(|f| serde_json::to_value(f).ok()),
            threads: self.facts.is_none().then(rayon::current_num_threads),
            checked: self.checked(),
            ceilings: None,
            rows: Vec::new(),
            steps: Vec::new(),
            rounds: Vec::new(),
            shaders: Vec::new(),
        }
    }
}
