//! The public golden cases on every engine, and corrupted copies of them.

use super::draft::{Draft, folder};
use fedgan::check::golden::{Outcome, exit_code, files, run_file};
use fedgan::exec::{CpuEngine, Engine, ReferenceEngine};
use fedgan::gpu::{GpuEngine, GpuOptions};
use fedgan::kernels::Class;

/// Every case passes.
fn run_all(engine: &mut dyn Engine) {
    let reports: Vec<_> = files(&folder()).unwrap().iter().map(|f| run_file(engine, f)).collect();
    assert_eq!(reports.len(), 33);
    for report in &reports {
        let worst: Vec<String> = report.tensors.iter().map(ToString::to_string).collect();
        assert_eq!(report.outcome, Outcome::Passed, "{}: {worst:#?}", report.file.display());
        println!("{}: {worst:#?}", report.file.display());
    }
    assert_eq!(exit_code(&reports), 0);
}

#[test]
fn on_the_reference_engine() {
    run_all(&mut ReferenceEngine::new());
}

#[test]
fn on_the_cpu_engine() {
    run_all(&mut CpuEngine::new());
}

/// Every class of variants that the adapter runs, if there is one.
#[test]
fn on_an_adapter() {
    for class in Class::ALL {
        match GpuEngine::open("gpu", GpuOptions { class: Some(class), ..Default::default() }) {
            Ok(mut engine) => run_all(&mut engine),
            Err(error) => {
                assert_eq!(error.exit_code(), 2, "{error}");
                eprintln!("skipped: {error}");
            }
        }
    }
}

/// A corrupted case fails, and its exit code is 1.
fn fails(draft: &Draft, what: &str) {
    let file = draft.write();
    let report = run_file(&mut CpuEngine::new(), file.path());
    assert!(matches!(report.outcome, Outcome::Failed(_)), "{what}: {:?}", report.outcome);
    assert_eq!(exit_code(&[report]), 1, "{what}");
}

/// For every expected tensor of every case: one element off by ten times its bound, a NaN, and (with several elements)
/// swapped neighbours.
#[test]
fn corrupted_copies_fail() {
    let mut kinds = [0; 4];
    for path in files(&folder()).unwrap() {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        let good = Draft::read(&path);
        let clean = run_file(&mut CpuEngine::new(), &path);
        for verdict in &clean.tensors {
            let name = verdict.name.as_str();
            let what = |kind: &str| format!("{stem} {name} {kind}");
            let values = good.values(name);
            let worst = verdict.worst.as_ref().unwrap();
            let at = values.iter().position(|v| *v == worst.expected).unwrap();
            let mut bad = good.clone();
            bad.values_mut(name)[at] += (10.0 * worst.allowed).max(1e-6 * worst.expected.abs()).max(1e-30);
            fails(&bad, &what("off by ten bounds"));
            kinds[0] += 1;
            let mut bad = good.clone();
            bad.values_mut(name)[values.len() / 2] = f64::NAN;
            fails(&bad, &what("NaN"));
            kinds[1] += 1;
            let row = good.shape(name).iter().skip(1).product::<usize>().max(1);
            if values.len() >= 2 * row && values[..row] != values[row..2 * row] {
                let mut bad = good.clone();
                let swapped = bad.values_mut(name);
                (0..row).for_each(|i| swapped.swap(i, row + i));
                fails(&bad, &what("rows swapped"));
                kinds[2] += 1;
            }
            let judged_by_update = verdict.measure.contains("update");
            if values.iter().any(|v| *v != 0.0) {
                let mut bad = good.clone();
                if judged_by_update {
                    let before = good.values(&name.replacen("out.", "in.", 1));
                    bad.values_mut(name).iter_mut().zip(before).for_each(|(v, b)| *v = b + 1.01 * (*v - b));
                } else {
                    bad.values_mut(name).iter_mut().for_each(|v| *v *= 1.01);
                }
                fails(&bad, &what("scale off by 1 %"));
                kinds[3] += 1;
            }
        }
    }
    assert!(kinds.iter().all(|n| *n > 30), "{kinds:?}");
}

/// The running variance from the biased batch variance: the batch's contribution times (n - 1) / n.
#[test]
fn a_biased_running_variance_fails() {
    let mut bn = Draft::read(&folder().join("bn.safetensors"));
    let before = bn.values("in.running_var");
    let n = 4.0 * 5.0 * 5.0;
    let share = bn.values_mut("out.running_var").iter_mut().zip(before);
    share.for_each(|(v, old)| *v = 0.9 * old + (*v - 0.9 * old) * (n - 1.0) / n);
    fails(&bn, "bn");

    let mut gan = Draft::read(&folder().join("gan_step_16.safetensors"));
    for name in gan.names().into_iter().filter(|n| n.starts_with("out.") && n.ends_with("running_var")) {
        let good = gan.values(&name);
        let shape = gan.shape(&format!("in.{}", name.trim_start_matches("out.")))[0];
        let before = gan.values(&name.replacen("out.", "in.", 1));
        // 4 images of 4 x 4 pixels after G's first and D's second convolution, of 8 x 8 after G's second.
        let n = if name.contains("generator.main.4") { 256.0 } else { 64.0 };
        let times = if name.contains("discriminator") { 3 } else { 2 };
        let kept = 0.9f64.powi(times);
        let biased = good.iter().zip(&before).map(|(v, old)| kept * old + (v - kept * old) * (n - 1.0) / n);
        let biased: Vec<f64> = biased.collect();
        assert_eq!(biased.len(), shape);
        gan.values_mut(&name).copy_from_slice(&biased);
        fails(&gan, &name);
        gan.values_mut(&name).copy_from_slice(&good);
    }
}
