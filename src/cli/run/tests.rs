use super::*;
use crate::data::{DataConfig, Loaded};
use crate::report::metrics::TimingRecord;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Sources in the form of a model, loaded once for all plans that use them: to decode them takes most of the time here.
static LOADED: Mutex<Vec<(Form, Loaded)>> = Mutex::new(Vec::new());

/// A source, the model's image size and channels.
type Form = (DataConfig, [u32; 2]);

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

/// Every file of a run directory by its name, what never repeats left out.
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
        let dir = RunDir::create(Some(&temp.path().join(name)), temp.path(), "x").unwrap();
        let prepared = Prepared::new(plan.clone(), 7, &|_| ()).unwrap();
        let finished = prepared.train(&dir, ProgressMode::Quiet).unwrap();
        (dir, finished)
    };
    let ((a, first), (b, _)) = (run("a"), run("b"));
    let all = |dir: &RunDir| {
        let mut out = BTreeMap::new();
        files(dir.path(), "", &mut out);
        out
    };
    let (left, right) = (all(&a), all(&b));
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>());
    for (name, bytes) in &left {
        assert!(bytes == &right[name], "{name} differs");
    }
    let summary = Summary::read(a.path()).unwrap();
    assert_eq!(summary, first.summary);
    let records = crate::report::metrics::read_jsonl(&a.file("metrics.jsonl")).unwrap();
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
    let dir = RunDir::create(None, temp.path(), "x").unwrap();
    let finished = Prepared::new(tiny(&["federation.clients=1"]), 7, &|_| ()).unwrap().train(&dir, ProgressMode::Quiet);
    assert!(finished.unwrap().summary.detector.is_none());
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
        let dir = RunDir::create(Some(&temp.path().join(format!("{critic}-{local}"))), temp.path(), "x").unwrap();
        Prepared::new(tiny(&set), 7, &|_| ()).unwrap().train(&dir, ProgressMode::Quiet).unwrap();
        let text = std::fs::read_to_string(dir.file("timing.jsonl")).unwrap();
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
    let silent = |text: &str| panic!("{text}");
    let plan = tiny(&["federation.clients=1", "rounds=1"]);
    // The cpu engine has no variants: no file is looked for.
    let mut prepared = Prepared::tuned(plan.clone(), 7, Some(&silent), &|_| ()).unwrap();
    assert_eq!(prepared.device(), "device    the built-in cpu engine, as asked");
    prepared.resolved.tuning = Some("folder/t.json".into());
    assert_eq!(prepared.device(), "device    the built-in cpu engine, as asked; tuned by folder/t.json");
    prepared.train(&dir, ProgressMode::Quiet).unwrap();
    let text = std::fs::read_to_string(dir.file("plan.toml")).unwrap();
    assert!(text.contains("tuning = \"folder/t.json\""), "{text}");
    assert_eq!(config::load(Some(&dir.file("plan.toml")), &Overrides::default()).unwrap(), plan);
}

#[test]
fn missing_images_name_the_key() {
    for kind in ["folder", "npz"] {
        let data = format!("data={{ kind = \"{kind}\", path = \"path/to/images\" }}");
        let error = Prepared::new(tiny(&[&data]), 7, &|_| ()).err().unwrap();
        assert!(error.to_string().starts_with("data.path = \"path/to/images\": no such "), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}

/// A learning rate that no weight survives: what each policy leaves behind.
#[test]
fn absurd_training_stops_is_left_out_or_is_recorded() {
    let temp = tempfile::tempdir().unwrap();
    let run = |policy: &str| {
        let nonfinite = format!("federation.nonfinite={policy}");
        let plan = tiny(&["federation.clients=2", "train.local_steps=2", "train.lr=1e30", "rounds=3", &nonfinite]);
        let dir = RunDir::create(Some(&temp.path().join(policy)), temp.path(), "x").unwrap();
        let done = Prepared::new(plan, 0, &|_| ()).unwrap().train(&dir, ProgressMode::Quiet);
        (done, crate::report::metrics::read_jsonl(&dir.file("metrics.jsonl")).unwrap(), dir)
    };
    let (stopped, records, dir) = run("stop");
    let error = stopped.err().unwrap();
    assert!(matches!(error, Error::NotFinite(_)) && error.to_string().starts_with("round 1: client 0: "), "{error}");
    assert!(records.is_empty() && !dir.file("summary.json").exists());

    let (dropped, records, _) = run("drop");
    assert!(dropped.err().unwrap().to_string().starts_with("round 3: client 0: "));
    assert_eq!(records.len(), 2);
    for client in records.iter().flat_map(|r| &r.clients) {
        assert!(client.weight == 0.0 && client.nonfinite.as_ref().is_some_and(|what| what.contains("main.")));
    }

    let (recorded, records, dir) = run("record");
    assert_eq!((recorded.unwrap().summary.diverged, records.len()), (6, 3));
    assert!(records.iter().flat_map(|r| &r.clients).all(|c| c.weight == 0.5 && c.nonfinite.is_some()));
    let csv = std::fs::read_to_string(dir.file("metrics.csv")).unwrap();
    assert!(csv.lines().nth(1).unwrap().contains(",D weights main."), "{csv}");
}

/// Names of client folders stand beside the ids in all that a run writes, in natural order.
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
    let set = ["federation.partition=client-folders", "federation.clients=3", "attack.malicious=[\"client10\"]"];
    let plan = tiny(&[&[data.as_str()][..], &set].concat());
    assert_eq!(plan.attack.malicious, [2]);
    let said = std::cell::RefCell::new(Vec::new());
    let prepared = Prepared::new(plan, 0, &|line| said.borrow_mut().push(line.to_string())).unwrap();
    assert!(prepared.describe().contains("malicious: [2 client10]"), "{}", prepared.describe());
    let dir = RunDir::create(Some(&temp.path().join("run")), temp.path(), "x").unwrap();
    let summary = prepared.train(&dir, ProgressMode::Quiet).unwrap().summary;
    let names = ["client1, \"east\"", "client2", "client10"];
    assert_eq!(summary.clients, names);
    assert!(
        said.borrow().iter().any(|l| l.contains("0 client1, \"east\" (16), 1 client2 (16), 2 client10 (16)")),
        "{said:?}"
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
    // The plan that a run leaves holds ids, and needs no folder to be read.
    assert_eq!(tree["attack"]["malicious"].as_array().unwrap()[0].as_integer(), Some(2));
}
