//! The verb as a process: exit codes, tables, reports, replaced shaders.

use super::draft::{Draft, folder};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::shader;
use std::process::Command;

/// Exit code, standard output, standard error.
fn fedgan(args: &[&str]) -> (i32, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_fedgan")).arg("validate").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

#[test]
fn kernels_and_repros() {
    let (code, out, err) = fedgan(&["--device", "cpu", "fill", "split_sum"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("worst element") && out.contains("split_sum") && out.contains("all passed"), "{out}");
    let (code, out, _) = fedgan(&["--device", "cpu", "fill:clients=2,n=5,y_stride=128,value=-2.5"]);
    assert!(code == 0 && out.contains("1 case, 10 elements"), "{out}");
    for (args, needle) in [
        (vec!["--device", "cpu", "convolve"], "there are: conv2d"),
        (vec!["--device", "cpu", "fill:n=5"], "missing clients, y_stride, value"),
        (vec!["--device", "no such adapter", "fill"], "no such adapter"),
        (vec!["--device", "cpu", "--golden", "nowhere"], "nowhere"),
        (vec!["--device", "cpu", "--shader", "nowhere/fill.wgsl"], "cannot be read"),
        (vec!["--wrong"], "--wrong"),
    ] {
        let (code, out, err) = fedgan(&args);
        assert_eq!(code, 2, "{args:?}: {out}{err}");
        assert!(err.contains(needle), "{args:?}: {err}");
    }
}

#[test]
fn random_problems() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.json");
    let report = path.to_str().unwrap();
    let run = |seed: &str| {
        let args = ["--device", "cpu", "--random", "4", "--seed", seed, "split_sum", "fill", "--json", report];
        let (code, out, err) = fedgan(&args);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("8 cases") && out.contains(&format!("random: 8 problems of seed {seed}")), "{out}");
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let worst = json["random"]["kernels"].as_array().unwrap().iter().map(|k| k["worst_case"].to_string());
        (json["random"]["seed"].to_string(), json["random"]["shrunk"].to_string(), worst.collect::<Vec<_>>())
    };
    let first = run("7");
    assert!(first.0 == "7" && first.1 == "[]" && first.2.len() == 2, "{first:?}");
    assert_eq!(first, run("7"));
    assert_ne!(first.2, run("8").2);
    for (args, needle) in [
        (vec!["--random", "0"], "0"),
        (vec!["--random", "2", "fill:clients=2,n=5,y_stride=128,value=-2.5"], "is a single problem"),
        (vec!["--random", "2", "convolve"], "there are: conv2d"),
        (vec!["--seed", "2"], "--random"),
    ] {
        let (code, out, err) = fedgan(&[&["--device", "cpu"], &args[..]].concat());
        assert!(code == 2 && err.contains(needle), "{args:?}: {out}{err}");
    }
}

#[test]
fn golden_folders_and_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let report = report.to_str().unwrap();
    let golden = folder();
    let (code, out, err) = fedgan(&["--device", "cpu", "--golden", golden.to_str().unwrap(), "--json", report]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("golden: 33 passed, 0 failed, 0 not run") && out.contains("passed   rmsprop"), "{out}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(json["golden"].as_array().unwrap().len(), 33);
    assert_eq!(json["device"]["engine"], "cpu");
    assert_eq!(json["passed"], true);
    let one = golden.join("wmean.safetensors");
    let (code, out, _) = fedgan(&["--device", "cpu", "--golden", one.to_str().unwrap(), "fill", "--json", report]);
    assert!(code == 0 && out.contains("golden: 1 passed") && out.contains("all passed"), "{out}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!((&json["kernels"][0]["kernel"], &json["passed"]), (&"fill".into(), &true.into()));

    // 1 takes precedence over 2, and 2 over 0.
    let mut bad = Draft::read(&one);
    bad.values_mut("out.y")[3] += 0.1;
    let folder = tempfile::tempdir().unwrap();
    bad.write_to(&folder.path().join("bad.safetensors"));
    std::fs::copy(&one, folder.path().join("good.safetensors")).unwrap();
    Draft::read(&one).meta("op", "layer_norm").write_to(&folder.path().join("unknown.safetensors"));
    let (code, out, _) = fedgan(&["--device", "cpu", "--golden", folder.path().to_str().unwrap()]);
    assert!(code == 1 && out.contains("golden: 1 passed, 1 failed, 1 not run"), "{out}");
    assert!(out.contains("worst [3]"), "{out}");
    let (code, _, err) = fedgan(&["--device", "cpu", "fill", "--json", "/nowhere/at/all.json"]);
    assert!(code == 2 && err.contains("/nowhere/at: no such directory (--json)"), "{err}");
}

/// An edited shader replaces the kernel's without a rebuild: the same text passes, a wrong one fails, a name that no kernel has is
/// rejected.
#[test]
fn edited_shaders() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    };
    let fill = shader::source("util/fill.wgsl").unwrap();
    let same = write("fill.wgsl", fill);
    let (code, _, err) = fedgan(&["--device", "cpu", "--shader", &same]);
    assert!(code == 2 && err.contains("needs a GPU device"), "{err}");
    let other = write("other.wgsl", fill);
    let (code, _, err) = fedgan(&["--device", "gpu", "--shader", &other]);
    assert!(code == 2 && err.contains("`other`") && err.contains("conv2d_direct"), "{err}");
    if let Err(why) = GpuEngine::open("gpu", GpuOptions::default()) {
        eprintln!("skipped: {why}");
        return;
    }
    let (code, out, err) = fedgan(&["--shader", &same]);
    assert!(code == 0 && out.contains("3 cases"), "{out}{err}");
    let wrong = write("fill.wgsl", &fill.replace("= p.value", "= p.value * 1.01"));
    let (code, out, _) = fedgan(&["--shader", &wrong]);
    assert!(code == 1 && out.contains("repeat with: fedgan validate 'fill:clients=1"), "{out}");
    let report = dir.path().join("report.json");
    let (code, out, _) = fedgan(&["--shader", &wrong, "--random", "3", "--json", report.to_str().unwrap()]);
    assert!(code == 1 && out.contains("shrunk in") && out.contains("  drawn: fill:clients="), "{out}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    let small = &json["random"]["shrunk"][0];
    let line = small["result"]["repro"].as_str().unwrap();
    assert!(line.starts_with("fill:clients=1,n=1,y_stride=0,value="), "{small}");
    assert!(small["original"].as_str().unwrap().len() >= line.len() && out.contains(line), "{small}");
    let (code, out, _) = fedgan(&["--shader", &wrong, line]);
    assert!(code == 1 && out.contains("FAIL (1 of 1)"), "{out}");
    let stray = write("fill.wgsl", &fill.replace("i < p.n;", "i <= p.n;"));
    let (code, out, _) = fedgan(&["--shader", &stray]);
    assert!(code == 1 && out.contains("FAIL"), "{out}");
    // A variant's file: only that class runs.
    let direct = shader::source("nn/conv2d_direct.wgsl").unwrap();
    let direct = write("conv2d_direct.wgsl", direct);
    let (code, out, err) = fedgan(&["--shader", &direct]);
    assert!(code == 0 && out.contains("direct") && !out.contains("tiled"), "{out}{err}");
}

