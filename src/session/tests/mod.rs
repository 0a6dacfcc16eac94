//! Sessions on small experiments.

mod demo;
#[cfg(feature = "onnx")]
mod extractor;
mod faults;
mod limits;
mod resume;
mod streams;
mod tensorboard;

use super::*;
use crate::config::{self, Overrides, Plan};
use crate::data::{DataConfig, Loaded};
use crate::report::metrics::TimingRecord;
use crate::report::{RunDir, Summary, layout};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// Sources in a model's size and channels, loaded once for all plans that use them: decoding takes most of the time here.
static LOADED: Mutex<Vec<(Shape, Loaded)>> = Mutex::new(Vec::new());

/// A source, the model's image size and channels.
type Shape = (DataConfig, [u32; 2]);

/// Records all events, and stops before round `stop` of its session, counted from 0.
#[derive(Default)]
pub(super) struct Heard {
    pub notes: Vec<String>,
    pub warnings: Vec<String>,
    pub stop: Option<u32>,
}

impl Heard {
    pub fn stopping(round: u32) -> Heard {
        Heard { stop: Some(round), ..Heard::default() }
    }
}

impl Observer for Heard {
    fn note(&mut self, line: &str) {
        self.notes.push(line.into());
    }

    fn warning(&mut self, text: &str) {
        self.warnings.push(text.into());
    }

