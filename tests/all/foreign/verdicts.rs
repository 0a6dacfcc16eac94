//! Wrong kernels that must not pass, right ones that must not fail.

use super::{CHECKS, failures, kernel};
use fedgan::foreign::Checks;

const BIND: &str = "@group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;";
const MAIN: &str = "@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>,
    @builtin(local_invocation_index) l: u32) {";

/// What is wrong with kernel `wgsl` beside truth `truth`, with `more` lines in the kernel file.
fn verdict(wgsl: &str, truth: &str, more: &str, checks: Checks) -> fedgan::Result<Vec<String>> {
    let toml = format!(
        "shader = \"k.wgsl\"\nthreads = 16\ntruth = {{ shader = \"t.wgsl\" }}\n{more}\n[bindings.x]\nshape = 16\n"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k.wgsl"), wgsl).unwrap();
    std::fs::write(dir.path().join("t.wgsl"), truth).unwrap();
    std::fs::write(dir.path().join("k.kernel.toml"), toml).unwrap();
    let manifest = fedgan::foreign::Manifest::read(&dir.path().join("k.kernel.toml"))?;
    failures(&mut super::open(manifest)?, 0, checks)
}

fn body(statement: &str) -> String {
    format!("{BIND}\n{MAIN} {statement} }}")
}

const SUM: &str = "bindings.y = { shape = 16, tolerance = { sum = 4 } }";

#[test]
fn an_output_that_is_not_written_fails() {
    let both = |second: &str| {
        let z = "@group(0) @binding(2) var<storage, read_write> z: array<f32>;";
        format!("{BIND}\n{z}\n{MAIN} y[id.x] = x[id.x]; {second} }}")
    };
    let more = "tolerance = { rel = 1e-6 }\nbindings.y = { shape = 16 }\nbindings.z = { shape = 16 }";
    let whole = both("z[id.x] = 2.0 * x[id.x];");
    assert_eq!(verdict(&whole, &whole, more, CHECKS).unwrap(), [""; 0]);
    for wrong in [both(""), both("let w = z[id.x];"), both("if (id.x > 0u) { z[id.x] = 2.0 * x[id.x]; }")] {
        let found = verdict(&wrong, &whole, more, CHECKS).unwrap();
        assert!(found.iter().any(|what| what.contains("does not write `z`") || what.contains("z[0]")), "{found:?}");
    }
}

#[test]
fn sums_are_bounded_by_magnitudes() {
    let sum = body("y[id.x] = x[id.x] + x[(id.x + 1u) % 16u] + x[(id.x + 2u) % 16u];");
    assert_eq!(verdict(&sum, &sum, SUM, CHECKS).unwrap(), [""; 0]);
    // The sign of every term is the same, so the bound holds.
    let negative = body("y[id.x] = -x[id.x];");
    assert_eq!(verdict(&negative, &negative, SUM, CHECKS).unwrap(), [""; 0]);
    // A truth that subtracts has no magnitudes: said, instead of a wrong verdict.
    let difference = body("y[id.x] = x[id.x] - x[(id.x + 1u) % 16u];");
    let what = verdict(&difference, &difference, SUM, CHECKS).unwrap_err().to_string();
    assert!(what.contains("`bindings.y.tolerance`: `sum` needs a truth that only adds"), "{what}");
}

#[test]
fn whole_numbers_replace_only_what_they_can() {
    // Inputs from 0 to 1 index 16 counters.
    let count = format!(
        "@group(0) @binding(0) var<storage, read> x: array<f32>;
         @group(0) @binding(1) var<storage, read_write> y: array<atomic<u32>>;
         {MAIN} atomicAdd(&y[u32(x[id.x] * 16.0)], 1u); }}"
    );
    let more = "bindings.y = { shape = 16, fill = 0 }\ncases = [{ fills = { x = \"uniform\" } }]";
    assert_eq!(verdict(&count, &count, more, CHECKS).unwrap(), [""; 0]);
    // Factors that are not whole, in the shader and in a fill.
    let (early, late) = (body("y[id.x] = 0.3 * x[id.x] + 0.3 * x[0];"), body("y[id.x] = 0.3 * (x[id.x] + x[0]);"));
    assert_eq!(verdict(&early, &late, SUM, CHECKS).unwrap(), [""; 0]);
    let more = format!("{SUM}\ncases = [{{ fills = {{ x = [0.1, 0.7, 0.3] }} }}]");
    assert_eq!(verdict(&early, &late, &more, CHECKS).unwrap(), [""; 0]);
}

