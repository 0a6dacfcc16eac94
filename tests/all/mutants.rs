//! Deliberately broken shaders: their kernels' cases must fail every one of them.

use fedgan::check::mutant::{self, EQUIVALENT, MutantSummary, Operator};
use fedgan::gpu::{Choice, Device, DeviceTarget, choose};
use fedgan::kernels::Class;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Mutants per operator and shader. `FEDGAN_MUTANTS=N` sets another number, which reveals mutants that nobody has
/// reviewed yet; `FEDGAN_MUTANTS_OF=conv,fed/` selects the shaders whose paths contain one of these.
const SAMPLE: usize = 2;

#[test]
#[ignore = "slow: scripts/test --all"]
fn broken_shaders_fail() {
    let adapter = match choose("gpu") {
        Ok(Choice { target: DeviceTarget::Gpu(adapter), .. }) => adapter,
        Ok(Choice { reason, .. }) => panic!("tests need a Vulkan adapter: {reason}"),
        Err(why) => panic!("tests need a Vulkan adapter: run scripts/test --install-driver: {why}"),
    };
    let device = Device::open(&adapter, false).unwrap();
    let sample = std::env::var("FEDGAN_MUTANTS").ok().map_or(SAMPLE, |n| n.parse().unwrap());
    let only = std::env::var("FEDGAN_MUTANTS_OF").unwrap_or_default();
    let start = std::time::Instant::now();
    let mut rows = Vec::new();
    for (kernel, file) in mutant::shaders() {
        if !only.split(',').any(|part| file.contains(part)) {
            continue;
        }
        let from = start.elapsed();
        let row = mutant::run(&device, kernel, file, sample).unwrap();
        let (run, killed) = row.counts.values().fold((0, 0), |s, c| (s.0 + c.0, s.1 + c.1));
        println!("{file}: {killed} of {run} in {:.1} s", (start.elapsed() - from).as_secs_f64());
        for m in &row.survivors {
            println!("  SURVIVOR {} {}", m.operator.name(), m.change);
        }
        for m in &row.stale {
            println!("  STALE {} {}", m.operator.name(), m.change);
        }
        rows.push(row);
    }
    println!("{}in {:.0} s", by_operator(&rows), start.elapsed().as_secs_f64());
    assert!(rows.iter().all(|r| r.survivors.is_empty()), "survivors: see above");
    assert!(rows.iter().all(|r| r.stale.is_empty()), "entries of EQUIVALENT that are killed: see above");
    let listed: usize = rows.iter().map(|r| r.listed.len()).sum();
    let run = |file: &&&str| device.runs(Class::Lanes) || !file.ends_with("_lanes.wgsl");
    let entries: usize = EQUIVALENT.iter().map(|e| e.files.iter().filter(run).count()).sum();
    assert!(!only.is_empty() || listed == entries, "{listed} of the {entries} entries of EQUIVALENT survived");
}

fn by_operator(rows: &[MutantSummary]) -> String {
    let mut sums: BTreeMap<Operator, (usize, usize)> = BTreeMap::new();
    for (operator, (run, killed)) in rows.iter().flat_map(|r| &r.counts) {
        let sum = sums.entry(*operator).or_default();
        *sum = (sum.0 + run, sum.1 + killed);
    }
    let mut out = String::new();
    for (operator, (run, killed)) in sums {
        let _ = writeln!(out, "{:14} {killed:4} of {run:4}", operator.name());
    }
    out
}
