//! `mpirun -n R fedgan run`: the same files as one process, whatever fails. Needs the feature `mpi` and an `mpirun`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const FEDGAN: &str = env!("CARGO_BIN_EXE_fedgan");

/// Jobs one after the other: each has more processes than there may be cores.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A launcher of processes, also for root and with more processes than cores.
fn mpirun() -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none"]);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env_remove("FEDGAN_DEVICE").stdin(Stdio::null());
    command
}

/// Seven clients, one of which is malicious, with the detector.
fn experiment(rounds: u32) -> Vec<String> {
    let set = [
        "model.image_size=16",
        "model.width=4",
        "train.batch=4",
        "train.local_steps=2",
        "federation.clients=7",
        "evaluation.samples=64",
        "evaluation.every=4",
        "detection.kind=isolation-forest",
        "detection.warmup=1",
        "checkpoint.every=1",
    ];
    let rounds = format!("rounds={rounds}");
    let all = set.into_iter().chain([rounds.as_str()]).flat_map(|set| ["--set".to_string(), set.to_string()]);
    ["run".to_string(), "attacked".into(), "--quiet".into()].into_iter().chain(all).collect()
}

fn ok(output: Output) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
}

fn one_process(folder: &Path, rounds: u32, device: &str) -> PathBuf {
    let out = folder.join(format!("one-{device}"));
    ok(Command::new(FEDGAN).args(experiment(rounds)).args(["--device", device, "--out"]).arg(&out).output().unwrap());
    out
}

