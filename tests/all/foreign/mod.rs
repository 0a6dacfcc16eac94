//! Kernels that the catalogue does not have: the examples, planted faults, kernel files with mistakes, the verbs.

mod faults;
mod mistakes;
mod verbs;
mod verdicts;

use fedgan::foreign::expr::Names;
use fedgan::foreign::manifest::{Case, Manifest, Only};
use fedgan::foreign::{Checks, Workbench, case::Problem, export};
use fedgan::gpu::{Adapter, Choice, DeviceTarget, choose};
use fedgan::kernels::shader::Source;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CHECKS: Checks = Checks { seed: 1, unclamped: false, brief: false };

fn adapter() -> Adapter {
    match choose("gpu") {
        Ok(Choice { target: DeviceTarget::Gpu(adapter), .. }) => *adapter,
        Ok(Choice { reason, .. }) => panic!("tests need a Vulkan adapter: {reason}"),
        Err(why) => panic!("tests need a Vulkan adapter: run scripts/test --install-driver: {why}"),
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kernels")
}

fn open(manifest: Manifest) -> fedgan::Result<Workbench> {
    Workbench::open(manifest, &adapter(), Duration::from_secs(20))
}

/// Checks build `at` in every case of `validate`; all failures.
fn failures(bench: &mut Workbench, at: usize, checks: Checks) -> fedgan::Result<Vec<String>> {
    let cases: Vec<Case> = bench.manifest.select(Only::Validate, &[])?.into_iter().cloned().collect();
    let mut all = Vec::new();
    for case in cases {
        let report = bench.check(at, &case, &Names::new(), checks)?;
        assert!(report.passed() || !report.outputs.is_empty());
        all.extend(report.failures.into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    Ok(all)
}

/// A kernel file and its shader in a folder of their own.
fn kernel(wgsl: &str, manifest: &str) -> fedgan::Result<(tempfile::TempDir, Workbench)> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k.wgsl"), wgsl).unwrap();
    std::fs::write(dir.path().join("k.kernel.toml"), manifest).unwrap();
    let manifest = Manifest::read(&dir.path().join("k.kernel.toml"))?;
    Ok((dir, open(manifest)?))
}

#[test]
fn the_examples_pass_every_check() {
    let mut seen = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let mut bench = open(Manifest::read(&path).unwrap()).unwrap();
        for at in 0..bench.loaded.len() {
            // Without run-time checks as well: these shaders are known.
            let failed = failures(&mut bench, at, Checks { unclamped: true, ..CHECKS }).unwrap();
            assert!(failed.is_empty(), "{}: {failed:?}", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn the_cases_of_the_matrix_product_notice_its_mutants() {
    let mut bench = open(Manifest::read(&examples().join("matmul.kernel.toml")).unwrap()).unwrap();
    let report = bench.mutants(2, 1, &[], |_, _| {}).unwrap();
    assert!(report.noticed > 15 && report.listed > 0, "{report:?}");
    assert!(report.passed(), "{:?} {:?}", report.survivors, report.stale);
    // Without the odd shapes nobody sees what lies behind an edge.
    let text = std::fs::read_to_string(examples().join("matmul.kernel.toml")).unwrap();
    let at = text.find("[[cases]]\nname = \"odd\"").unwrap();
    let end = text.find("[[cases]]\nname = \"bench\"").unwrap();
    let fewer = format!("{}{}", &text[..at], &text[end..]);
    let mut bench = open(Manifest::parse(&examples().join("matmul.kernel.toml"), &fewer).unwrap()).unwrap();
    assert!(bench.mutants(2, 1, &[], |_, _| {}).unwrap().survivors.len() > report.survivors.len() + 2);
}

/// Types, layouts and truths that the examples do not have.
#[test]
fn other_kinds_of_kernels_are_checked() {
    let head = "@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3<u32>) {";
    // Integers with atomics, a struct with an array behind it, two files, two bind groups.
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("types.wgsl", "struct Head { bins: u32, scale: vec2<f32>, list: array<u32> }");
    write(
        "count.wgsl",
        &format!(
            "@group(0) @binding(0) var<storage, read> input: Head;
             @group(1) @binding(4) var<storage, read_write> bins: array<atomic<u32>>;
             {head} if (id.x < arrayLength(&input.list)) {{ atomicAdd(&bins[input.list[id.x] % input.bins], u32(input.scale.y)); }} }}"
        ),
    );
    write(
        "slow.wgsl",
        &format!(
            "@group(0) @binding(0) var<storage, read> input: Head;
             @group(0) @binding(1) var<storage, read_write> bins: array<u32>;
             {head} if (id.x == 0u) {{ for (var i = 0u; i < arrayLength(&input.list); i++) {{ bins[input.list[i] % input.bins] += 3u; }} }} }}"
        ),
    );
    write(
        "k.kernel.toml",
        "shader = [\"types.wgsl\", \"count.wgsl\"]\nthreads = \"n\"\nsizes = { n = 100, bins = 7 }
         truth = { shader = [\"types.wgsl\", \"slow.wgsl\"], workgroups = 1 }
         bindings.input = { shape = \"n\", fill = { kind = \"integers\", from = 0, to = 1000 } }
         bindings.bins = { shape = \"bins\", fill = 0 }\n",
    );
    // `input` has a head, which `values` cannot fill beside an array: the fill covers both.
    let manifest = Manifest::read(&dir.path().join("k.kernel.toml")).unwrap();
    let mut bench = open(manifest).unwrap();
    let case = bench.manifest.select(Only::Validate, &[]).unwrap()[0].clone();
    let problem = Problem::new(&bench.manifest, &bench.loaded[0], &case, &Names::new()).unwrap();
    assert_eq!((problem.bytes(0), problem.leaves(0).len()), (16 + 400, 103));
    assert_eq!(failures(&mut bench, 0, CHECKS).unwrap().len(), 1, "scale and bins are random as well");

    // 16-bit floats, a uniform that is not a struct, vectors in one and scalars in the other.
    let half = format!(
        "enable f16;
         @group(0) @binding(0) var<uniform> factor: f32;
         @group(0) @binding(1) var<storage, read> x: array<vec2<f16>>;
         @group(0) @binding(2) var<storage, read_write> y: array<vec2<f16>>;
         {head} if (id.x < arrayLength(&y)) {{ y[id.x] = x[id.x] * f16(factor); }} }}"
    );
    let toml = "shader = \"k.wgsl\"\nthreads = 50\nvalues.factor = 2
        truth = { file = \"truth.safetensors\" }
        bindings.x = { shape = [50, 2], fill = { kind = \"range\", start = -3, step = 0.25 } }
        bindings.y = { shape = [50, 2], tolerance = \"exact\" }\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k.wgsl"), half).unwrap();
    std::fs::write(dir.path().join("k.kernel.toml"), toml).unwrap();
    let truth: Vec<u8> = (0..100).flat_map(|i| (2.0 * (-3.0 + 0.25 * f64::from(i))).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![50, 2], &truth).unwrap();
    safetensors::serialize_to_file([("y", view)], None, &dir.path().join("truth.safetensors")).unwrap();
    let mut bench = open(Manifest::read(&dir.path().join("k.kernel.toml")).unwrap()).unwrap();
    assert_eq!(failures(&mut bench, 0, CHECKS).unwrap(), [""; 0]);
    let wrong = bench.loaded[0].wgsl.text().replace("f16(factor)", "f16(factor * 1.001)");
    bench.replace(0, &[Source::new("k.wgsl", wrong)]).unwrap();
    assert!(failures(&mut bench, 0, CHECKS).unwrap()[0].contains("y["), "an element is named");

    // A float sum by atomics on bits is not repeatable, and a race is seen unless the file says so.
    let racing = format!(
        "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
         {head} y[id.x % 2u] = id.x; }}"
    );
    let toml = "shader = \"k.wgsl\"\nthreads = 64\ntruth = { shader = \"k.wgsl\" }\nbindings.y = { shape = 2 }\n";
    let (_dir, mut bench) = kernel(&racing, toml).unwrap();
    // In-order software adapters always give the same result: it is at least not refused.
    failures(&mut bench, 0, CHECKS).unwrap();
}

/// Every kernel of the catalogue runs as a foreign one, with its reference as the truth.
#[test]
fn exported_kernels_are_right() {
    let mut wrong = Vec::new();
    for row in fedgan::kernels::CATALOGUE {
        let exported = export::export(*row).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(format!("{}.wgsl", row.name())), &exported.wgsl).unwrap();
        let path = dir.path().join(format!("{}.kernel.toml", row.name()));
        std::fs::write(&path, &exported.manifest).unwrap();
        let check = || -> fedgan::Result<Vec<String>> {
            let mut bench = open(Manifest::read(&path)?)?;
            let cases: Vec<Case> = bench.manifest.cases.clone();
            // All cases are resolved, the first one runs.
            for case in &cases {
                Problem::new(&bench.manifest, &bench.loaded[0], case, &Names::new())?;
            }
            Ok(bench.check(0, &cases[0], &Names::new(), Checks { brief: true, ..CHECKS })?.failures)
        };
        match check() {
            Ok(failures) => wrong.extend(failures.into_iter().map(|what| format!("{}: {what}", row.name()))),
            Err(error) => wrong.push(format!("{}: {error}", row.name())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
