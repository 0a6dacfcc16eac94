//! Runs that are killed, interrupted or opened twice, from the user's point of view.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Kills of the test below.
const KILLS: u32 = 50;

pub(super) fn fedgan(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
    command.args(args).stdout(Stdio::null()).stderr(Stdio::piped());
    #[cfg(unix)]
    hear_hangups(&mut command);
    command
}

/// Tests that were started by `nohup` ignore hangups, and their children would inherit that.
#[cfg(unix)]
fn hear_hangups(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let default = || {
        // SAFETY: `signal` is async-signal-safe, and SIG_DFL installs no handler.
        let before = unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
        if before == libc::SIG_ERR { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure only calls `signal`, which may be called between fork and exec.
    unsafe { command.pre_exec(default) };
}

/// A run of `rounds` rounds, each of which takes a moment.
pub(super) fn run(out: &Path, rounds: u32) -> Command {
    let mut command = fedgan(&["run", "--device", "cpu", "--quiet", "--out"]);
    command.arg(out);
    let rounds = format!("rounds={rounds}");
    for set in [
        "model.image_size=16",
        "model.width=2",
        "model.latent=4",
        "train.batch=4",
        "train.local_steps=1",
        "federation.clients=3",
        "attack.malicious=1",
        "detection.kind=isolation-forest",
        "data={ kind = \"dermoscopy\", n = 40 }",
        "evaluation.samples=4",
        "evaluation.grid=2",
        "evaluation.every=9",
        "evaluation.metrics=[\"sliced-wasserstein\"]",
        "checkpoint.every=1",
        rounds.as_str(),
    ] {
        command.args(["--set", set]);
    }
    command
}

pub(super) fn resume(dir: &Path) -> Command {
    let mut command = fedgan(&["run", "--quiet", "--resume"]);
    command.arg(dir);
    command
}

pub(super) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Number of complete lines in `metrics.jsonl`.
fn rounds_written(dir: &Path) -> u32 {
    let text = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap_or_default();
    text.matches('\n').count() as u32
}

/// The round of the latest checkpoint; 0 before the first.
pub(super) fn latest(dir: &Path) -> u32 {
    let entries = std::fs::read_dir(dir.join("checkpoints")).into_iter().flatten().flatten();
    let name = |e: std::fs::DirEntry| e.file_name().to_string_lossy().into_owned();
    let rounds = entries.filter_map(|e| name(e).strip_prefix("round-")?.strip_suffix(".safetensors")?.parse().ok());
    rounds.max().unwrap_or(0)
}

/// The files of a run that must not depend on how often it was stopped.
pub(super) fn left(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names =
        ["metrics.jsonl", "metrics.csv", "evaluation.csv", "generator.safetensors", "samples.png", "losses.png"];
    let mut paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
    for folder in ["grids", "discriminators"] {
        let entries = std::fs::read_dir(dir.join(folder)).unwrap();
        paths.extend(entries.map(|e| Path::new(folder).join(e.unwrap().file_name())));
    }
    paths.sort();
    paths.into_iter().map(|p| (p.clone(), std::fs::read(dir.join(&p)).unwrap())).collect()
}

/// Compares the files in `dir` with the expected ones.
pub(super) fn same(expected: &[(PathBuf, Vec<u8>)], dir: &Path, after: &str) {
    let left = left(dir);
    assert_eq!(expected.len(), left.len(), "{after}");
    for ((name, a), (other, b)) in expected.iter().zip(&left) {
        assert!(name == other && a == b, "{} differs after {after}", name.display());
    }
}

/// Kills the process after `delay` unless it ends before; returns whether it was killed.
fn killed(mut child: Child, delay: Duration) -> bool {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let output = child.wait_with_output().unwrap();
            assert!(status.success(), "{}", text(&output));
            return false;
        }
        if started.elapsed() >= delay {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn a_run_outlives_fifty_kills() {
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    let started = Instant::now();
    let output = run(&whole, 40).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let longest = started.elapsed();
    let expected = left(&whole);
    let (mut kills, mut finished, mut random) = (0, 0u32, 1u64);
    while kills < KILLS {
        let dir = temp.path().join(format!("run-{finished}"));
        let mut child = run(&dir, 40).spawn().unwrap();
        let mut reached = 0;
        loop {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let delay = longest.mul_f64((random >> 40) as f64 / (1u64 << 24) as f64);
            if !killed(child, delay) {
                break;
            }
            kills += 1;
            // A round counts as soon as its checkpoint exists, and no such round is ever lost.
            assert!(latest(&dir) >= reached, "round {reached} was lost");
            assert!(rounds_written(&dir) <= latest(&dir) + 1);
            reached = latest(&dir);
            // Killed while exiting.
            if dir.join("summary.json").exists() {
                break;
            }
            let begun = dir.join("plan.toml").exists();
            child = if begun { resume(&dir) } else { run(&dir, 40) }.spawn().unwrap();
        }
        same(&expected, &dir, &format!("{kills} kills"));
        finished += 1;
    }
}

#[test]
fn a_directory_belongs_to_one_process() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let mut child = run(&dir, 1_000_000).spawn().unwrap();
    wait_for(&dir, 2);
    let output = resume(&dir).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("another process is running"), "{}", text(&output));
    // A new run must not use it either.
    let output = run(&dir, 1_000_000).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("already exists"), "{}", text(&output));
}

