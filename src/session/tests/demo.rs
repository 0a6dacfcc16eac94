//! The demo: three runs and their page.

use crate::report::layout;
use crate::session::demo::Demo;
use crate::session::{Observer, Silent};
use crate::{Error, Result};
use std::fs;
use std::path::Path;

const SET: [&str; 8] = [
    "rounds=13",
    "device=cpu",
    "model={ image_size = 16, width = 2, latent = 4 }",
    "train.batch=4",
    "train.local_steps=1",
    "data={ kind = \"dermoscopy\", n = 60 }",
    "evaluation.samples=4",
    "checkpoint.every=1",
];

fn demo(dir: &Path, more: &[&str]) -> Result<Demo> {
    let set: Vec<String> = SET.iter().chain(more).map(|s| s.to_string()).collect();
    Demo::new(dir, &set, None).map(|demo| demo.tuned(false))
}

fn train(demo: &Demo) -> bool {
    let (mut a, mut b, mut c) = (Silent, Silent, Silent);
    let mut observers: [&mut (dyn Observer + Send); 3] = [&mut a, &mut b, &mut c];
    demo.train(&mut observers).unwrap()
}

/// Stops its run before the round after `left`.
struct Stops {
    left: u32,
}

impl Observer for Stops {
    fn stop(&mut self) -> bool {
        self.left == 0 || {
            self.left -= 1;
            false
        }
    }
}

fn refusal(answer: Result<Demo>) -> String {
    let error: Error = answer.unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

#[test]
fn a_demo_is_continued_kept_and_told() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("demo");
    let begun = demo(&dir, &[]).unwrap();
    assert_eq!(begun.names().collect::<Vec<_>>(), ["honest", "attacked", "defended"]);
    assert!(!dir.exists(), "nothing is written before the training");
    let (mut a, mut b, mut c) = (Silent, Stops { left: 1 }, Stops { left: 2 });
    let mut observers: [&mut (dyn Observer + Send); 3] = [&mut a, &mut b, &mut c];
    assert!(!begun.train(&mut observers).unwrap(), "two runs were stopped");
    assert!(begun.tell().is_err(), "two runs have no results");
    let summary = |name: &str| fs::read(dir.join(name).join(layout::SUMMARY));
    let honest = summary("honest").unwrap();
    assert!(summary("attacked").is_err() && dir.join("attacked").join(layout::PLAN).exists());

    let continued = demo(&dir, &[]).unwrap();
    assert!(train(&continued));
    continued.tell().unwrap();
    assert_eq!(summary("honest").unwrap(), honest, "a finished run is kept");
    let page = fs::read_to_string(continued.page()).unwrap();
    assert!(page.contains("1 x 1 pixels, 0.39 %") && page.contains("after 13 rounds"), "{page}");
    for picture in ["samples.png", "trigger.png"] {
        assert!(image::open(dir.join(picture)).unwrap().width() > 400, "{picture}");
    }
    let again = demo(&dir, &[]).unwrap();
    assert!(train(&again));
    again.tell().unwrap();
    assert_eq!(fs::read_to_string(again.page()).unwrap(), page, "the same runs give the same page");
}

#[test]
fn a_directory_of_something_else_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("notes.txt"), "mine").unwrap();
    assert!(refusal(demo(temp.path(), &[])).contains("notes.txt"));
    fs::rename(temp.path().join("notes.txt"), temp.path().join("index.html")).unwrap();
    assert!(refusal(demo(temp.path(), &[])).contains("index.html: exists"));
    fs::remove_file(temp.path().join("index.html")).unwrap();
    fs::create_dir(temp.path().join("honest")).unwrap();
    fs::write(temp.path().join("honest/plan.toml"), "rounds = 2\n").unwrap();
    assert!(refusal(demo(temp.path(), &[])).contains("other keys"));
    assert!(refusal(demo(&temp.path().join("new"), &["train.batch=0"])).contains("train.batch"));
    // No sweep is named: the user has run none.
    let few = refusal(demo(&temp.path().join("new"), &["rounds=3"]));
    assert!(few.starts_with("the runs of the demo: defended: detection.warmup = 10: must be below"), "{few}");
    assert!(few.ends_with("\na demo needs 12 rounds, so that its detector gives a verdict: --set rounds=12"), "{few}");
    demo(&temp.path().join("new"), &["rounds=12"]).unwrap();
    let own = refusal(demo(&temp.path().join("new"), &["attack.malicious=[1]"]));
    assert_eq!(own, "--set attack.malicious=[1]: the demo's runs differ in this key");
}

#[test]
fn the_first_error_ends_all_runs() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("demo");
    let begun = demo(&dir, &["rounds=100000", "data={ kind = \"folder\", path = \"missing\" }"]).unwrap();
    let (mut a, mut b, mut c) = (Silent, Silent, Silent);
    let mut observers: [&mut (dyn Observer + Send); 3] = [&mut a, &mut b, &mut c];
    let error = begun.train(&mut observers).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().starts_with("honest: "), "{error}");
}
