//! The command line with kernel files.

use super::examples;
use std::path::Path;
use std::process::{Command, Output};

fn fedgan(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fedgan")).args(words).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_verbs_check_time_tune_and_watch() {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let run = |words: &[&str], code: i32, needles: &[&str]| {
        let output = fedgan(dir.path(), words);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
        for needle in needles {
            assert!(text.contains(needle), "{words:?}: no {needle:?} in {text}");
        }
        text
    };
    let small = "matmul.kernel.toml";
    // The large case would only take time.
    let text = std::fs::read_to_string(dir.path().join(small)).unwrap().replace("256", "40");
    std::fs::write(dir.path().join(small), text).unwrap();
    run(&["validate", small, "--json", "out.json"], 0, &["matmul_tiled", "register", "8 cases", "all passed"]);
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("out.json")).unwrap()).unwrap();
    assert_eq!((json["passed"].as_bool(), json["kernels"][0]["cases"].as_array().map(Vec::len)), (Some(true), Some(8)));
    run(&["validate", small, "--case", "odd", "--seed", "7"], 0, &["2 cases"]);
    run(&["validate", small, "--case", "even"], 2, &["no case `even`; there are: square, odd"]);
    run(&["validate", small, "conv2d"], 2, &["`conv2d` is not a kernel file"]);
    run(&["validate", small, "--portable"], 2, &["--portable does not apply"]);
    run(&["validate", small, "--device", "cpu"], 2, &["needs a GPU device"]);
    run(&["validate", "--case", "odd"], 2, &["--case needs a kernel file"]);
    run(
        &["bench", small, "--seconds", "0.01", "--json", "bench.json"],
        0,
        &["register", "x 0.", "2 rows: all correct"],
    );
    // What AMD's compiler makes of it; its driver comes with lavapipe's.
    let compiled = ["bench", small, "--seconds", "0.01", "--isa", "navi21,vega10", "--json", "isa.json"];
    match fedgan::isa::manifest() {
        Ok(_) => {
            run(
                &compiled,
                0,
                &["compiled by RADV (Mesa", "matmul_tiled  navi21", "register      vega10", "all correct"],
            );
            let json = std::fs::read_to_string(dir.path().join("isa.json")).unwrap();
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            let rows = &json["kernels"][0]["rows"];
            for (row, name) in [(0, "matmul_tiled"), (1, "register")] {
                let compiled = rows[row]["compiled"].as_array().unwrap();
                let families: Vec<&str> = compiled.iter().map(|c| c["family"].as_str().unwrap()).collect();
                assert_eq!((rows[row]["kernel"].as_str(), &families[..]), (Some(name), &["navi21", "vega10"][..]));
                assert!(compiled.iter().all(|c| c["shader"] == name && c["vgprs"].as_u64() > Some(0)), "{compiled:?}");
            }
            // Workgroup memory and multiply-adds are those of the kernel.
            assert_eq!((&rows[0]["compiled"][0]["lds"], &rows[1]["compiled"][0]["lds"]), (&512.into(), &0.into()));
            run(
                &["bench", small, "--seconds", "0.01", "--isa", "voodoo2"],
                2,
                &["--isa: family `voodoo2`: ", "knows tonga"],
            );
        }
        Err(_) => {
            run(&compiled, 2, &["--isa: no manifest radeon_icd*.json of RADV", "apt install mesa-vulkan-drivers"]);
        }
    }
    run(&["bench", "adam", "--isa", "navi21"], 2, &["--isa needs a kernel file"]);
    run(&["bench", small, "--workload", "w1"], 2, &["--workload does not apply"]);
    run(&["tune", small, "--seconds", "0.01"], 0, &["TILE=16", "4 builds measured", "matmul.kernel.tuned.json"]);
    run(&["tune", small, "--seconds", "0.01"], 0, &["4 builds measured"]);
    run(&["bench", small, "--watch=1", "--seconds", "0.01"], 0, &["pass in"]);
    // A build that is wrong is neither timed nor kept as good.
    let shader = dir.path().join("matmul_tiled.wgsl");
    let good = std::fs::read_to_string(&shader).unwrap();
    std::fs::write(&shader, good.replace("t < TILE", "t + 1u < TILE")).unwrap();
    run(
        &["validate", small],
        1,
        &[
            "FAIL",
            "numbers are wrong; the worst is c[",
            "repeat with: fedgan validate 'matmul.kernel.toml' --case 'square'",
        ],
    );
    run(&["bench", small, "--seconds", "0.01"], 1, &["WRONG, not timed", "1 WRONG"]);
    run(&["bench", small, "--watch=1", "--seconds", "0.01"], 1, &["FAIL in"]);
    std::fs::write(&shader, good.replace("sum +=", "sum =+")).unwrap();
    run(&["bench", small, "--watch=1", "--seconds", "0.01"], 1, &["FAIL in", "matmul_tiled.wgsl:35:"]);
    run(&["bench", small, "--history"], 0, &["pass", "square: ", "matmul_tiled.wgsl:35:"]);
    std::fs::write(&shader, &good).unwrap();
    std::fs::write(dir.path().join("matmul.kernel.tuned.json"), "mine").unwrap();
    run(&["tune", small], 2, &["matmul.kernel.tuned.json"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("matmul.kernel.tuned.json")).unwrap(), "mine");
    run(&["kernels", "--manifest", "adam"], 0, &["adam.kernel.toml"]);
    run(&["kernels", "--manifest", "adam"], 2, &["adam.wgsl: exists already"]);
    run(&["validate", "adam.kernel.toml"], 0, &["case-1", "all passed"]);
    run(&["validate", "none.kernel.toml"], 2, &["none.kernel.toml: cannot be read"]);
}

/// Work that does not end within the time limit ends the process, with a sentence.
#[test]
fn too_much_work_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let wgsl = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            var n = 0u;
            for (var a = 0u; a < 60000u; a++) { n = n * 3u + y[id.x]; }
            y[id.x] = n;
        }";
    std::fs::write(dir.path().join("k.wgsl"), wgsl).unwrap();
    let toml = "shader = \"k.wgsl\"\nthreads = \"n\"\nsizes.n = 500_000\nbindings.y = { shape = \"n\" }\ntruth = { shader = \"k.wgsl\" }\n";
    std::fs::write(dir.path().join("k.kernel.toml"), toml).unwrap();
    let output = fedgan(dir.path(), &["validate", "k.kernel.toml", "--timeout", "0.5"]);
    let text = said(&output);
    assert!(text.contains("k.wgsl: not done after 0.5 s: an endless loop"), "{text}");
    assert_eq!(output.status.code(), Some(1));
}