/// Waits until the run has written this many rounds.
pub(super) fn wait_for(dir: &Path, rounds: u32) {
    let started = Instant::now();
    while rounds_written(dir) < rounds {
        assert!(started.elapsed() < Duration::from_secs(300), "the run makes no progress");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(unix)]
pub(super) fn signal(name: &str, child: &Child) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

/// Signals that ask a process to end: from the terminal, the user, batch systems.
#[cfg(unix)]
const REQUESTS: [&str; 6] = ["-INT", "-TERM", "-HUP", "-USR1", "-USR2", "-XCPU"];

#[cfg(unix)]
#[test]
fn every_request_to_end_leaves_a_run_that_resumes_bit_for_bit() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    for name in REQUESTS {
        let before = rounds_written(&dir);
        let child = if before == 0 { run(&dir, 1_000_000).spawn() } else { resume(&dir).spawn() }.unwrap();
        wait_for(&dir, before + 2);
        // Signals other than a person's interrupt are repeated during the round, and other requests follow.
        let patient = !["-INT", "-TERM"].contains(&name);
        let sent = if patient { vec![name, name, "-USR1", "-TERM"] } else { vec![name] };
        sent.iter().for_each(|name| signal(name, &child));
        let output = child.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(130), "{name}: {said}");
        assert_eq!(latest(&dir), rounds_written(&dir), "{name}: the round was finished and saved");
        assert!(said.contains(&format!("fedgan run --resume {}", dir.display())), "{name}: {said}");
    }
    let rounds = rounds_written(&dir) + 2;
    let set = format!("rounds={rounds}");
    let output = resume(&dir).args(["--set", &set]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let whole = temp.path().join("whole");
    assert!(run(&whole, rounds).output().unwrap().status.success());
    same(&left(&whole), &dir, "six requests");
}

#[cfg(unix)]
#[test]
fn every_request_to_end_leaves_a_sweep_that_resumes() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("s.toml");
    let text_of_sweep = "name = \"s\"\nseeds = [1]\n\n[[axis]]\nkey = \"train.lr\"\nvalues = [1e-4]\n\n[set]\nrounds = 1000000\n\"model.image_size\" = 16\n\"model.width\" = 2\n\
        \"model.latent\" = 4\n\"train.batch\" = 4\n\"train.local_steps\" = 1\n\"federation.clients\" = 2\n\
        \"evaluation.samples\" = 4\n\"evaluation.grid\" = 2\n\"evaluation.every\" = 0\n\"checkpoint.every\" = 0\n";
    std::fs::write(&file, text_of_sweep).unwrap();
    let out = temp.path().join("out");
    let mut part = None;
    for name in REQUESTS {
        let mut command = fedgan(&["sweep", "--device", "cpu", "--quiet"]);
        let child = command.arg(&file).arg("--out").arg(&out).spawn().unwrap();
        let started = Instant::now();
        let dir = loop {
            let cells = std::fs::read_dir(out.join("cells")).into_iter().flatten().flatten();
            let found = cells.map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "part"));
            match found.filter(|p| p.join("metrics.jsonl").exists()) {
                Some(found) => break found,
                None => assert!(started.elapsed() < Duration::from_secs(300), "the sweep makes no progress"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let before = latest(&dir);
        wait_for(&dir, before + 2);
        signal(name, &child);
        let output = child.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(130), "{name}: {said}");
        assert!(latest(&dir) > before && latest(&dir) == rounds_written(&dir), "{name}: finished and saved");
        part = Some(dir);
    }
    assert!(part.is_some());
}

#[cfg(unix)]
#[test]
fn an_ignored_hangup_stays_ignored() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let set = run(&dir, 1_000_000);
    let mut command = Command::new("nohup");
    command.arg(set.get_program()).args(set.get_args()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for(&dir, 2);
    signal("-HUP", &child);
    let after = rounds_written(&dir) + 3;
    wait_for(&dir, after);
    assert!(child.try_wait().unwrap().is_none(), "it continues");
    signal("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_is_saved_and_a_second_interrupt_ends_it() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    for (name, interrupts) in [("-INT", 1), ("-TERM", 1), ("-INT", 2)] {
        let before = rounds_written(&dir);
        let child = if before == 0 { run(&dir, 1_000_000).spawn() } else { resume(&dir).spawn() }.unwrap();
        wait_for(&dir, before.max(latest(&dir)) + 2);
        for _ in 0..interrupts {
            signal(name, &child);
        }
        let output = child.wait_with_output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(130), "{said}");
        if interrupts == 1 {
            assert_eq!(latest(&dir), rounds_written(&dir), "the round was finished and saved");
            assert!(said.contains(&format!("fedgan run --resume {}", dir.display())), "{said}");
        }
    }
}

#[test]
fn a_run_that_stops_at_a_fault_names_the_launch() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let output = run(&dir, 30).args(["--set", "train.lr=1e37", "--set", "checkpoint.every=2"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["round ", "is not finite", "launch ", "federation.nonfinite=drop"] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    // As the message advises. Every client has the fault, so the run ends anyway.
    let output = resume(&dir).args(["--set", "federation.nonfinite=drop"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no client was left in the last 3 rounds"), "{said}");
}