/// Every result of a run but those with times and the program's version.
fn results(run: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = vec![];
    for folder in ["", "grids", "discriminators"] {
        files.extend(std::fs::read_dir(run.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    let named = |path: PathBuf| {
        let name = path.strip_prefix(run).unwrap().display().to_string();
        let timed = ["summary.json", "timing.jsonl", "plan.toml"].contains(&&name[..]);
        (path.is_file() && !timed && !name.starts_with('.')).then(|| (name, std::fs::read(path).unwrap()))
    };
    let mut files: Vec<_> = files.into_iter().filter_map(named).collect();
    files.sort();
    assert!(files.len() > 12, "{:?}", files.iter().map(|file| &file.0).collect::<Vec<_>>());
    files
}

fn same(a: &Path, b: &Path) {
    let (a, b) = (results(a), results(b));
    let names = |of: &[(String, Vec<u8>)]| of.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for ((name, a), (_, b)) in a.iter().zip(&b) {
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn ranks_write_the_files_of_one_process() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for (device, ranks) in [("cpu", vec!["3", "5"]), ("gpu", vec!["2"])] {
        let one = one_process(folder.path(), 4, device);
        for n in ranks {
            let out = folder.path().join(format!("{device}-{n}"));
            let mut job = mpirun();
            job.args(["-n", n, FEDGAN]).args(experiment(4)).args(["--device", device, "--out"]).arg(&out);
            ok(job.output().unwrap());
            same(&one, &out);
        }
    }
}

#[test]
fn the_console_says_what_was_exchanged_and_only_rank_0_speaks() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let loud: Vec<String> = experiment(3).into_iter().filter(|arg| arg != "--quiet").collect();
    let out = folder.path().join("run");
    let mut job = mpirun();
    let output =
        job.args(["-n", "3", FEDGAN]).args(loud).args(["--device", "cpu", "--out"]).arg(&out).output().unwrap();
    let text = [output.stdout.clone(), output.stderr.clone()].map(|b| String::from_utf8(b).unwrap()).concat();
    ok(output);
    for line in ["ranks     3; ", "exchanged ", "training  7 clients", "look at   "] {
        assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
    }
}

/// The processes of a job that run `fedgan`.
fn processes(job: &Child) -> Vec<u32> {
    let children = |of: u32| -> Vec<u32> {
        let path = format!("/proc/{of}/task/{of}/children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    };
    let is_fedgan = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|n| n.trim() == "fedgan");
    children(job.id()).into_iter().filter(is_fedgan).collect()
}

/// Waits until the job is over; it must not take longer than half a minute.
fn ends(job: &mut Child) -> i32 {
    let start = Instant::now();
    loop {
        if let Some(status) = job.try_wait().unwrap() {
            return status.code().unwrap_or(-1);
        }
        if start.elapsed() > Duration::from_secs(30) {
            job.kill().unwrap();
            panic!("the job hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a job of three ranks with `rounds` rounds, and waits for its `at`-th checkpoint.
fn begun(out: &Path, rounds: u32, at: u32) -> Child {
    let mut job = mpirun();
    job.args(["-n", "3", FEDGAN]).args(experiment(rounds)).args(["--device", "cpu", "--out"]).arg(out);
    let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let reached = || {
        let files = std::fs::read_dir(out.join("checkpoints")).into_iter().flatten().flatten();
        files.filter_map(|file| file.file_name().into_string().ok()).any(|name| name >= format!("round-{at:06}"))
    };
    let start = Instant::now();
    while !reached() {
        assert!(job.try_wait().unwrap().is_none(), "the job ended before round {at}");
        assert!(start.elapsed() < Duration::from_secs(120), "no round {at}");
        std::thread::sleep(Duration::from_millis(5));
    }
    job
}

fn resume(out: &Path, ranks: &str) {
    let mut job = mpirun();
    job.args(["-n", ranks, FEDGAN, "run", "--quiet", "--device", "cpu", "--resume"]).arg(out);
    ok(job.output().unwrap());
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_rank_ends_the_job_and_the_run_continues_with_another_number() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let one = one_process(folder.path(), 40, "cpu");
    for (number, ranks) in ["2", "1", "4"].into_iter().enumerate() {
        let out = folder.path().join(format!("killed-{number}"));
        let mut job = begun(&out, 40, 3 + number as u32);
        let processes = processes(&job);
        assert_eq!(processes.len(), 3);
        signal(processes[number], "KILL");
        assert_ne!(ends(&mut job), 0);
        assert!(!out.join("summary.json").exists(), "it had 40 rounds to do");
        resume(&out, ranks);
        same(&one, &out);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_stops_the_job_after_its_round() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let one = one_process(folder.path(), 40, "cpu");
    let out = folder.path().join("stopped");
    let mut job = begun(&out, 40, 2);
    // Open MPI forwards it to all ranks.
    signal(job.id(), "USR1");
    assert_eq!(ends(&mut job), 130);
    resume(&out, "2");
    same(&one, &out);
}

/// The error of a job whose second rank differs, which must end all ranks with exit code 2.
fn refused(second: impl FnOnce(&mut Command)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut job = mpirun();
    let args = || experiment(3).into_iter().chain(["--device".into(), "cpu".into()]);
    job.args(["-n", "1", FEDGAN]).args(args()).arg("--out").arg(&out).args([":", "-n", "1"]);
    second(&mut job);
    let start = Instant::now();
    let output = job.output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!out.exists(), "nothing is written");
    assert_eq!(text.matches("error: ").count(), 1, "{text}");
    text.lines().find(|line| line.starts_with("error: ")).unwrap().to_string()
}

#[test]
fn a_rank_without_its_device_is_named() {
    let _alone = alone();
    let error = refused(|job| {
        job.args(["-x", "FEDGAN_DEVICE=voodoo", FEDGAN]).args(experiment(3));
    });
    assert!(error.starts_with("error: rank 1: FEDGAN_DEVICE=`voodoo`: no device matches `voodoo`"), "{error}");
}

#[test]
fn ranks_of_another_program_are_refused() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("fedgan");
    std::fs::copy(FEDGAN, &other).unwrap();
    let mut bytes = std::fs::read(&other).unwrap();
    bytes.push(0);
    std::fs::write(&other, bytes).unwrap();
    let error = refused(|job| {
        job.arg(&other).args(experiment(3));
    });
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "error: rank 0 runs fedgan {version}, but rank 1 runs another build of it: start the same program file on all ranks"
    );
    assert_eq!(error, expected);
}

#[test]
fn what_rank_0_refuses_ends_all_ranks() {
    let _alone = alone();
    for bad in [&["--set", "train.lr=-1"][..], &["--no-such-option"], &["--device", "voodoo"]] {
        let mut job = mpirun();
        let output = job.args(["-n", "3", FEDGAN]).args(experiment(3)).args(bad).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.matches("error: ").count()), (Some(2), 1), "{bad:?}: {text}");
    }
}
