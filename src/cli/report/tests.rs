use super::*;
use crate::config::{Overrides, Resolved, load};
use crate::exec::Descriptor;
use std::fs;

/// A run directory as `fedgan run` leaves it when it is stopped before its first round.
fn begun(dir: &Path) {
    let word = |w: &str| w.to_string();
    let device = Descriptor {
        engine: word("cpu"),
        adapter: word("f32, 2 threads"),
        address: String::new(),
        backend: word("-"),
        device_type: word("Cpu"),
        driver: word("-"),
        variant: word("-"),
    };
    let update = "attack.update={ kind = \"ipm\", knowledge = \"own\" }";
    let set = ["attack.malicious=[1]", update, "detection.kind=isolation-forest"].map(String::from).to_vec();
    let plan = load(None, &Overrides { set, seed: Some(9), ..Default::default() }).unwrap();
    fs::create_dir(dir).unwrap();
    fs::write(dir.join("plan.toml"), plan.to_toml(&Resolved::new(&device, "test")).unwrap()).unwrap();
    fs::write(dir.join("metrics.jsonl"), "").unwrap();
}

fn args(dir: &Path, out: &Path, force: bool) -> ReportArgs {
    ReportArgs { dirs: vec![dir.into()], out: out.into(), reference: None, force, watch: false, every: 0.1 }
}

#[test]
fn plans_of_runs_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("run");
    begun(&dir);
    let facts = facts(&dir.join("plan.toml")).unwrap();
    assert_eq!((facts.seed, facts.rounds, facts.clients, facts.warmup), (9, 50, 4, Some(10)));
    assert_eq!((facts.keys["attack.malicious"].as_str(), facts.engine().as_str()), ("[1]", "cpu: f32, 2 threads"));
    assert_eq!(facts.attackers.as_deref(), Some("patch: its own images; ipm: the updates of all malicious clients"));
    assert!(facts.keys.keys().all(|k| !k.starts_with("resolved") && k != "seed"));
    fs::write(dir.join("plan.toml"), "seed = 'x'").unwrap();
    let out = temp.path().join("r.html");
    let error = run(args(&dir, &out, false)).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("plan.toml: not a plan"), "{error}");
    assert!(!out.exists());
}

#[test]
fn only_reports_are_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, out) = (temp.path().join("run"), temp.path().join("r.html"));
    begun(&dir);
    run(args(&dir, &out, false)).unwrap();
    let first = fs::read(&out).unwrap();
    run(args(&dir, &out, false)).unwrap();
    assert_eq!(fs::read(&out).unwrap(), first, "a report is replaced by the same bytes");
    fs::write(&out, "mine").unwrap();
    let error = run(args(&dir, &out, false)).unwrap_err();
    assert!(
        error.exit_code() == 2 && error.to_string().contains("r.html: exists, and this option has not written it"),
        "{error}"
    );
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    run(args(&dir, &out, true)).unwrap();
    assert_eq!(fs::read(&out).unwrap(), first);
    for own in
        ["plan.toml", "metrics.jsonl"].map(|name| dir.join(name)).iter().filter(|p| p.metadata().unwrap().len() > 0)
    {
        let (before, error) = (fs::read(own).unwrap(), run(args(&dir, own, true)).unwrap_err());
        assert!(error.exit_code() == 2 && error.to_string().contains("in this report"), "{error}");
        assert_eq!(fs::read(own).unwrap(), before);
    }
    assert_eq!(run(args(&dir, temp.path(), true)).unwrap_err().exit_code(), 2);
    assert_eq!(run(args(&dir, &temp.path().join("no/r.html"), true)).unwrap_err().exit_code(), 2);
}

#[test]
fn a_watch_refuses_what_a_report_refuses() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, out) = (temp.path().join("run"), temp.path().join("r.html"));
    let watch = |dir: &Path| run(ReportArgs { watch: true, ..args(dir, &out, false) }).unwrap_err();
    let refused =
        |error: Error, what: &str| assert!(error.exit_code() == 2 && error.to_string().contains(what), "{error}");
    refused(watch(&dir), "run: no such directory");
    fs::create_dir(&dir).unwrap();
    refused(watch(&dir), "run: neither a run directory");
    fs::remove_dir(&dir).unwrap();
    begun(&dir);
    fs::write(dir.join("metrics.jsonl"), "{}\n").unwrap();
    refused(watch(&dir), "metrics.jsonl: line 1: not a round record");
    assert!(!out.exists());
    fs::write(&out, "mine").unwrap();
    refused(watch(&dir), "r.html: exists, and this option has not written it");
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(["0.1", "3600"].map(every), [Ok(0.1), Ok(3600.0)]);
    assert!(["0", "-1", "nan", "1h", "3601"].iter().all(|bad| every(bad).is_err()));
}
