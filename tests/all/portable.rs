//! The kernels as portability variants, and tests that each of these checks can fail.

use super::federation::classes;
use fedgan::check::portable::{VariantEngine, VariantSummary, compare, noop, on_adapter, texts};
use fedgan::check::{Repro, suite};
use fedgan::gpu::{Choice, Device, DeviceTarget, GpuEngine, GpuOptions, choose};
use fedgan::kernels::shader::{self, Source};
use fedgan::kernels::{CATALOGUE, Class};
use std::process::Command;

fn all() -> Vec<Repro> {
    CATALOGUE.iter().flat_map(|kernel| Repro::cases(*kernel)).collect()
}

fn print(row: &VariantSummary) {
    println!(
        "{}: {} {}, {} failed{}",
        row.what,
        row.checked,
        row.unit,
        row.failed,
        match &row.not_run {
            Some(why) => format!(", not run: {why}"),
            None => String::new(),
        }
    );
}

fn assert_passed(rows: &[VariantSummary]) {
    rows.iter().for_each(print);
    let failures: Vec<String> =
        rows.iter().filter(|r| !r.passed()).map(|r| format!("{}: {:?}", r.what, r.first)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// This equality also justifies unchecked shaders on hardware: with checks, without, with rolled loops and with
/// WebGPU's default limits, every case gives the same bits.
#[test]
#[ignore = "slow: scripts/test --all"]
fn every_variant_gives_the_same_bits_in_every_case() {
    let adapter = match choose("gpu") {
        Ok(Choice { target: DeviceTarget::Gpu(adapter), .. }) => adapter,
        other => panic!("tests need a Vulkan adapter: run scripts/test --install-driver: {other:?}"),
    };
    let rows = on_adapter(&adapter, &all(), |_| {}).unwrap();
    // Default limits exclude what `lanes` needs.
    let forms = |class: Class| if class == Class::Lanes { 2 } else { 3 };
    assert_eq!(rows.len(), classes().into_iter().map(forms).sum::<usize>());
    let cases = |class| suite::differing(&all(), class).len();
    assert!(cases(Class::Direct) > 20);
    for row in &rows {
        let class = Class::ALL.into_iter().find(|class| row.what.ends_with(&format!("({})", class.name()))).unwrap();
        assert_eq!(row.checked, cases(class), "{row:?}");
    }
    assert_passed(&rows);
}

#[test]
fn every_backend_accepts_every_shader() {
    let texts = texts::of(&all()).unwrap();
    assert!(texts.len() > CATALOGUE.len());
    let mut rows = vec![texts::declarations(&texts)];
    rows.extend(texts::writers(&texts));
    rows.push(texts::spirv_val(&texts));
    rows.push(texts::tint(&texts).unwrap());
    assert_passed(&rows);
}

#[test]
fn wgpu_accepts_every_case_without_a_driver() {
    let repros = all();
    let row = noop(&repros, &GpuOptions::default(), || {}).unwrap();
    assert_eq!(row.checked, Class::ALL.map(|class| suite::differing(&repros, class).len()).iter().sum::<usize>());
    assert_passed(&[row]);
}

/// Engine options with an edited `file`: each first string is replaced by the second.
fn edited(file: &str, edits: &[(&str, &str)]) -> GpuOptions {
    let mut text = shader::source(file).unwrap().to_string();
    for (from, to) in edits {
        assert!(text.contains(from), "the test must edit something");
        text = text.replacen(from, to, 1);
    }
    GpuOptions { sources: [(file.to_string(), Source::new(file, text))].into(), ..Default::default() }
}

#[test]
fn violations_of_layouts_and_limits_are_reported_without_a_driver() {
    for (name, file, edits, said) in [
        ("fill", "util/fill.wgsl", vec![("@binding(1)", "@binding(9)")], "binding"),
        ("fill", "util/fill.wgsl", vec![("@workgroup_size(256)", "@workgroup_size(512)")], "512"),
        // The layout follows the row, which declares x as read-only.
        ("copy", "util/copy.wgsl", vec![("var<storage, read>", "var<storage, read_write>")], "copy"),
    ] {
        let repros = Repro::select(name).unwrap();
        let row = noop(&repros, &edited(file, &edits), || {}).unwrap();
        assert_eq!((row.failed, row.checked), (repros.len(), repros.len()), "{edits:?}: {row:?}");
        let first = row.first.unwrap_or_default();
        assert!(first.contains(said) && first.starts_with(name), "{edits:?}: {first}");
    }
}

fn engine(options: GpuOptions) -> GpuEngine {
    GpuEngine::open("gpu", options).expect("tests need a Vulkan adapter: run scripts/test --install-driver")
}

#[test]
fn a_variant_that_differs_in_one_bit_is_reported() {
    let fill = Repro::select("fill").unwrap();
    let next = "bitcast<f32>(bitcast<u32>(p.value) + 1u);";
    let forms = |options| -> Vec<VariantEngine> { vec![("edited".to_string(), Box::new(engine(options)))] };
    let mut normal = engine(GpuOptions::default());
    let mut same = forms(GpuOptions::default());
    assert!(compare(&mut normal, &mut same, &fill, || {}).unwrap()[0].passed());
    let mut other = forms(edited("util/fill.wgsl", &[("p.value;", next)]));
    let row = compare(&mut normal, &mut other, &fill, || {}).unwrap().remove(0);
    assert_eq!((row.checked, row.failed), (fill.len(), fill.len()));
    let first = row.first.unwrap();
    assert!(first.contains("y[0] is ") && first.contains(", normally "), "{first}");
    // A variant that does not compile fails by name, and an engine that does nothing proves nothing.
    let mut broken = forms(edited("util/fill.wgsl", &[("p.value;", "p.valve;")]));
    let row = compare(&mut normal, &mut broken, &fill, || {}).unwrap().remove(0);
    assert!(row.failed == fill.len() && row.first.unwrap().contains("valve"));
    let mut idle = GpuEngine::new(Device::noop().unwrap(), GpuOptions::default()).unwrap();
    let mut idle_too =
        GpuEngine::new(Device::noop().unwrap(), GpuOptions::default()).map(|e| vec![("idle".into(), Box::new(e) as _)]);
    let row = compare(&mut idle, idle_too.as_mut().unwrap(), &fill, || {}).unwrap().remove(0);
    assert!(!row.passed() && row.first.unwrap().contains("changes nothing"));
}

/// The rest of a round also does not depend on a device's features beyond WebGPU's defaults, or on its run-time checks.
#[test]
#[ignore = "slow: scripts/test --all"]
fn whole_rounds_have_the_same_bits_in_every_variant() {
    use crate::federation::{build_gan, outcome, settings, shared};
    use fedgan::model::{Architecture, Gan};
    let run = |options| {
        let arch = Architecture { image_size: 16, channels: 3, width: 4, latent: 6 };
        let gan = Gan::new(arch, 0.5, 0.999, 1e-8).unwrap();
        let (g, d, reports) = outcome(build_gan(Box::new(engine(options)), gan, settings(), shared(3)), 2);
        (g, d, reports.into_iter().map(|r| format!("{:?}", r.clients)).collect::<Vec<_>>())
    };
    for class in classes() {
        let own = || GpuOptions { class: Some(class), ..GpuOptions::default() };
        let normal = run(own());
        assert!(normal.0.values().any(|(_, values)| values.iter().any(|v| *v != 0.0)));
        for options in [
            GpuOptions { default_limits: true, ..own() },
            GpuOptions { checked: Some(false), ..own() },
            GpuOptions { checked: Some(true), ..own() },
            GpuOptions { unroll: false, ..own() },
        ] {
            if options.default_limits && class == Class::Lanes {
                continue;
            }
            let what = format!("{options:?}");
            assert!(run(options) == normal, "{what}");
        }
    }
}

fn fedgan(args: &[&str], path: Option<&std::path::Path>) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
    command.arg("validate").arg("--portable").args(args);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let out = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn the_verb_reports_every_variant() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let (code, out, err) = fedgan(&["fill", "--json", report.to_str().unwrap()], None);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("default limits, no feature (tiled)") && out.contains(" 0 failed"), "{out}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(json["passed"], true);
    assert!(json["portable"].as_array().unwrap().len() >= 18);
    // Missing tools are reported, and so is a missing adapter.
    let (code, out, _) = fedgan(&["--device", "cpu", "fill"], Some(dir.path()));
    assert_eq!(code, 0, "{out}");
    for part in ["not run: `spirv-val`", "not run: `tint`", "not run: the built-in cpu engine", ", 3 not run"] {
        assert!(out.contains(part), "{part} not in\n{out}");
    }
    for args in [&["--golden", "x"][..], &["convolve"], &["--device", "no such adapter"]] {
        assert_eq!(fedgan(args, None).0, 2, "{args:?}");
    }
}

/// A validator that rejects everything.
#[cfg(unix)]
#[test]
fn a_refused_module_is_exit_code_1() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("spirv-val");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo v0 && exit 0\nread -r _\necho no such module >&2\nexit 1\n";
    std::fs::write(&tool, script).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let (code, out, err) = fedgan(&["--device", "cpu", "fill"], Some(dir.path()));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("spirv-val (v0)") && out.contains("no such module") && out.contains("1 failed"), "{out}");
}
