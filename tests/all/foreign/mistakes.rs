//! Kernel files with mistakes: one clear error each.

use super::{CHECKS, examples, failures, kernel};
use fedgan::foreign::case::{Loaded, Problem};
use fedgan::foreign::expr::Names;
use fedgan::foreign::{Checks, Manifest};
use fedgan::kernels::shader::Source;
use std::path::Path;

const WGSL: &str = "override TILE = 2u;
struct P { n: u32, scale: f32, v: vec2<f32> }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < p.n) { y[id.x] = x[id.x] * p.scale + f32(TILE) * p.v.x; }
}
";

const TOML: &str = "shader = \"k.wgsl\"
threads = \"n\"
sizes = { n = 10 }
truth = { shader = \"k.wgsl\" }
[values.p]
n = \"n\"
scale = 2
v = [1, 2]
[bindings]
x = { shape = \"n\" }
y = { shape = \"n\", tolerance = { abs = 1e-6 } }
[[cases]]
name = \"one\"
[[cases]]
sizes = { n = [3, 4] }
";

/// Everything that `fedgan validate` does with a kernel file.
fn outcome(wgsl: &str, toml: &str) -> fedgan::Result<Vec<String>> {
    let (_dir, mut bench) = kernel(wgsl, toml)?;
    failures(&mut bench, 0, Checks { brief: true, ..CHECKS })
}

#[test]
fn mistakes_name_file_line_and_key() {
    assert_eq!(outcome(WGSL, TOML).unwrap(), [""; 0]);
    let edits: &[(&str, &str, &[&str])] = &[
        ("shader = \"k.wgsl\"\nthr", "thr", &["k.kernel.toml:1: no `shader`"]),
        ("shader = \"k.wgsl\"\nthr", "shader = 3\nthr", &[":1: `shader`: expected a string, found a whole number"]),
        ("shader = \"k.wgsl\"\nthr", "shader = []\nthr", &[":1: `shader`: an empty list"]),
        ("shader = \"k.wgsl\"\nthr", "shader = \"none.wgsl\"\nthr", &[":1: `shader`: ", "none.wgsl: cannot be read"]),
        (
            "shader = \"k.wgsl\"\nthr",
            "shader = \"k.wgsl\"\nentry = \"other\"\nthr",
            &[":2: `entry`: ", "no compute entry point `other`; there are: main"],
        ),
        ("shader = ", "shadr = ", &[":1: `shadr`: no such key, did you mean `shader`?"]),
        ("threads = \"n\"\n", "", &["no grid: expected `workgroups"]),
        ("threads = \"n\"\n", "threads = \"n\"\nworkgroups = 1\n", &[":2: `threads`: `workgroups` is given as well"]),
        ("threads = \"n\"", "threads = []", &[":2: `threads`: 0 numbers, expected 1 to 3"]),
        ("threads = \"n\"", "threads = [1, 1, 1, 1]", &["4 numbers, expected 1 to 3"]),
        (
            "threads = \"n\"",
            "threads = \"m\"",
            &[":2: `threads`: `m`: `m` is neither a size nor a constant; there are: TILE, n"],
        ),
        ("threads = \"n\"", "threads = \"n / 4\"", &["`n / 4` is 2.5, expected a whole number"]),
        ("threads = \"n\"", "threads = \"0 * n\"", &["is 0, expected a whole number from 1"]),
        ("threads = \"n\"", "threads = \"n +\"", &[":2: `threads`: `n +`: expected a number"]),
        ("threads = \"n\"", "threads = \"ceil(n\"", &["expected `)`"]),
        ("threads = \"n\"", "workgroups = 70000", &["a grid of 70000 x 1 x 1 workgroups", "65535"]),
        ("sizes = { n = 10 }", "sizes = { n = \"ten\" }", &[":3: `sizes.n`: expected a number, found a string"]),
        ("sizes = { n = 10 }", "sizes = { n = 10, max = 3 }", &[":3: `sizes.max`: not a name"]),
        ("sizes = { n = 10 }", "sizes = [10]", &[":3: `sizes`: expected a table, found a list"]),
        ("sizes = { n = 10 }", "sizes = { n = inf }", &[":3: `sizes.n`: inf is not finite"]),
        ("truth = { shader = \"k.wgsl\" }\n", "", &["no `truth`: expected"]),
        (
            "truth = { shader = \"k.wgsl\" }",
            "truth = { shader = \"k.wgsl\", file = \"x\" }",
            &[":4: `truth`: expected one of"],
        ),
        ("truth = { shader = \"k.wgsl\" }", "truth = { file = \"t.safetensors\" }", &["t.safetensors: cannot read"]),
        (
            "truth = { shader = \"k.wgsl\" }",
            "truth = { kernel = \"nothing\" }",
            &[":4: `truth.kernel`: no kernel `nothing`"],
        ),
        ("truth = { shader = \"k.wgsl\" }", "truth = { kernel = \"fill\" }", &[":4: `truth", "missing clients"]),
        (
            "truth = { shader = \"k.wgsl\" }",
            "truth = { shader = \"k.wgsl\", values = { p = { n = 1 } } }",
            &["`truth.values.p`: field `scale` has no value"],
        ),
        ("scale = 2\n", "", &[":5: `values.p`: field `scale` has no value"]),
        ("scale = 2", "scal = 2", &["`values.p`: the shader has no field `scal`; there are: n, scale, v"]),
        ("scale = 2", "scale = \"1 / 0\"", &["division by 0"]),
        ("scale = 2", "scale = [1, 2]", &["`scale` has 1 numbers, 2 are given"]),
        ("n = \"n\"\n", "n = 1.5\n", &["field `n`: 1.5 is not a u32"]),
        ("n = \"n\"\n", "n = -1\n", &["field `n`: -1 is not a u32"]),
        ("v = [1, 2]", "v = 1", &["`v` has 2 numbers: expected a list"]),
        ("v = [1, 2]", "v = [1, 2, 3]", &["`v` has 2 numbers, 3 are given"]),
        (
            "[values.p]",
            "[values.q]",
            &["the shader's variable `p` (group 0, binding 0) is in neither `values` nor `bindings`"],
        ),
        ("x = { shape = \"n\" }", "", &[":9: `bindings", "the shader's array `x` has no length"]),
        ("x = { shape = \"n\" }", "x = { shape = \"n\", size = 3 }", &[":10: `bindings.x.size`: no such key"]),
        ("x = { shape = \"n\" }", "x = { shape = \"-n\" }", &["`bindings.x.shape`: `-n` is -10"]),
        ("x = { shape = \"n\" }", "x = { shape = \"n - n\" }", &["`bindings.x.shape`: no element"]),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n * 4e8\" }",
            &["`bindings.x.shape`: ", "at most 4294967296 are allowed"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = \"gauss\" }",
            &["`bindings.x.fill`: `gauss`, expected normal"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { kind = \"normal\", std = -1 } }",
            &["a negative `std`"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { kind = \"uniform\", from = 2, to = 1 } }",
            &["expected `from` below `to`"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { std = 1 } }",
            &["neither `kind`, `file` nor `fields`"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { file = \"x.safetensors\" } }",
            &["x.safetensors: cannot read"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { fields = { a = 1 } } }",
            &["`bindings.x.fill`: its numbers have no fields"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\", fill = { fields = { a = { file = \"x.safetensors\" } } } }",
            &["`bindings.x.fill.fields.a`: a tensor fills a whole variable"],
        ),
        (
            "[values.p]",
            "[values]\nr = 3\n[values.p]",
            &[":6: `values.r`: the entry point uses no variable `r`; there are: p, x, y"],
        ),
        (
            "truth = { shader = \"k.wgsl\" }",
            "truth = { shader = \"k.wgsl\", values = { r = 3 } }",
            &[":4: `truth.values.r`: the entry point uses no variable `r`"],
        ),
        (
            "truth = { shader = \"k.wgsl\" }",
            "truth = { kernel = \"fill\", bindings = { yy = \"y\" } }",
            &[":4: `truth.bindings.yy`: `fill` has no binding `yy`; there are: y"],
        ),
        (
            "x = { shape = \"n\" }",
            "x = { shape = \"n\" }\nz = { shape = 1 }",
            &[":11: `bindings.z`: the entry point uses no variable `z`; there are: p, x, y"],
        ),
        ("x = { shape = \"n\" }", "x = { shape = \"n\" }\np = { shape = 1 }", &["`bindings.p`: also in `values`"]),
        (", tolerance = { abs = 1e-6 }", "", &["`bindings.y.tolerance`: no tolerance for an output of floats"]),
        ("{ abs = 1e-6 }", "{ abs = -1 }", &["`bindings.y.tolerance.abs`: -1, expected at least 0"]),
        ("{ abs = 1e-6 }", "\"close\"", &["`bindings.y.tolerance`: expected \"exact\""]),
        ("{ abs = 1e-6 }", "{ abs = 0 }", &["no difference is allowed"]),
        ("{ abs = 1e-6 }", "{ sum = \"k\" }", &["`k` is neither a size nor a constant"]),
        ("name = \"one\"", "name = \"n=3\"", &["`cases.1`: a second case `n=3`"]),
        ("name = \"one\"", "name = \"a/b\"", &["is not a name for a case"]),
        ("name = \"one\"", "name = \"one\"\nonly = \"never\"", &["`cases.0.only`: `never`, expected"]),
        ("name = \"one\"", "name = \"one\"\nconstants = { TILE = 0.5 }", &["in case `one`"]),
        (
            "sizes = { n = [3, 4] }",
            "sizes = { m = [3, 4] }",
            &["`cases.1.sizes.m`: no such size in [sizes]; there are: n"],
        ),
        ("sizes = { n = [3, 4] }", "sizes = { n = [] }", &["`cases.1.sizes.n`: an empty list"]),
        ("sizes = { n = [3, 4] }", "fills = { z = 1 }", &["`cases.1.fills.z`: no such variable"]),
        (
            "[bindings]",
            "[constants]\nSIZE = 3\n[bindings]",
            &["`constants.SIZE`: ", "declares no `override SIZE`; there are: TILE"],
        ),
        ("[bindings]", "[bindings\n", &["k.kernel.toml:9:", ": not TOML: "]),
        ("[bindings]", "[candidates.k]\nthreads = 1\n[bindings]", &["`candidates.k`: the kernel itself has this name"]),
    ];
    assert!(edits.len() > 40);
    for (from, to, needles) in edits {
        assert!(TOML.contains(from), "{from}");
        let error = match outcome(WGSL, &TOML.replacen(from, to, 1)) {
            Err(error) => error,
            Ok(failures) => panic!("{to:?} was accepted: {failures:?}"),
        };
        let text = error.to_string();
        assert!(needles.iter().all(|needle| text.contains(needle)), "{to:?}: {text}");
        assert!(
            error.exit_code() == 2 && text.contains("k.kernel.toml") || text.contains(".safetensors"),
            "{to:?}: {text}"
        );
        assert!(!text.contains("internal") && !text.contains("wgpu"), "{to:?}: {text}");
    }
    // Mistakes in the shader name its file and line.
    for (from, to, needle) in [
        ("y[id.x] =", "z[id.x] =", "k.wgsl:7:23: no definition in scope for identifier: `z`"),
        ("@compute", "", "k.wgsl:6:"),
        ("array<f32>;\n@compute", "array<bool>;\n@compute", "k.wgsl:7:23"),
        (
            "@workgroup_size(8)",
            "@workgroup_size(2000)",
            "k.wgsl: a workgroup of 2000 x 1 x 1 threads; this device allows",
        ),
    ] {
        let error = outcome(&WGSL.replacen(from, to, 1), TOML).unwrap_err();
        assert!(error.to_string().contains(needle) && error.exit_code() == 2, "{to}: {error}");
    }
}

/// Damaged kernel files give an error or a kernel, never a panic.
#[test]
fn damaged_kernel_files_never_panic() {
    let mut state = 12345u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let texts: Vec<String> = std::fs::read_dir(examples())
        .unwrap()
        .filter_map(|e| std::fs::read_to_string(e.unwrap().path()).ok().filter(|t| t.contains("truth")))
        .chain([TOML.to_string()])
        .collect();
    let pieces = [
        "\"",
        "=",
        "[",
        "]",
        "{",
        "}",
        "-1",
        "0",
        "1e400",
        "n",
        "\n",
        "fill",
        "nan",
        "true",
        "4294967296",
        "é",
        ".",
        "x",
        "(",
        "max(",
    ];
    let wgsl = [Source::new("k.wgsl", WGSL)];
    let mut accepted = 0;
    for _ in 0..4000 {
        let mut text = texts[below(texts.len())].clone();
        for _ in 0..=below(3) {
            let places: Vec<usize> = (0..=text.len()).filter(|i| text.is_char_boundary(*i)).collect();
            let (a, b) = (places[below(places.len())], below(12));
            let end = places.iter().copied().find(|p| *p >= a + b).unwrap_or(text.len());
            text.replace_range(a..end, pieces[below(pieces.len())]);
        }
        let Ok(manifest) = Manifest::parse(Path::new("k.kernel.toml"), &text) else { continue };
        accepted += 1;
        let Ok(loaded) = Loaded::of(&manifest, &manifest.builds[0], &wgsl) else { continue };
        for case in &manifest.cases {
            if let Ok(problem) = Problem::new(&manifest, &loaded, case, &Names::new()) {
                assert!(problem.grid.iter().all(|g| *g > 0));
            }
        }
    }
    assert!(accepted > 100, "{accepted}");
}
