use super::*;
use crate::perf::tune::Tried;
use std::sync::Arc;

const TINY: [&str; 8] = [
    "model.image_size=16",
    "model.width=4",
    "model.latent=4",
    "train.batch=8",
    "train.local_steps=1",
    "federation.clients=2",
    "evaluation.metrics=[\"leakage\"]",
    "data={ kind = \"dermoscopy\", n = 40 }",
];

fn args(device: &str, out: Option<PathBuf>) -> TuneArgs {
    let set = TINY.map(String::from).to_vec();
    TuneArgs { set, device: Some(device.into()), out, variant: Some(Class::Tiled), seconds: 0.0, ..TuneArgs::default() }
}

fn plan(set: &[&str]) -> Plan {
    let set = TINY.iter().chain(set).map(|s| s.to_string()).collect();
    config::load(None, &Overrides { set, ..Overrides::default() }).unwrap()
}

fn tiled(tuning: Option<Tuning>) -> GpuEngine {
    let tuning = tuning.map(Arc::new);
    GpuEngine::open("gpu", GpuOptions { class: Some(Class::Tiled), tuning, ..GpuOptions::default() }).unwrap()
}

/// The file that is written fits its adapter, names every launch of the step, keeps what it has, and an engine trains with it.
#[test]
fn a_tiny_plan_is_tuned_and_an_engine_takes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("t.json");
    let facts = adapter("gpu").unwrap().facts;
    let mut before = Tuning::new(&facts);
    before.picks.insert("conv2d:of another plan".into(), "64x64".into());
    before.save(&out).unwrap();
    assert_eq!(run(args("gpu", Some(out.clone()))).unwrap(), 0);
    let tuning = Tuning::load(&out).unwrap().unwrap();
    tuning.matches(&facts).unwrap();
    let plan = plan(&[]);
    let found = launches(&plan, &tiled(None)).unwrap();
    assert!(found.len() >= 6, "{}", found.len());
    assert_eq!(tuning.picks.len(), found.len() + 1);
    assert_eq!(tuning.picks["conv2d:of another plan"], "64x64");
    for shape in &found {
        assert!(tuning.build(shape.kernel, &shape.params).is_some(), "{}", shape.label);
    }
    let images = Images::load(&plan).unwrap();
    let mut federation = parts(&plan, &images, Box::new(tiled(Some(tuning)))).unwrap().federation;
    let report = federation.run_round().unwrap();
    assert!(report.clients.iter().all(|c| c.trained.mean[2].is_finite()) && report.diverged().is_empty());
}

#[test]
fn chunks_of_clients_are_tuned_as_one() {
    let engine = tiled(None);
    let keys = |set: &[&str]| -> Vec<String> {
        let found = launches(&plan(set), &engine).unwrap();
        let mut keys: Vec<String> = found.iter().map(|s| tuning::key(s.kernel, &s.params)).collect();
        keys.sort();
        keys
    };
    let whole = keys(&["federation.clients=3"]);
    assert_eq!(whole, keys(&["federation.clients=3", "federation.clients_per_launch=2"]));
    assert_ne!(whole, keys(&["federation.clients=3", "train.batch=4"]));
}

#[test]
fn engines_without_an_adapter_are_refused_and_direct_shaders_have_no_choice() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("t.json");
    for device in ["cpu", "reference"] {
        let error = run(args(device, Some(out.clone()))).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("needs a GPU adapter"), "{error}");
        assert!(error.to_string().contains("as requested"), "{error}");
    }
    let direct = TuneArgs { variant: Some(Class::Direct), ..args("gpu", Some(out.clone())) };
    assert_eq!(run(direct).unwrap(), 0);
    assert!(!out.exists(), "nothing was measured");
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("t.json");
    let facts = adapter("gpu").unwrap().facts;
    let mut other = Tuning::new(&facts);
    other.driver = "another".into();
    for text in ["my notes".to_string(), serde_json::to_string(&other).unwrap()] {
        std::fs::write(&out, &text).unwrap();
        let error = run(args("gpu", Some(out.clone()))).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("t.json"), "{error}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), text);
    }
}

#[test]
fn rows_say_what_was_chosen_and_what_is_wrong() {
    let shape = launches(&plan(&[]), &tiled(None)).unwrap().remove(0);
    let tried = [("32x32", Ok(vec![2e-3; 9])), ("64x64", Ok(vec![1e-3; 9])), ("128x128", Err("element 7".to_string()))];
    let tried = tried.into_iter().map(|(name, outcome)| Tried { name, outcome }).collect();
    let text = row(&Tuned { shape: shape.clone(), tried });
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(&shape.label) && lines[0].ends_with("0.50"), "{text}");
    assert!(lines[0].contains("32x32 2") && lines[0].contains("64x64 1"), "{text}");
    assert!(lines[1].contains("128x128 is WRONG") && lines[1].ends_with("element 7"), "{text}");
}
