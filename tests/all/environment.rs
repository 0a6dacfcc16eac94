//! The binary in poor environments: pipes closed by their readers, no home, no locale, places that cannot be written.

use std::path::Path;
use std::process::{Command, Output, Stdio};

const TINY: &[&str] = &[
    "device=\"cpu\"",
    "rounds=1",
    "model={ image_size = 16, width = 2, latent = 4 }",
    "train={ batch = 4, local_steps = 1 }",
    "evaluation={ samples = 4, grid = 2, metrics = [\"leakage\"] }",
    "data={ kind = \"dermoscopy\", n = 40 }",
];

/// The binary in `dir` with `LC_ALL=C` as its only environment variable.
fn fedgan(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
    command.args(args).current_dir(dir).env_clear().env("LC_ALL", "C").stdin(Stdio::null());
    command
}

fn run(dir: &Path, more: &[&str]) -> Command {
    let mut args = vec!["run"];
    TINY.iter().for_each(|set| args.extend(["--set", set]));
    args.extend(more);
    fedgan(dir, &args)
}

/// Exit code and standard error, after a check that nothing panicked.
fn told(output: Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code(), text)
}

#[test]
fn closed_pipes_are_not_errors() {
    let dir = tempfile::tempdir().unwrap();
    for args in
        [&["kernels", "--markdown"][..], &["keys"], &["devices"], &["completions", "zsh"], &["man"], &["--help"]]
    {
        let mut child = fedgan(dir.path(), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(told(child.wait_with_output().unwrap()), (Some(0), String::new()), "{args:?}");
    }
    // Progress and remarks go to standard error: a run continues when nobody reads them.
    let mut child = run(dir.path(), &["--out", "a"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(dir.path().join("a/summary.json").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (code, text) = told(fedgan(dir.path(), &["keys"]).stdout(full()).output().unwrap());
    assert!(code == Some(1) && text.contains("standard output"), "{text}");
    assert_eq!(fedgan(dir.path(), &["keys", "--nonsense"]).stderr(full()).output().unwrap().status.code(), Some(2));
}

#[test]
fn neither_home_nor_locale_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = told(run(dir.path(), &[]).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("warning"), "{text}");
    assert!(dir.path().join("runs/default-001/summary.json").is_file());
    let (code, text) = told(fedgan(dir.path(), &["report", "runs/default-001"]).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(dir.path().join("report.html").is_file());
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    // Root may write where permissions forbid it, but nobody can create anything below a file.
    std::fs::write(dir.path().join("runs"), "").unwrap();
    let (code, text) = told(run(dir.path(), &[]).output().unwrap());
    assert!(code == Some(2) && text.contains("error: runs: cannot create this directory"), "{text}");
    let (code, text) = told(run(dir.path(), &["--out", "runs/a"]).output().unwrap());
    assert!(code == Some(2) && text.contains("runs: cannot create this directory"), "{text}");
    std::fs::write(dir.path().join("s.toml"), "name = 's'\nseeds = [1]\n").unwrap();
    let (code, text) = told(fedgan(dir.path(), &["sweep", "s.toml", "--out", "runs/s"]).output().unwrap());
    assert!(code != Some(0) && text.contains("runs"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn names_outside_utf8_are_accepted() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.toml");
    let mut command = fedgan(dir.path(), &["run"]);
    let (code, text) = told(command.arg(name).output().unwrap());
    assert!(code == Some(2) && text.contains("caf\u{fffd}.toml"), "{text}");
}

/// The default directory of a demo has the name of the sweep that it runs.
#[test]
fn folders_do_not_hide_what_is_built_in() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["demo", "attacked"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (code, text) = told(fedgan(dir.path(), &["sweep", "demo", "--dry-run", "--device", "cpu"]).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = told(fedgan(dir.path(), &["demo", "--device", "cpu", "--set", "rounds=3"]).output().unwrap());
    assert!(code == Some(2) && text.starts_with("error: the runs of the demo: defended: detection.warmup"), "{text}");
    // A file does.
    std::fs::write(dir.path().join("ten-cells"), "name = 3").unwrap();
    let (code, text) = told(fedgan(dir.path(), &["sweep", "ten-cells", "--dry-run"]).output().unwrap());
    assert!(code == Some(2) && text.starts_with("error: ten-cells: "), "{text}");
}
