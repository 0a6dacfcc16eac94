//! Every verb that reads files gets every file of the fuzz corpus and must report an error of the file, never a panic
//! or an internal error.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
const TINY: &[&str] = &[
    "--device=cpu",
    "--set=rounds=1",
    "--set=model={ image_size = 16, width = 1, latent = 1 }",
    "--set=train={ batch = 2, local_steps = 1 }",
    "--set=evaluation={ samples = 2, grid = 1 }",
    "--set=federation.clients=1",
];

/// Every file below `folder`, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Runs the binary and checks how it exits.
fn survives(dir: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_fedgan"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{args:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0..=2)), "{args:?} ends with {:?}: {text}", output.status);
    assert!(!text.contains("panicked") && !text.contains("internal"), "{args:?}: {text}");
    let said = !(text.is_empty() && output.stdout.is_empty());
    assert!(output.status.success() || said, "{args:?} fails without a word");
}

/// A folder that contains `file` under `names`.
fn holding(dir: &Path, file: &Path, names: &[&str]) -> PathBuf {
    let folder = tempfile::tempdir_in(dir).unwrap().keep();
    for name in names {
        let to = folder.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    folder
}

/// Every command that reads a file named on the command line.
fn try_everywhere(dir: &Path, file: &Path) {
    let name = file.to_str().unwrap();
    survives(dir, &["run", name, "--device=cpu", "--set=rounds=0"]);
    survives(dir, &["sweep", name, "--dry-run"]);
    survives(dir, &["sample", name, "-n", "2", "--out", "sample.png", "--device=cpu"]);
    survives(dir, &["validate", "--golden", name, "--device=cpu"]);
    let npz = format!("--set=data={{ kind = \"npz\", path = \"{name}\" }}");
    survives(dir, &[&["run", &npz], TINY].concat());
    let trigger = format!("--set=attack={{ malicious = [0], trigger = {{ image = \"{name}\" }} }}");
    survives(dir, &[&["run", &trigger], TINY].concat());
}

/// Every command that reads a file with that name in a directory.
fn try_in_directories(dir: &Path, file: &Path) {
    let ending = file.extension().and_then(|e| e.to_str()).unwrap_or("png");
    let images = holding(dir, file, &[&format!("a/1.{ending}"), "a/2.png", "b/3.jpg"]);
    let images = images.to_str().unwrap();
    let folder = format!("--set=data={{ kind = \"folder\", path = \"{images}\" }}");
    survives(dir, &[&["run", &folder], TINY].concat());
    survives(dir, &[&["run", &folder, "--skip-bad", "--set=federation.partition=client-folders"], TINY].concat());
    survives(dir, &["eval", "--real", images, "--fake", images]);
    let run =
        holding(dir, file, &["plan.toml", "summary.json", "metrics.jsonl", "evaluation.csv", "generator.safetensors"]);
    let checkpoint = holding(dir, file, &["plan.toml", "checkpoints/round-000001.safetensors"]);
    for directory in [run, checkpoint] {
        let directory = directory.to_str().unwrap();
        survives(dir, &["report", directory, "--out", "page.html"]);
        survives(dir, &["eval", directory, "--device=cpu"]);
        survives(dir, &["run", "--resume", directory, "--device=cpu"]);
    }
    let sweep = holding(dir, file, &["sweep.toml", "results.csv", "cells/a-s1/plan.toml", "cells/a-s1/summary.json"]);
    survives(dir, &["report", sweep.to_str().unwrap(), "--out", "page.html"]);
}

#[test]
fn corpus_files_are_errors_of_the_file_in_every_verb() {
    let found = files(Path::new(CORPUS));
    assert!(found.len() > 10, "the corpus is gone: {found:?}");
    let dir = tempfile::tempdir().unwrap();
    for file in &found {
        try_everywhere(dir.path(), file);
        try_in_directories(dir.path(), file);
    }
}

#[test]
fn golden_cases_are_errors_of_the_file_in_place_of_other_files() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["relu_257", "gan_step_16", "trigger"] {
        let file = Path::new(GOLDEN).join(format!("{name}.safetensors"));
        try_everywhere(dir.path(), &file);
        try_in_directories(dir.path(), &file);
    }
}
