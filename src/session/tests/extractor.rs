//! Runs that measure on the features of an ONNX file.

use super::*;
use crate::metric::Metric;
use crate::metric::extractor_tests::builder::Small;
use crate::session::evaluate::{self, FoldersOptions, RunOptions};
use std::path::PathBuf;

/// A plan with the network `features.onnx` in `root`, and the network's path.
fn with_network(root: &Path, more: &[&str]) -> (Plan, PathBuf) {
    let path = root.join("features.onnx");
    std::fs::write(&path, Small::new(3, 6).graph(16).file()).unwrap();
    let own = format!("evaluation.extractor={}", path.display());
    let metrics = "evaluation.metrics=[\"kid\", \"fd\"]";
    let set = [&own, metrics, "evaluation.extractor_range=[-1, 1]", "evaluation.every=1", "model.channels=3"];
    (tiny(&[&set[..], more].concat()), path)
}

fn measured(dir: &Path, set: &[String]) -> Result<Vec<String>> {
    let options = RunOptions {
        metrics: vec![Metric::Fd, Metric::Kid],
        device: Some("cpu".into()),
        set: set.to_vec(),
        ..RunOptions::default()
    };
    let values = evaluate::run(dir, &options, &mut Silent)?.values;
    Ok(values.into_iter().map(|v| format!("{} {}", v.name, v.value)).collect())
}

#[test]
fn a_run_measures_on_its_extractor_and_so_does_eval() {
    let temp = tempfile::tempdir().unwrap();
    let (plan, path) = with_network(temp.path(), &[]);
    let dir = temp.path().join("run");
    let summary = train(plan, &dir).unwrap().summary;
    let digest = crate::metric::extractor_digest(&path).unwrap();
    let label = format!("features-{}", &digest[..8]);
    assert_eq!(summary.digests.as_ref().unwrap().extractor.as_ref(), Some(&digest));
    let names =
        [&summary.metrics, &summary.untrained, &summary.floors].map(|of| of.keys().cloned().collect::<Vec<_>>());
    assert!(names.iter().flatten().all(|name| name.contains(&format!("_{label}_px16_catmullrom16_"))), "{names:?}");
    let again = measured(&dir, &[]).unwrap();
    for line in &again {
        let (name, value) = line.split_once(' ').unwrap();
        assert_eq!(summary.metrics[name].to_string(), value, "{name}");
    }
    // Another place is accepted; another file is refused, unless it is asked for.
    let moved = temp.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    let set = |path: &Path| vec![format!("evaluation.extractor={}", path.display())];
    std::fs::rename(&path, moved.join("features.onnx")).unwrap();
    assert!(measured(&dir, &[]).unwrap_err().to_string().contains("features.onnx\": "));
    assert_eq!(measured(&dir, &set(&moved.join("features.onnx"))).unwrap(), again);
    std::fs::write(&path, Small::new(3, 7).graph(16).file()).unwrap();
    let error = measured(&dir, &[]).unwrap_err();
    assert!(
        error.exit_code() == 2 && error.to_string().contains("the extractor is not what the run has used"),
        "{error}"
    );
    let other = measured(&dir, &set(&path)).unwrap();
    assert!(other.iter().all(|line| line.contains("_features-") && !line.contains(&label)), "{other:?}");
    let refused = measured(&dir, &["evaluation.samples=5".into()]).unwrap_err();
    assert!(refused.to_string().contains("and evaluation.extractor with its options"), "{refused}");
}

#[test]
fn a_run_goes_on_with_the_same_extractor_only() {
    let temp = tempfile::tempdir().unwrap();
    let (plan, path) = with_network(temp.path(), &["rounds=3", "checkpoint.every=1"]);
    let [whole, dir] = ["whole", "stopped"].map(|name| temp.path().join(name));
    train(plan.clone(), &whole).unwrap();
    let session = Session::new(plan.clone()).directory(&dir).verify_every(0).tuned(false);
    session.train(&mut Heard::stopping(2)).unwrap();
    let go_on = |set: &[String]| {
        let overrides = Overrides { set: set.to_vec(), ..Default::default() };
        Session::resume(&dir, &overrides)?.verify_every(0).tuned(false).train(&mut Silent).map(|_| ())
    };
    let kept = std::fs::read(&path).unwrap();
    std::fs::write(&path, Small::new(3, 7).graph(16).file()).unwrap();
    let error = go_on(&[]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("or the extractor differ"), "{error}");
    let error = go_on(&["evaluation.extractor_range=[0, 1]".into()]).unwrap_err();
    assert!(error.to_string().contains("evaluation.extractor_range = [-1.0, 1.0], now [0.0, 1.0]"), "{error}");
    // The same file under another name would give the metrics other names.
    let other = temp.path().join("other.onnx");
    std::fs::write(&other, &kept).unwrap();
    let error = go_on(&[format!("evaluation.extractor={}", other.display())]).unwrap_err();
    assert!(error.to_string().contains("or the extractor differ"), "{error}");
    std::fs::write(&path, kept).unwrap();
    go_on(&[]).unwrap();
    let [a, b] = [&whole, &dir].map(|dir| std::fs::read(dir.join("evaluation.csv")).unwrap());
    assert_eq!(a, b);
}

#[test]
fn folders_are_measured_on_a_network_too() {
    let temp = tempfile::tempdir().unwrap();
    let (_, path) = with_network(temp.path(), &[]);
    let folder = |name: &str, shade: u8| {
        let folder = temp.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for i in 0..4u8 {
            let image = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([shade + i * 9 + (x * y % 7) as u8]));
            image.save(folder.join(format!("{i}.png"))).unwrap();
        }
        folder
    };
    let (real, fake) = (folder("real", 40), folder("fake", 150));
    let set = vec![format!("evaluation.extractor={}", path.display()), "evaluation.extractor_range=[0, 1]".into()];
    let options = |set: Vec<String>| FoldersOptions { metrics: vec![Metric::Fd], set, ..FoldersOptions::default() };
    let found = evaluate::folders(&real, &fake, &options(set), &mut Silent).unwrap();
    assert!(found.values[0].name.starts_with("fd_features-") && found.values[0].value > 0.0, "{:?}", found.values);
    assert!(found.features.unwrap().contains("6 of output \"features\", resize catmullrom16"));
    let error = evaluate::folders(&real, &fake, &options(vec!["data.path=x".into()]), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("takes keys of evaluation.extractor only"), "{error}");
}
