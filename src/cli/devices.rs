//! `fedgan devices`: what can run kernels here, and what `--device auto` would take.

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
struct Report {
    /// What `--device auto` takes, and why.
    auto: String,
    /// The built-in engines, always there.
    engines: [&'static str; 2],
    /// Every adapter that a driver lists.
    adapters: Vec<AdapterFacts>,
}

/// Prints the adapters with type, backend, driver, features, limits and the shader variants they get.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(json: bool) -> Result<()> {
    let Choice { reason, .. } = choose("auto")?;
    let adapters = enumerate().into_iter().map(|a| a.facts).collect();
    let report = Report { auto: reason, engines: ["cpu", "reference"], adapters };
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

fn table(report: &Report) -> String {
    let mut out = String::new();
    for adapter in &report.adapters {
        describe(&mut out, adapter);
    }
    if report.adapters.is_empty() {
        out.push_str("no GPU adapter: no Vulkan, Metal, DX12 or GL driver was found\n");
        out.push_str("  (a software one: Debian and Ubuntu package mesa-vulkan-drivers)\n\n");
    }
    let _ = writeln!(out, "cpu          built in: f32, GEMM and threads; needs no driver");
    let _ = writeln!(out, "reference    built in: naive f64, the truth that `validate` compares with; slow\n");
    let _ = writeln!(out, "--device auto takes {}", report.auto);
    out
}

/// `write!` to a `String` cannot fail.
fn describe(out: &mut String, facts: &AdapterFacts) {
    let _ = writeln!(out, "{}", facts.name);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<10} {value}");
    };
    line("type", format!("{:?} over {:?}", facts.kind, facts.backend));
    line("driver", facts.driver.clone());
    if !facts.pci.is_empty() {
        line("PCI", facts.pci.clone());
    }
    if facts.duplicate {
        line("use", "never chosen: the same device is listed under a preferred backend".into());
    } else if let Some(why) = &facts.unusable {
        line("use", format!("cannot run the kernels: {why}"));
    } else {
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
        "direct" => "direct: register tiles straight from storage, for software adapters",
        _ => "tiled: convolutions through workgroup memory, for real GPUs",
    }
}

fn limits(facts: &AdapterFacts) -> String {
    let get = |name: &str| facts.limits.get(name).copied().unwrap_or(0);
    let mib = |name: &str| format!("{} MiB", get(name) >> 20);
    let [low, high] = facts.subgroup;
    format!(
        "binding {}, buffer {}, {} storage buffers, workgroup {} threads and {} KiB, subgroup {}",
        mib("max_storage_buffer_binding_size"),
        mib("max_buffer_size"),
        get("max_storage_buffers_per_shader_stage"),
        get("max_compute_invocations_per_workgroup"),
        get("max_compute_workgroup_storage_size") >> 10,
        if low == high { low.to_string() } else { format!("{low} to {high}") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let adapters = enumerate().into_iter().map(|a| a.facts).collect();
        Report { auto: choose("auto").unwrap().reason, engines: ["cpu", "reference"], adapters }
    }

    #[test]
    fn the_table_names_every_adapter_and_what_auto_takes() {
        let report = report();
        let text = table(&report);
        for adapter in &report.adapters {
            assert!(text.contains(&adapter.name), "{text}");
        }
        assert!(text.contains(&report.auto) && text.contains("reference"), "{text}");
        let empty = table(&Report { adapters: Vec::new(), ..report });
        assert!(empty.contains("mesa-vulkan-drivers"), "{empty}");
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
