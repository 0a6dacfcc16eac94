//! `fedgan devices`: the devices that can run kernels here, and the choice of `--device auto`.

use super::environment;
use crate::error::size;
use crate::gpu::{AdapterFacts, Choice, choose, enumerate};
use crate::{Error, Result};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

/// Arguments of `fedgan devices`.
#[derive(Debug, clap::Args)]
pub struct DevicesArgs {
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// The JSON document.
#[derive(serde::Serialize)]
struct DevicesReport {
    /// The choice of `--device auto`, with the reason.
    auto: String,
    /// The value of `FEDGAN_DEVICE`, if set.
    environment: Option<Asked>,
    /// The built-in engines, which are always available.
    engines: [&'static str; 2],
    /// All adapters listed by the drivers.
    adapters: Vec<AdapterFacts>,
}

/// A device requested by the environment.
#[derive(serde::Serialize)]
struct Asked {
    /// The value of the variable.
    device: String,
    /// The device chosen, with the reason; or the reason for refusing the value.
    answer: String,
}

impl Asked {
    fn read() -> Result<Option<Asked>> {
        let answer = |device: &str| match choose(device) {
            Ok(choice) => format!("takes {}", choice.reason),
            Err(error) => format!("is refused: {error}"),
        };
        Ok(environment::device()?.map(|device| Asked { answer: answer(&device), device }))
    }
}

/// Prints the adapters with type, backend, driver, features, limits and shader variants.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(json: bool) -> Result<()> {
    let Choice { reason, .. } = choose("auto")?;
    let adapters = enumerate().into_iter().map(|a| a.facts).collect();
    let report = DevicesReport { auto: reason, environment: Asked::read()?, engines: ["cpu", "reference"], adapters };
    let text = if json {
        let text = serde_json::to_string_pretty(&report).map_err(|e| Error::internal(format!("JSON: {e}")))?;
        text + "\n"
    } else {
        table(&report)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Error::Output(format!("standard output: {e}"))),
        _ => Ok(()),
    }
}

fn table(report: &DevicesReport) -> String {
    let mut out = String::new();
    for adapter in &report.adapters {
        describe(&mut out, adapter);
    }
    if report.adapters.is_empty() {
        out.push_str("no GPU adapter: no Vulkan, Metal, DX12 or GL driver was found\n");
        out.push_str("  (for a software driver on Debian or Ubuntu, install mesa-vulkan-drivers)\n\n");
    }
    let _ = writeln!(out, "cpu          built in: f32, GEMM and threads; needs no driver");
    let _ = writeln!(out, "reference    built in: naive f64, the reference that `validate` compares with; slow\n");
    let _ = writeln!(out, "--device auto takes {}", report.auto);
    match &report.environment {
        Some(Asked { device, answer }) => {
            let _ = writeln!(out, "{}={device} {answer}", environment::DEVICE);
        }
        None if report.adapters.iter().any(|a| a.number.is_some()) => {
            let name = environment::DEVICE;
            let _ = writeln!(
                out,
                "--device gpu:N, or {name}=gpu:N in the absence of the option, selects an adapter by its number"
            );
        }
        None => {}
    }
    out
}

/// `write!` to a `String` cannot fail.
fn describe(out: &mut String, facts: &AdapterFacts) {
    let _ = match facts.number {
        Some(n) => writeln!(out, "gpu:{n}  {}", facts.name),
        None => writeln!(out, "-  {}", facts.name),
    };
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<10} {value}");
    };
    line("type", format!("{:?} over {:?}", facts.kind, facts.backend));
    line("driver", facts.driver.clone());
    if !facts.pci.is_empty() {
        line("PCI", facts.pci.clone());
    }
    if facts.duplicate {
        line("use", "never chosen: the device is also listed under a preferred backend".into());
    } else if let Some(why) = &facts.unusable {
        line("use", format!("cannot run the kernels: {why}"));
    } else {
        if !facts.conformant {
            let note =
                "has not passed Vulkan's conformance tests: auto never chooses it, but --device gpu or its number does";
            line("note", format!("the driver {note}; `fedgan validate --device NAME` checks it"));
        }
        line("variants", variants(facts.variant).into());
        line("limits", limits(facts));
        let names = |wanted: bool| {
            let names: Vec<&str> = facts.features.iter().filter(|f| *f.1 == wanted).map(|f| *f.0).collect();
            if names.is_empty() { "-".to_string() } else { names.join(", ") }
        };
        line("features", names(true));
        line("missing", names(false));
    }
    out.push('\n');
}

fn variants(class: &str) -> &'static str {
    match class {
        "lanes" => "lanes: loads shared within a subgroup by broadcasts, for software adapters with subgroups of 8",
        "direct" => "direct: register tiles loaded directly from storage, for software adapters",
        _ => "tiled: convolutions through workgroup memory, for hardware GPUs",
    }
}

fn limits(facts: &AdapterFacts) -> String {
    let get = |name: &str| facts.limits.get(name).copied().unwrap_or(0);
    let bytes = |name: &str| size(get(name));
    let [low, high] = facts.subgroup;
    format!(
        "binding {}, buffer {}, {} storage buffers, workgroup {} threads and {}, subgroup {}",
        bytes("max_storage_buffer_binding_size"),
        bytes("max_buffer_size"),
        get("max_storage_buffers_per_shader_stage"),
        get("max_compute_invocations_per_workgroup"),
        bytes("max_compute_workgroup_storage_size"),
        if low == high { low.to_string() } else { format!("{low} to {high}") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> DevicesReport {
        let adapters = enumerate().into_iter().map(|a| a.facts).collect();
        DevicesReport {
            auto: choose("auto").unwrap().reason,
            environment: None,
            engines: ["cpu", "reference"],
            adapters,
        }
    }

    #[test]
    fn the_table_names_every_adapter_and_what_auto_takes() {
        let report = report();
        let text = table(&report);
        for adapter in &report.adapters {
            assert!(text.contains(&adapter.name), "{text}");
        }
        assert!(text.contains(&report.auto) && text.contains("reference"), "{text}");
        let empty = table(&DevicesReport { adapters: Vec::new(), ..report });
        assert!(empty.contains("mesa-vulkan-drivers"), "{empty}");
    }

    #[test]
    fn the_environment_is_told_with_what_it_leads_to() {
        let asked = |device: &str, answer: &str| Some(Asked { device: device.into(), answer: answer.into() });
        let text = table(&DevicesReport { environment: asked("gpu:7", "is refused: x"), ..report() });
        assert!(text.contains("FEDGAN_DEVICE=gpu:7 is refused: x"), "{text}");
    }

    #[test]
    fn a_driver_that_is_not_conformant_is_noted() {
        let mut report = report();
        report.adapters.iter_mut().for_each(|a| (a.conformant, a.duplicate, a.unusable) = (false, false, None));
        let text = table(&report);
        assert_eq!(text.matches("conformance tests").count(), report.adapters.len(), "{text}");
    }

    #[test]
    fn the_json_carries_limits_and_variants() {
        let report = report();
        let value: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(value["adapters"].as_array().unwrap().len(), report.adapters.len());
        for (json, facts) in value["adapters"].as_array().unwrap().iter().zip(&report.adapters) {
            assert_eq!(json["variant"], facts.variant);
            assert_eq!(json["limits"]["max_buffer_size"], facts.limits["max_buffer_size"]);
        }
    }
}