/// A shader that does not compile is bad input: one message with the line of the user's file, or of the library file that it includes,
/// and no device is opened.
#[test]
fn broken_shaders_name_the_line() {
    let dir = tempfile::tempdir().unwrap();
    for (file, from, to, at, what) in [
        ("util/fill.wgsl", "= p.value", "= p.valve", "= p.valve", "invalid field accessor `valve`"),
        ("util/fill.wgsl", "= p.value", "= p.n", "= p.n", "y[base + i] = p.n;"),
        // In a loop that is expanded, behind an `//#if`, in the side that only some variants take.
        ("nn/conv2d_direct.wgsl", "] += mac(a, b[j])", "] += mac(a)", "] += mac(a)", "mac(a)"),
        (
            "nn/conv2d_direct.wgsl",
            "{ return a * b; }",
            "{ return a * c; }",
            "{ return a * c; }",
            "no definition in scope",
        ),
        // What the library needs of its includer.
        ("nn/conv2d_narrow.wgsl", "alias T = vec4<f32>;", "", "", "lib/tree.wgsl:"),
        ("nn/conv2d_direct.wgsl", "//#endif", "", "//#if", "//#if without an //#endif"),
        ("util/copy.wgsl", "lib/vector", "lib/vectors", "lib/vectors", "in the shader library; there are "),
        ("nn/conv2d_direct.wgsl", "j < TN; j++", "j < TX; j++", "//#unroll", "`TX` is neither a number nor declared"),
        (
            "util/fill.wgsl",
            "@binding(1)",
            "@binding(7)",
            "",
            "not a shader of `fill`: no variable at @group(0) @binding(1)",
        ),
    ] {
        let text = shader::source(file).unwrap().replacen(from, to, 1);
        let path = dir.path().join(file.rsplit('/').next().unwrap());
        std::fs::write(&path, &text).unwrap();
        let (code, out, err) = fedgan(&["--shader", path.to_str().unwrap()]);
        assert!(code == 2 && out.is_empty() && err.contains(what), "{file} {to}: {out}{err}");
        if !at.is_empty() {
            let line = 1 + text.lines().position(|l| l.contains(at)).unwrap();
            assert!(err.contains(&format!("{}:{line}:", path.display())), "{file} {to}: {err}");
        }
        assert!(err.contains(path.to_str().unwrap()), "{err}");
    }
}

