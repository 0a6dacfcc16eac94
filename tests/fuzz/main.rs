//! Every decoder of foreign bytes against broken inputs, under limits of memory and time; SECURITY.md says how to run more.
//!
//! `FEDGAN_FUZZ=N` runs N executions per target (default 10,000), `FEDGAN_FUZZ_SEED=S` sets the seed (default 1),
//! `FEDGAN_FUZZ_TARGET=NAME` selects one target. Former faults are in `corpus/TARGET/` and run first. A failing input
//! is written to `target/tmp/fuzz/TARGET.fault`; if the process itself dies (a stack overflow), `TARGET.current`
//! contains the input.

mod fuzzer;
mod meter;

use fuzzer::{Fuzzer, Target, targets};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Default executions per target: all targets take half a minute in the dev profile.
const EXECUTIONS: u64 = 10_000;
/// Bytes that an execution may allocate in one request, and hold at a time: a constant, plus a factor per byte of
/// input. Pictures and archives are compressed up to 1100 times, pixels may have a single bit, and up to three copies
/// are held.
const HELD: u64 = 32 << 20;
const HELD_EACH: u64 = 64;
const HELD_EACH_COMPRESSED: u64 = 8 * 4 * 1100;
/// Total bytes that an execution may allocate.
const ALL: u64 = 256 << 20;
/// A slower execution fails; one that does not end aborts after ten times as long.
const SLOW: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 4 });

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().unwrap_or_else(|_| panic!("{name} = {v}: must be a number")))
}

/// Why an execution is a fault, if it is one, with its result and cost.
fn execute(target: Target, input: &[u8]) -> (Option<String>, fedgan::Result<()>, u64) {
    let begun = Instant::now();
    meter::start();
    let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let used = meter::stop();
    let each =
        if matches!(target.name, "npz" | "picture" | "dicom" | "nifti") { HELD_EACH_COMPRESSED } else { HELD_EACH };
    let (held, all) = (HELD + each * input.len() as u64, ALL + 4 * each * input.len() as u64);
    let result = match answer {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
            return (Some(format!("panic: {text}")), Ok(()), used.count);
        }
    };
    let fault = match &result {
        Err(error @ fedgan::Error::Internal(_)) => Some(error.to_string()),
        _ if used.held > held => Some(format!("{} bytes held at a time, {held} are allowed", used.held)),
        _ if used.all > all => Some(format!("{} bytes allocated in all, {all} are allowed", used.all)),
        _ if begun.elapsed() > SLOW => Some(format!("took {:?}", begun.elapsed())),
        _ => None,
    };
    (fault, result, used.count)
}

/// The regressions of a target, by name.
fn regressions(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

/// Runs a target; returns a summary, or the fault.
fn fuzz(target: Target, seed: u64, executions: u64, out: &Path) -> Result<String, String> {
    let begun = Instant::now();
    let known = regressions(&target);
    for (path, input) in &known {
        if let (Some(fault), ..) = execute(target, input) {
            return Err(format!("{}: {fault}", path.display()));
        }
    }
    let current = File::create(out.join(format!("{}.current", target.name))).unwrap();
    let more = known.into_iter().map(|k| k.1).filter(|input| input.len() <= target.most).collect();
    let mut fuzzer = Fuzzer::new(target, seed, more).unwrap();
    let mut accepted = 0u64;
    for number in 0..executions {
        let input = fuzzer.next_input();
        meter::remember(&current, &input);
        let (fault, result, cost) = execute(target, &input);
        if let Some(fault) = fault {
            let path = out.join(format!("{}.fault", target.name));
            std::fs::write(&path, &input).unwrap();
            let (name, path) = (target.name, path.display());
            return Err(format!(
                "{name}: {fault}\n  input: {path} ({} bytes); again: FEDGAN_FUZZ_TARGET={name} FEDGAN_FUZZ_SEED={seed} FEDGAN_FUZZ={} cargo \
                 test --test fuzz",
                input.len(),
                number + 1
            ));
        }
        accepted += u64::from(result.is_ok());
        fuzzer.learn(input, &result, cost);
    }
    let (kept, outcomes, seconds) = (fuzzer.corpus(), fuzzer.outcomes(), begun.elapsed().as_secs_f64());
    let accepted = 100.0 * accepted as f64 / executions.max(1) as f64;
    Ok(format!(
        "{:12} {executions:8} executions in {seconds:6.1} s, {accepted:4.1} % valid, {outcomes:4} outcomes, {kept:4} inputs kept",
        target.name
    ))
}

/// A single test, because the meter counts allocations of the whole process.
#[test]
fn every_decoder_survives_broken_inputs() {
    let (executions, seed) = (setting("FEDGAN_FUZZ").unwrap_or(EXECUTIONS), setting("FEDGAN_FUZZ_SEED").unwrap_or(1));
    let only = std::env::var("FEDGAN_FUZZ_TARGET").ok();
    let chosen: Vec<Target> =
        targets::all().into_iter().filter(|t| only.as_ref().is_none_or(|o| o == t.name)).collect();
    assert!(
        !chosen.is_empty(),
        "no such target; there are {:?}",
        targets::all().iter().map(|t| t.name).collect::<Vec<_>>()
    );
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&out).unwrap();
    // A panic is caught and reported once.
    std::panic::set_hook(Box::new(|_| {}));
    // In a pool with one thread no work is handed to another thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let wrong: Vec<String> = pool.install(|| {
        meter::begin(10 * SLOW);
        let run = |t: Target| fuzz(t, seed, executions, &out).map(|said| println!("{said}")).err();
        let faults = chosen.into_iter().filter_map(run).collect();
        meter::end();
        faults
    });
    drop(std::panic::take_hook());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
