//! Two thousand rounds by the program: memory, files and device memory stay constant.

use fedgan::report::metrics::TimingRecord;
use fedgan::report::{ClientRecord, RoundRecord};
use std::path::Path;
use std::process::Command;

const ROUNDS: usize = 2000;
const CLIENTS: usize = 2;
/// Rounds between evaluations with grid and curves.
const EVERY: usize = 200;
/// From here on nothing grows: the first evaluation of a trained generator and the first curves are done.
const SETTLED: usize = 200;
/// Rounds for a median.
const WINDOW: usize = 50;

/// Trains a small model on `device`; returns the counters of every round.
fn soak(device: &str, dir: &Path) -> Vec<TimingRecord> {
    let set = [
        "model.image_size=16".to_string(),
        "model.width=4".into(),
        "model.latent=8".into(),
        "train.batch=4".into(),
        "train.local_steps=1".into(),
        format!("federation.clients={CLIENTS}"),
        format!("rounds={ROUNDS}"),
        format!("evaluation.every={EVERY}"),
        "evaluation.samples=4".into(),
        "evaluation.grid=2".into(),
        "data={ kind = \"dermoscopy\", n = 24 }".into(),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
    command.args(["run", "--quiet", "--device", device, "--seed", "3", "--out"]).arg(dir);
    // glibc keeps freed memory once large blocks come and go, as pictures do; with a fixed threshold it returns them.
    command.env("MALLOC_MMAP_THRESHOLD_", "131072");
    command.args(set.iter().flat_map(|key| ["--set", key]));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{device}: {}", String::from_utf8_lossy(&out.stderr));
    let text = std::fs::read_to_string(dir.join("timing.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

fn nothing_grows(device: &str) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    let rounds = soak(device, &dir);
    assert_eq!(rounds.len(), ROUNDS);

    // Records of all rounds are kept for the curves and for the detection rates; a vector has up to twice its length.
    let record = size_of::<RoundRecord>() * 2 + CLIENTS * size_of::<ClientRecord>();
    let kept = (record * (ROUNDS - SETTLED)) as u64;
    let host = |from: usize| median(rounds[from..from + WINDOW].iter().map(|r| r.host_bytes.unwrap()).collect());
    let (early, late) = (host(SETTLED), host(ROUNDS - WINDOW));
    assert!(
        late <= early + early / 100 + kept,
        "{device}: {early} bytes resident from round {SETTLED} on, {late} at the end, {kept} of them for records; every \
         {EVERY} rounds: {:?}",
        (0..ROUNDS - WINDOW).step_by(EVERY).map(host).collect::<Vec<_>>()
    );

    let constant = |what: &str, from: usize, of: fn(&TimingRecord) -> Option<u64>| {
        let odd = rounds[from..].iter().find(|r| of(r) != of(&rounds[from]));
        assert!(odd.is_none(), "{device}: {what} {:?} in round {from}, then {odd:?}", of(&rounds[from]));
    };
    constant("bytes on the device", 1, |r| r.device_bytes);
    // The evaluation's table is opened with its first row.
    constant("open files", SETTLED, |r| r.open_files);
    assert!(rounds[1].device_bytes > Some(100_000), "{device}: {:?}", rounds[1]);
    assert_eq!(rounds[1].open_files.is_some(), cfg!(target_os = "linux"));

    // Logs and tables, plan, summary, three pictures, the grids, the networks, the lock, the last checkpoint.
    let tables = ["metrics.jsonl", "metrics.csv", "evaluation.csv", "timing.jsonl", "plan.toml", "summary.json"];
    let pictures = ["real.png", "losses.png", "samples.png"];
    let grids = 1 + ROUNDS / EVERY;
    assert_eq!(std::fs::read_dir(dir.join("grids")).unwrap().count(), grids);
    assert_eq!(files(&dir), tables.len() + pictures.len() + grids + 1 + CLIENTS + 1 + 1, "{device}");
    assert!(tables.iter().chain(&pictures).all(|name| dir.join(name).exists()));
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn two_thousand_rounds_on_the_gpu_engine() {
    nothing_grows("gpu");
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn two_thousand_rounds_on_the_cpu_engine() {
    nothing_grows("cpu");
}