#[test]
fn integers_stay_exact_under_a_tolerance_of_the_file() {
    let integers = |by: u32| {
        format!("@group(0) @binding(1) var<storage, read_write> y: array<u32>;\n{MAIN} y[id.x] = {by}u + id.x; }}")
    };
    let more = "tolerance = { rel = 1e-5 }\nbindings.y = { shape = 16 }";
    let with_x = |text: String| {
        text.replace("{ y", "{ let unused = x[0]; y").replacen(
            '@',
            "@group(0) @binding(0) var<storage, read> x: array<f32>;\n@",
            1,
        )
    };
    let (right, wrong) = (with_x(integers(200_000)), with_x(integers(200_001)));
    assert_eq!(verdict(&right, &right, more, CHECKS).unwrap(), [""; 0]);
    assert!(verdict(&wrong, &right, more, CHECKS).unwrap()[0].contains("y[0] = 200001, expected 200000"));
}

#[test]
fn workgroup_memory_is_filled_whatever_its_names() {
    for name in ["bits", "lane", "i0", "tile"] {
        let text = format!(
            "var<workgroup> {name}: array<f32, 8>;\n{BIND}\n{MAIN} if (l > 0u) {{ {name}[l] = x[id.x]; }} workgroupBarrier();
             y[id.x] = x[id.x] + {name}[0]; }}"
        );
        let truth = body("y[id.x] = x[id.x];");
        let found = verdict(&text, &truth, SUM, CHECKS).unwrap();
        assert!(found.iter().any(|what| what.contains("workgroup memory")), "{name}: {found:?}");
    }
}

#[test]
fn limits_and_numbers_of_constants_are_said() {
    let plain = body("y[id.x] = x[id.x];");
    for group in ["9", "4294967295"] {
        let text = plain.replace("@group(0) @binding(1)", &format!("@group({group}) @binding(1)"));
        let error = verdict(&text, &plain, SUM, CHECKS).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains(&format!("`y` is in bind group {group}")),
            "{error}"
        );
    }
    let numbered = format!("@id(7) override T: u32 = 1u;\n{}", body("y[id.x] = x[id.x] * f32(T);"));
    assert_eq!(verdict(&numbered, &plain, SUM, CHECKS).unwrap(), [""; 0]);
    let found = verdict(&numbered, &plain, &format!("constants.T = 2\n{SUM}"), CHECKS).unwrap();
    assert!(found[0].contains("numbers are wrong"), "{found:?}");
    let plain = plain.replace("array<f32>", "array<u32>");
    let toml = "shader = \"k.wgsl\"\nthreads = 16\ntruth = { kernel = \"copy\", params = { clients = 1, n = 16, x_stride = 64, y_stride = 64 } }
        bindings.x = { shape = 16, fill = \"index\" }\nbindings.y.shape = 16\n";
    let reals = plain.replace("array<u32>", "array<f32>");
    let (_dir, mut reals) = kernel(&reals, toml).unwrap();
    let error = failures(&mut reals, 0, CHECKS).unwrap_err().to_string();
    assert!(error.contains("`copy` has numbers of type u32 in `x`, `x` has f32"), "{error}");
    let (_dir, mut right) = kernel(&plain, toml).unwrap();
    assert_eq!(failures(&mut right, 0, CHECKS).unwrap(), [""; 0]);
    let extra = format!(
        "@group(0) @binding(2) var<storage, read_write> z: array<f32, 4>;\n{}",
        plain.replace("{ y", "{ z[0] = 1.0; y")
    );
    let (_dir, mut extra) = kernel(&extra, &format!("{toml}bindings.z = {{ tolerance = \"exact\" }}\n")).unwrap();
    let error = failures(&mut extra, 0, CHECKS).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("does not give `z`"), "{error}");
    let (_dir, mut summed) = kernel(&plain, &toml.replace("bindings.y.shape = 16", SUM)).unwrap();
    let error = failures(&mut summed, 0, CHECKS).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("has bounds of its own"), "{error}");
}