/// A real run, launch by launch: passes on the cpu engine, and fails in the expected launch with a wrong shader.
#[test]
fn whole_runs() {
    let tiny = ["model.image_size=16", "model.width=4", "model.latent=8", "train.batch=8", "train.local_steps=1"];
    let tiny: Vec<&str> = tiny.iter().flat_map(|set| ["--set", set]).collect();
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let report = report.to_str().unwrap();
    let run = |more: &[&str]| fedgan(&[&["--run", "attacked", "--json", report], &tiny[..], more].concat());
    let json = || -> serde_json::Value { serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap() };

    let (code, out, err) = run(&["--device", "cpu", "--rounds", "2"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("conv_transpose2d") && out.contains("launches of 2 rounds are within"), "{out}");
    assert!(err.contains("round 2 of 2: "), "{err}");
    assert_eq!((&json()["run"]["passed_rounds"], &json()["passed"]), (&2.into(), &true.into()));
    let whole = json()["run"]["kernels"][0]["elements"].as_u64().unwrap();
    let (code, out, _) = run(&["--device", "cpu", "--elements", "10"]);
    assert_eq!(code, 0, "{out}");
    let sampled = json()["run"]["kernels"][0]["elements"].as_u64().unwrap();
    assert!(sampled < whole / 10, "{sampled} of {whole}");

    let wrong = dir.path().join("paste_trigger.wgsl");
    let text = shader::source("attack/paste_trigger.wgsl").unwrap();
    let edited = text.replace("if poisoned(", "if !poisoned(");
    assert_ne!(text, edited);
    std::fs::write(&wrong, edited).unwrap();
    let (code, out, err) = run(&["--device", "gpu", "--shader", wrong.to_str().unwrap()]);
    assert_eq!(code, 1, "{out}{err}");
    let parts =
        ["run `attacked` FAILED", "round 1: launch ", "kernel `paste_trigger`", "fedgan validate 'paste_trigger:"];
    assert!(parts.iter().all(|part| out.contains(part)), "{out}");
    assert!(json()["run"]["failure"].as_str().unwrap().contains("paste_trigger"));

    for (args, needle) in [
        (vec!["--run", "nowhere.toml"], "nowhere.toml"),
        (vec!["--run", "default", "--rounds", "0"], "0"),
        (vec!["--rounds", "3"], "--run"),
        (vec!["--set", "rounds=1"], "--run"),
        (vec!["--run", "default", "conv2d"], "cannot be used with"),
    ] {
        let (code, _, err) = fedgan(&args);
        assert!(code == 2 && err.contains(needle), "{args:?}: {err}");
    }
}

/// Reports for people and for programs, and a comparison of two.
#[test]
fn reports() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (a, b, page) = (path("a.json"), path("b.json"), path("a.md"));
    let args = [
        "--device",
        "gpu",
        "fill",
        "conv2d:clients=1,n=2,h=4,w=4,ci=1,oh=4,ow=4,co=1,k=1,stride=1,pad=0,large_stride=64,weight_stride=64,small_stride=64,splits=1,accumulate=0",
    ];
    let (code, out, err) = fedgan(&[&args[..], &["--json", &a, "--markdown", &page]].concat());
    assert!(code == 0 && out.contains("health"), "{out}{err}");
    let text = std::fs::read_to_string(&page).unwrap();
    for part in
        ["# fedgan validate: ", ": passed", "| driver |", "| max_buffer_size |", "| fill | - | 3 |", "| conv2d |"]
    {
        assert!(text.contains(part), "{part} not in\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&a).unwrap()).unwrap();
    assert!(json["adapter"]["limits"]["max_buffer_size"].as_u64().unwrap() > 0);
    assert!(json["kernels"][0]["health"].is_null(), "a fill must be exact");
    assert!(json["kernels"][1]["health"].as_f64().unwrap() > 0.0);

    let (code, out, err) = fedgan(&["--compare", &a, &a]);
    assert!(code == 0 && out.contains("both passed") && out.contains("pass / pass"), "{out}{err}");
    let wrong = path("fill.wgsl");
    std::fs::write(&wrong, shader::source("util/fill.wgsl").unwrap().replace("= p.value", "= p.value * 1.01")).unwrap();
    assert_eq!(fedgan(&["--shader", &wrong, "--json", &b]).0, 1);
    let (code, out, _) = fedgan(&["--compare", &a, &b]);
    assert!(code == 1 && out.contains("pass / FAIL") && out.contains("not both passed"), "{out}");
    let (code, out, _) = fedgan(&["--compare", &b, &b]);
    assert!(code == 1 && out.contains("FAIL / FAIL"), "{out}");
    std::fs::write(&b, "{}").unwrap();
    for (files, needle) in
        [([&a, &b], "no key `format`"), ([&a, &page], "not JSON"), ([&path("none"), &a], "cannot be read")]
    {
        let (code, _, err) = fedgan(&["--compare", files[0], files[1]]);
        assert!(code == 2 && err.contains(needle), "{err}");
    }
}

/// Mutants, through the verb.
#[test]
fn mutants() {
    let (code, out, err) = fedgan(&["--mutants=1", "fill", "max_abs"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("swap-operands") || out.contains("loop-short"), "{out}");
    assert!(out.contains("0 not: 100.0 % killed"), "{out}");
    let (code, _, err) = fedgan(&["--mutants", "--device", "cpu"]);
    assert!(code == 2 && err.contains("--mutants needs a GPU adapter"), "{err}");
    assert_eq!(fedgan(&["--mutants=0"]).0, 2);
}