    fn stop(&mut self) -> bool {
        match &mut self.stop {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// Trains a plan to its end in `path`, with verification.
fn train(plan: Plan, path: &Path) -> Result<Finished> {
    match Session::new(plan).directory(path).tuned(false).train(&mut Silent)? {
        Trained::Finished(finished) => Ok(*finished),
        Trained::Interrupted { done } => panic!("stopped after round {done}"),
    }
}

/// A plan's images and device, without verification or tuning.
fn prepared(plan: &Plan, observer: &mut dyn Observer) -> Result<Prepared> {
    Session::new(plan.clone()).verify_every(0).tuned(false).prepare(observer)
}

/// The images of a plan.
pub(super) fn images_of(plan: &Plan) -> Result<Images> {
    let form = [plan.model.image_size, plan.model.channels];
    let key = (plan.data.source.clone(), form);
    let mut known = LOADED.lock().unwrap();
    let at = match known.iter().position(|(of, _)| *of == key) {
        Some(at) => at,
        None => {
            let loaded = plan.data.source.load(form[0] as usize, form[1] as usize)?;
            known.push((key, loaded));
            known.len() - 1
        }
    };
    Images::of(plan, known[at].1.clone())
}

pub(super) fn tiny(set: &[&str]) -> Plan {
    let base = [
        "model.image_size=16",
        "model.width=2",
        "model.latent=4",
        "train.batch=8",
        "train.local_steps=1",
        "rounds=2",
        "evaluation.samples=4",
        "evaluation.grid=2",
        "evaluation.metrics=[\"leakage\"]",
        "data={ kind = \"dermoscopy\", n = 40 }",
    ];
    let set = base.iter().chain(set).map(|s| s.to_string()).collect();
    config::load(None, &Overrides { set, device: Some("cpu".into()), ..Default::default() }).unwrap()
}

/// Every file of a run directory by its name, except for content that never repeats.
pub(super) fn files(dir: &Path, below: &str, out: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            files(&path, &format!("{name}/"), out);
        } else if name == "summary.json" {
            let mut summary: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert!(summary["timing"]["seconds"].take().as_f64().unwrap() > 0.0);
            out.insert(name, summary.to_string().into_bytes());
        } else if name != "timing.jsonl" && !name.starts_with("checkpoints/") {
            out.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn two_runs_leave_the_same_files_with_a_summary_of_what_the_metrics_say() {
    let temp = tempfile::tempdir().unwrap();
    let detection = ["federation.clients=4", "attack.malicious=1", "rounds=3"];
    let rule = ["detection.kind=isolation-forest-published", "detection.warmup=0"];
    let plan = tiny(&[&detection[..], &rule[..]].concat());
    let run = |name: &str| {
        let dir = temp.path().join(name);
        let finished = train(plan.clone(), &dir).unwrap();
        (dir, finished)
    };
    let ((a, first), (b, _)) = (run("a"), run("b"));
    let all = |dir: &Path| {
        let mut out = BTreeMap::new();
        files(dir, "", &mut out);
        out
    };
    let (left, right) = (all(&a), all(&b));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
    let summary = Summary::read(&a).unwrap();
    assert_eq!(summary, first.summary);
    let records = crate::report::metrics::read_jsonl(&a.join("metrics.jsonl")).unwrap();
    let mut of_the_end = summary.metrics.clone();
    of_the_end.extend(summary.floors.clone());
    assert_eq!(of_the_end, records.last().unwrap().extra);
    let detector = summary.detector.unwrap();
    assert_eq!((detector.honest_rounds, detector.malicious_rounds), (6, 2), "two rounds after the warm-up");
    let last: f64 = records.last().unwrap().clients[0].weight;
    assert_eq!(detector.malicious_weight_last, last);
    assert!(first.outcome.contains("detector  "), "{}", first.outcome);
    assert_eq!((summary.rounds, summary.device.engine.as_str(), summary.diverged), (3, "cpu", 0));
    assert!(summary.untrained.keys().eq(summary.metrics.keys()));
}

#[test]
fn a_run_without_detection_says_nothing_of_a_detector() {
    let temp = tempfile::tempdir().unwrap();
    let finished = train(tiny(&["federation.clients=1"]), &temp.path().join("a")).unwrap();
    assert!(finished.summary.detector.is_none());
}

#[test]
fn images_a_second_count_all_that_is_trained_on() {
    let temp = tempfile::tempdir().unwrap();
    for (critic, local, expected) in [(1, 1, 8), (5, 1, 40), (3, 2, 48)] {
        let set = [
            "train.loss=wgan-gp".to_string(),
            "federation.clients=3".into(),
            format!("train.n_critic={critic}"),
            format!("train.local_steps={local}"),
        ];
        let set: Vec<&str> = set.iter().map(String::as_str).collect();
        let dir = temp.path().join(format!("{critic}-{local}"));
        train(tiny(&set), &dir).unwrap();
        let text = std::fs::read_to_string(dir.join("timing.jsonl")).unwrap();
        let rounds: Vec<TimingRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rounds.len(), 2);
        for round in rounds {
            let images = round.images_per_second * round.seconds;
            assert!((images - f64::from(3 * expected)).abs() < 1e-6, "{critic} {local}: {images}");
        }
    }
}

#[test]
fn a_tuned_run_says_so_and_its_plan_names_the_file() {
    let temp = tempfile::tempdir().unwrap();
    let dir = RunDir::create(Some(&temp.path().join("a")), temp.path(), "x").unwrap();
    let plan = tiny(&["federation.clients=1", "rounds=1"]);
    // The cpu engine has no variants, so no file is read.
    let mut heard = Heard::default();
    let mut prepared = Session::new(plan.clone()).prepare(&mut heard).unwrap();
    assert!(heard.warnings.is_empty(), "{:?}", heard.warnings);
    assert_eq!(prepared.device(), "device    the built-in cpu engine, as requested");
    prepared.resolved.tuning = Some("folder/t.json".into());
    assert_eq!(prepared.device(), "device    the built-in cpu engine, as requested; tuned by folder/t.json");
    prepared.train(&dir, &mut Silent).unwrap();
    let text = std::fs::read_to_string(dir.file("plan.toml")).unwrap();
    assert!(text.contains("tuning = \"folder/t.json\""), "{text}");
    assert_eq!(config::load(Some(&dir.file("plan.toml")), &Overrides::default()).unwrap(), plan);
}

#[test]
fn missing_images_name_the_key() {
    for kind in ["folder", "npz"] {
        let data = format!("data={{ kind = \"{kind}\", path = \"path/to/images\" }}");
        let error = prepared(&tiny(&[&data]), &mut Silent).err().unwrap();
        assert!(error.to_string().starts_with("data.path = \"path/to/images\": no such "), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

/// A learning rate at which all weights diverge: the files that each policy leaves.
#[test]
fn absurd_training_stops_is_left_out_or_is_recorded() {
    let temp = tempfile::tempdir().unwrap();
    let run = |policy: &str| {
        let nonfinite = format!("federation.nonfinite={policy}");
        let plan = tiny(&["federation.clients=2", "train.local_steps=2", "train.lr=1e30", "rounds=3", &nonfinite]);
        let dir = temp.path().join(policy);
        let done = train(plan, &dir);
        (done, crate::report::metrics::read_jsonl(&dir.join("metrics.jsonl")).unwrap(), dir)
    };
    let (stopped, records, dir) = run("stop");
    let error = stopped.err().unwrap();
    assert!(matches!(error, Error::NotFinite(_)) && error.to_string().starts_with("round 1: client 0: "), "{error}");
    assert!(records.is_empty() && !dir.join("summary.json").exists());

    let (dropped, records, _) = run("drop");
    assert!(dropped.err().unwrap().to_string().starts_with("round 3: client 0: "));
    assert_eq!(records.len(), 2);
    for client in records.iter().flat_map(|r| &r.clients) {
        assert!(client.weight == 0.0 && client.nonfinite.as_ref().is_some_and(|what| what.contains("main.")));
    }

    let (recorded, records, dir) = run("record");
    assert_eq!((recorded.unwrap().summary.diverged, records.len()), (6, 3));
    assert!(records.iter().flat_map(|r| &r.clients).all(|c| c.weight == 0.5 && c.nonfinite.is_some()));
    let csv = std::fs::read_to_string(dir.join("metrics.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().contains(",D weights main."), "{csv}");
}

/// Names of client folders appear beside the ids in all files of a run, in natural order.
#[test]
fn clients_are_named_in_every_output() {
    let temp = tempfile::tempdir().unwrap();
    let images = temp.path().join("images");
    for client in ["client10", "client2", "client1, \"east\""] {
        std::fs::create_dir_all(images.join(client)).unwrap();
        for i in 0..16 {
            let picture = image::GrayImage::from_pixel(16, 16, image::Luma([15 * i]));
            picture.save(images.join(client).join(format!("{i}.png"))).unwrap();
        }
    }
    let data = format!("data={{ kind = \"folder\", path = {images:?} }}");
    let set = ["federation.partition=sites", "federation.clients=3", "attack.malicious=[\"client10\"]"];
    let plan = tiny(&[&[data.as_str()][..], &set].concat());
    assert_eq!(plan.attack.malicious, [2]);
    let mut heard = Heard::default();
    let prepared = prepared(&plan, &mut heard).unwrap();
    assert!(prepared.describe().contains("malicious: [2 client10]"), "{}", prepared.describe());
    let dir = RunDir::create(Some(&temp.path().join("run")), temp.path(), "x").unwrap();
    let Trained::Finished(finished) = prepared.train(&dir, &mut Silent).unwrap() else { panic!("stopped") };
    let summary = finished.summary;
    let names = ["client1, \"east\"", "client2", "client10"];
    assert_eq!(summary.clients, names);
    assert!(
        heard.notes.iter().any(|l| l.contains("0 client1, \"east\" (16), 1 client2 (16), 2 client10 (16)")),
        "{:?}",
        heard.notes
    );
    let records = crate::report::metrics::read_jsonl(&dir.file("metrics.jsonl")).unwrap();
    for (client, name) in records[1].clients.iter().zip(names) {
        assert_eq!((client.name.as_deref(), client.malicious), (Some(name), name == "client10"));
    }
    let table = std::fs::read_to_string(dir.file("metrics.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with(",nonfinite,name") && lines[3].ends_with(",client10"), "{table}");
    assert!(lines[1].ends_with(",\"client1, \"\"east\"\"\""), "{table}");
    let written = std::fs::read_to_string(dir.file(layout::PLAN)).unwrap();
    let tree: toml::Table = written.parse().unwrap();
    assert_eq!(tree["resolved"]["clients"].as_array().unwrap().len(), 3);
    // The plan in the run directory contains ids, and is read without the folder.
    assert_eq!(tree["attack"]["malicious"].as_array().unwrap()[0].as_integer(), Some(2));
}
