//! Runs that write event files for TensorBoard.

use super::resume::same;
use super::*;
use crate::report::metrics;
use crate::report::tensorboard::tests::{Read, files};
use crate::report::tensorboard::{FOLDER, vet};
use std::collections::BTreeMap;

/// The points that TensorBoard shows of a run: at a session's start it forgets the later steps.
fn shown(run: &Path) -> BTreeMap<(String, u64), Read> {
    let mut points = BTreeMap::new();
    for event in files(run).into_iter().flatten() {
        match &event {
            Read::Version(_) => {}
            Read::Start(first) => points.retain(|(_, step), _| step < first),
            Read::Scalar(step, tag, _) | Read::Picture(step, tag, _) => {
                assert!(points.insert((tag.clone(), *step), event).is_none(), "a point is written twice");
            }
        }
    }
    points
}

/// Trains at most `rounds` rounds with event files, from the start or from the latest checkpoint.
fn go(plan: &Plan, path: &Path, rounds: u32) -> Result<Trained> {
    let session = match path.join(layout::PLAN).exists() {
        true => {
            let set = vec![format!("rounds={}", plan.rounds)];
            Session::resume(path, &Overrides { set, ..Overrides::default() })?
        }
        false => Session::new(plan.clone()).directory(path),
    };
    session.verify_every(0).tuned(false).tensorboard(true).train(&mut Heard::stopping(rounds))
}

/// The points are those of the run's own files.
fn agrees(path: &Path, what: &str) {
    let points = shown(path);
    let records = metrics::read_jsonl(&path.join("metrics.jsonl")).unwrap();
    let value = |tag: String, step: u64| match points.get(&(tag.clone(), step)) {
        Some(Read::Scalar(_, _, value)) => *value,
        other => panic!("{what}: {tag} at {step}: {other:?}"),
    };
    for (step, record) in (1..).zip(&records) {
        for (i, client) in record.clients.iter().enumerate() {
            assert_eq!(value(format!("loss_g/client-{i:03}"), step), client.loss_g as f32, "{what}");
            assert_eq!(value(format!("weight/client-{i:03}"), step), client.weight as f32, "{what}");
        }
        for (name, metric) in &record.extra {
            assert_eq!(value(format!("evaluation/{name}"), step), *metric as f32, "{what}");
        }
    }
    for ((tag, step), event) in &points {
        let record = (*step as usize).checked_sub(1).map(|index| &records[index]);
        let evaluated = record.is_none_or(|record| !record.extra.is_empty());
        assert!(evaluated || !tag.starts_with("evaluation/") && tag != "samples", "{what}: {tag} at {step}");
        if let Read::Picture(_, _, png) = event {
            assert!(std::fs::read(path.join(format!("grids/round-{step:04}.png"))).unwrap() == *png, "{what}");
        }
    }
    let grids = std::fs::read_dir(path.join("grids")).unwrap().count();
    assert_eq!(points.keys().filter(|(tag, _)| tag == "samples").count(), grids, "{what}");
}

fn plan(rounds: u32) -> Plan {
    let rounds = format!("rounds={rounds}");
    tiny(&[&rounds, "federation.clients=2", "attack.malicious=1", "evaluation.every=2", "checkpoint.every=2"])
}

#[test]
fn event_files_have_the_runs_values_and_change_no_other_file() {
    let temp = tempfile::tempdir().unwrap();
    let (plain, run) = (temp.path().join("plain"), temp.path().join("run"));
    train(plan(5), &plain).unwrap();
    go(&plan(5), &run, u32::MAX).unwrap();
    assert!(!plain.join(FOLDER).exists(), "off unless asked for");
    agrees(&run, "whole");
    assert_eq!(files(&run).len(), 1);
    assert!(matches!(shown(&run)[&("samples".to_string(), 5)], Read::Picture(..)));
    std::fs::remove_dir_all(run.join(FOLDER)).unwrap();
    same(&plain, &run, "with event files");
}

#[test]
fn a_resumed_run_writes_on_and_leaves_no_stale_steps() {
    let temp = tempfile::tempdir().unwrap();
    let (run, whole) = (temp.path().join("run"), temp.path().join("whole"));
    // Stopped, continued from an earlier checkpoint than the last round, finished, trained further: its last round loses its
    // evaluation.
    go(&plan(7), &run, 3).unwrap();
    std::fs::remove_file(run.join("checkpoints/round-000003.safetensors")).unwrap();
    agrees(&run, "stopped");
    go(&plan(5), &run, u32::MAX).unwrap();
    agrees(&run, "finished");
    go(&plan(8), &run, u32::MAX).unwrap();
    agrees(&run, "trained further");
    let starts = files(&run).into_iter().map(|file| file.into_iter().find(|e| matches!(e, Read::Start(_))).unwrap());
    assert_eq!(starts.collect::<Vec<_>>(), [0, 3, 5].map(Read::Start));
    go(&plan(8), &whole, u32::MAX).unwrap();
    let (points, expected) = (shown(&run), shown(&whole));
    assert!(points.len() > 100 && points == expected, "{:?}\n{:?}", points.keys(), expected.keys());
}

#[test]
fn a_file_in_the_way_is_reported_before_the_run_continues() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("run");
    super::resume::start(&plan(5), &path, 2);
    std::fs::write(path.join(FOLDER), "mine").unwrap();
    let before = std::fs::read(path.join("metrics.csv")).unwrap();
    let error = go(&plan(5), &path, 1).err().unwrap();
    assert!(error.exit_code() == 2 && error.to_string().contains("is not a directory"), "{error}");
    assert!(std::fs::read(path.join("metrics.csv")).unwrap() == before);
    assert_eq!(std::fs::read_to_string(path.join(FOLDER)).unwrap(), "mine");
    assert!(vet(&RunDir::reopen(&path).unwrap()).is_err());
}
