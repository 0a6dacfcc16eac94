//! Resumed runs equal uninterrupted ones bit for bit.

use super::*;
use crate::report::checkpoint;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub(super) fn start(plan: &Plan, path: &Path, stop: u32) -> Trained {
    let session = Session::new(plan.clone()).directory(path).verify_every(0).tuned(false);
    session.train(&mut Heard::stopping(stop)).unwrap()
}

/// Continues in `path` for at most `rounds`; returns the warnings too.
pub(super) fn go_on(plan: &Plan, path: &Path, rounds: u32) -> Result<(Trained, Vec<String>)> {
    let dir = RunDir::reopen_any(path)?;
    super::super::resume::has_more(&dir, plan)?;
    let mut prepared = prepared(plan, &mut Silent)?;
    let mut heard = Heard::stopping(rounds);
    let line = prepared.resume(&dir, &mut heard)?;
    heard.warnings.push(line);
    let trained = prepared.train(&dir, &mut heard)?;
    Ok((trained, heard.warnings))
}

/// All files of a run, except for content that may differ after resuming.
fn left(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    files(path, "", &mut out);
    if let Some(bytes) = out.get_mut("summary.json") {
        let mut summary: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let object = summary.as_object_mut().unwrap();
        object.remove("resumed");
        object.remove("verified");
        *bytes = summary.to_string().into_bytes();
    }
    out
}

fn rounds_kept(path: &Path) -> Vec<u32> {
    checkpoint::list(&RunDir::reopen_any(path).unwrap()).unwrap().iter().map(|c| c.0).collect()
}

pub(super) fn same(a: &Path, b: &Path, what: &str) {
    let (a, b) = (left(a), left(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
    for (name, bytes) in &a {
        assert!(bytes == &b[name], "{what}: {name} differs");
    }
}

fn every_round(set: &[&str]) {
    let rounds = 12;
    let plan = tiny(&[&["rounds=12", "evaluation.every=5", "checkpoint.every=4"][..], set].concat());
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    assert!(matches!(start(&plan, &whole, u32::MAX), Trained::Finished(_)));
    assert_eq!(rounds_kept(&whole), [12], "what it may be trained further from");
    for round in 0..rounds {
        let path = temp.path().join(format!("stopped-{round}"));
        assert!(matches!(start(&plan, &path, round), Trained::Interrupted { done } if done == round));
        let (trained, heard) = go_on(&plan, &path, u32::MAX).unwrap();
        assert_eq!(heard, [format!("resumed   after round {round} of 12")]);
        let Trained::Finished(finished) = trained else { panic!("stopped again") };
        assert_eq!(finished.summary.resumed.len(), 1);
        assert_eq!(finished.summary.resumed[0].round, round);
        same(&whole, &path, &format!("{set:?} stopped after round {round}"));
    }
    let path = temp.path().join("steps");
    start(&plan, &path, 0);
    for round in 1..=rounds {
        let (trained, _) = go_on(&plan, &path, 1).unwrap();
        assert!(matches!(trained, Trained::Finished(_)) == (round == rounds));
    }
    same(&whole, &path, "a round a process");
}

#[test]
fn an_honest_run_goes_on_at_every_round() {
    every_round(&["federation.clients=2", "evaluation.metrics=[\"sliced-wasserstein\"]"]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn an_attacked_run_goes_on_at_every_round() {
    every_round(&[
        "federation.clients=3",
        "attack.malicious=1",
        "attack.update={ kind = \"scale\", factor = 3 }",
        "federation.shared=both",
    ]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn a_run_with_the_published_rule_goes_on_at_every_round() {
    every_round(&[
        "federation.clients=4",
        "attack.malicious=1",
        "detection.kind=isolation-forest-published",
        "detection.warmup=2",
    ]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn a_run_with_the_corrected_rule_goes_on_at_every_round() {
    every_round(&[
        "federation.clients=3",
        "attack.malicious=1",
        "detection.kind=isolation-forest",
        "detection.features=all",
        "detection.warmup=2",
        "federation.clients_per_launch=2",
    ]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn a_regularised_run_goes_on_at_every_round() {
    every_round(&["federation.clients=2", "train.loss=wgan-gp", "train.n_critic=2", "train.optimizer=rmsprop"]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn runs_with_rules_that_remember_go_on_at_every_round() {
    for rule in ["centred-clipping", "foolsgold"] {
        let rule = format!("federation.aggregation.rule={rule}");
        let tau = "federation.aggregation.tau=0.05";
        let mut set = vec!["federation.clients=4", "attack.malicious=1", "federation.shared=both", rule.as_str()];
        set.extend(rule.ends_with("clipping").then_some(tau));
        every_round(&set);
    }
}

/// A round a process gives the same files.
fn a_round_a_process(set: &[&str]) {
    let plan = tiny(&[&["rounds=4"], set].concat());
    let temp = tempfile::tempdir().unwrap();
    let (whole, path) = (temp.path().join("whole"), temp.path().join("stopped"));
    start(&plan, &whole, u32::MAX);
    start(&plan, &path, 1);
    (1..4).for_each(|_| drop(go_on(&plan, &path, 1).unwrap()));
    same(&whole, &path, &format!("{set:?}"));
}

#[test]
fn runs_with_rules_that_remember_go_on() {
    let four = ["federation.clients=4", "attack.malicious=1", "federation.clients_per_launch=3"];
    for rule in [
        "federation.aggregation={ rule = \"centred-clipping\", tau = 0.05, iterations = 2 }",
        "federation.aggregation={ rule = \"foolsgold\" }",
    ] {
        a_round_a_process(&[&four[..], &[rule]].concat());
    }
    a_round_a_process(&[&four[..], &["federation.client_momentum=0.9", "federation.shared=both"]].concat());
    a_round_a_process(&[
        "federation.clients=4",
        "federation.shared=both",
        "federation.server_images=16",
        "federation.aggregation=fltrust",
    ]);
    a_round_a_process(&[
        "federation.clients=5",
        "federation.pre_aggregation={ rule = \"bucketing\", s = 2 }",
        "federation.aggregation={ rule = \"norm-clip\", sigma = 1e-4 }",
    ]);
}

#[test]
fn a_run_on_the_gpu_goes_on() {
    let set = ["rounds=4", "federation.clients=3", "detection.kind=isolation-forest", "detection.warmup=1"];
    let plan = tiny_on("gpu", &set);
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    start(&plan, &whole, u32::MAX);
    let path = temp.path().join("stopped");
    for round in 0..4 {
        match round {
            0 => drop(start(&plan, &path, 1)),
            _ => drop(go_on(&plan, &path, 1).unwrap()),
        }
    }
    same(&whole, &path, "gpu");
}

/// Free riders and Neurotoxin remember the last broadcast, in the rounds before the attack starts too; random numbers follow from the
/// round.
#[test]
fn runs_with_attacks_on_updates_go_on() {
    for update in [
        "{ kind = \"neurotoxin\", top = 0.5, norm = 0.1 }",
        "{ kind = \"free-rider\", sigma = 0.001 }",
        "{ kind = \"fang-median\" }",
    ] {
        let update = format!("attack.update={update}");
        let clients = ["federation.clients=3", "federation.clients_per_launch=2", "federation.shared=both"];
        a_round_a_process(&[&clients[..], &["attack.malicious=1", "attack.start_round=2", &update]].concat());
    }
}

fn tiny_on(device: &str, set: &[&str]) -> Plan {
    Plan { device: device.into(), ..tiny(set) }
}

/// Stopped after three of six rounds, with checkpoints of rounds 2 and 3.
fn stopped(path: &Path) -> Plan {
    let plan = tiny(&["rounds=6", "federation.clients=2", "checkpoint.every=1"]);
    start(&plan, path, 3);
    let rounds: Vec<u32> = checkpoint::list(&RunDir::reopen(path).unwrap()).unwrap().iter().map(|c| c.0).collect();
    assert_eq!(rounds, [3, 2], "the last two are kept");
    plan
}

fn checkpoint(path: &Path, round: u32) -> PathBuf {
    path.join(format!("checkpoints/round-{round:06}.safetensors"))
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let temp = tempfile::tempdir().unwrap();
    let whole = temp.path().join("whole");
    let plan = tiny(&["rounds=6", "federation.clients=2", "checkpoint.every=1"]);
    start(&plan, &whole, u32::MAX);
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("torn", |b| b.truncate(b.len() / 2)),
        ("empty", Vec::clear),
        ("a bit of a weight", |b| *b.last_mut().unwrap() ^= 4),
        ("a bit of the header", |b| b[100] ^= 1),
    ];
    for (name, damage) in damages {
        let path = temp.path().join(name);
        stopped(&path);
        let file = checkpoint(&path, 3);
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        let (_, heard) = go_on(&plan, &path, u32::MAX).unwrap();
        assert!(heard[0].contains("round-000003") && heard[0].ends_with("an earlier checkpoint is used"), "{heard:?}");
        assert_eq!(heard[1], "resumed   after round 2 of 6", "{name}");
        same(&whole, &path, name);
    }
    let path = temp.path().join("logs");
    stopped(&path);
    let log = std::fs::read_to_string(path.join("metrics.csv")).unwrap();
    std::fs::write(path.join("metrics.csv"), &log[..log.len() - 3]).unwrap();
    let (_, heard) = go_on(&plan, &path, u32::MAX).unwrap();
    assert!(heard[0].contains("logs are shorter"), "{heard:?}");
    same(&whole, &path, "a torn log");
}

#[test]
fn where_no_checkpoint_is_whole_the_run_says_so() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a");
    let plan = stopped(&path);
    for round in [2, 3] {
        std::fs::write(checkpoint(&path, round), "no").unwrap();
    }
    let error = go_on(&plan, &path, 1).err().unwrap();
    let text = error.to_string();
    assert!(error.exit_code() == 2 && text.contains("round-000002") && text.contains("round-000003"), "{text}");
    assert!(text.contains("remove the folder `checkpoints`"), "{text}");
    // As the message says.
    std::fs::remove_dir_all(path.join("checkpoints")).unwrap();
    let (trained, heard) = go_on(&plan, &path, u32::MAX).unwrap();
    assert!(matches!(trained, Trained::Finished(_)) && heard[0].contains("from the start"), "{heard:?}");
    let whole = temp.path().join("whole");
    start(&plan, &whole, u32::MAX);
    same(&whole, &path, "from the start");
}

#[test]
fn checkpoints_of_another_experiment_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a");
    let plan = stopped(&path);
    let mut other = plan.clone();
    other.train.lr = 0.5;
    other.seed = 9;
    let error = go_on(&other, &path, 1).err().unwrap();
    let text = error.to_string();
    assert!(
        error.exit_code() == 2 && text.contains("another experiment: seed = 1, now 9; train.lr = 0.0004, now 0.5"),
        "{text}"
    );
    let mut prepared = prepared(&plan, &mut Silent).unwrap();
    prepared.experiment.digests.split = "0".into();
    let dir = RunDir::reopen(&path).unwrap();
    let text = prepared.resume(&dir, &mut Silent).err().unwrap().to_string();
    assert!(text.contains("the images, their partition"), "{text}");
    drop(dir);
    // Free keys, and a device that computes other bits: a warning.
    let mut free = plan.clone();
    (free.checkpoint.every, free.federation.clients_per_launch, free.device) = (0, Some(1), "reference".into());
    let (_, heard) = go_on(&free, &path, 1).unwrap();
    assert!(
        heard.len() == 2 && heard[0].contains("another device") && heard[0].contains("differ in bits"),
        "{heard:?}"
    );
}

#[test]
fn only_an_unfinished_run_that_nobody_works_on_is_opened_again() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a");
    let refusal = |path: &Path| RunDir::reopen(path).err().unwrap().to_string();
    assert!(refusal(&path).contains("has no plan.toml"), "{}", refusal(&path));
    let plan = stopped(&path);
    let dir = RunDir::reopen(&path).unwrap();
    assert!(refusal(&path).contains("another process"), "{}", refusal(&path));
    drop(dir);
    go_on(&plan, &path, u32::MAX).unwrap();
    assert!(refusal(&path).contains("finished"), "{}", refusal(&path));
}

/// Finished runs that were trained further, compared with a run that had all rounds from the start.
fn trained_further(set: &[&str]) {
    let of = |rounds: u32, more: &[&str]| {
        let rounds = format!("rounds={rounds}");
        let always = [rounds.as_str(), "checkpoint.every=2"];
        tiny(&[&always[..], set, more].concat())
    };
    let temp = tempfile::tempdir().unwrap();
    for every in ["evaluation.every=4", "evaluation.every=0"] {
        let whole = temp.path().join(format!("whole-{every}"));
        start(&of(9, &[every]), &whole, u32::MAX);
        // Finished at a round with an evaluation, at one without, after the first round, and several times. A detector without
        // any verdict is rejected: with detection the run finishes after the second round instead.
        let first: &[u32] = if set.iter().any(|s| s.starts_with("detection.")) { &[2] } else { &[1] };
        for (i, ends) in [&[4][..], &[5], first, &[2, 3, 4, 8]].into_iter().enumerate() {
            let path = temp.path().join(format!("{every}-{i}"));
            start(&of(ends[0], &[every]), &path, u32::MAX);
            let mut done = ends[0];
            for end in ends[1..].iter().copied().chain([9]) {
                assert_eq!(rounds_kept(&path), [done]);
                let (trained, heard) = go_on(&of(end, &[every]), &path, u32::MAX).unwrap();
                assert!(matches!(trained, Trained::Finished(_)), "{heard:?}");
                assert_eq!(heard, [format!("resumed   after round {done} of {end}")]);
                done = end;
            }
            same(&whole, &path, &format!("{set:?} {every} {ends:?}"));
        }
        // Stopped while being trained further.
        let path = temp.path().join(format!("{every}-stopped"));
        start(&of(3, &[every]), &path, u32::MAX);
        for rounds in [0, 1, u32::MAX] {
            go_on(&of(9, &[every]), &path, rounds).unwrap();
        }
        same(&whole, &path, &format!("{set:?} {every} stopped"));
    }
}

#[test]
fn an_honest_run_is_trained_further() {
    trained_further(&["federation.clients=2"]);
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn an_attacked_run_is_trained_further() {
    trained_further(&[
        "federation.clients=3",
        "attack.malicious=1",
        "attack.update={ kind = \"scale\", factor = 3 }",
        "federation.shared=both",
    ]);
}

#[test]
fn runs_under_every_attack_on_images_go_on() {
    for kind in ["blend", "sig", "warp", "fiba", "dba"] {
        let image = format!("attack.image={kind}");
        a_round_a_process(&["federation.clients=3", "attack.malicious=2", "federation.clients_per_launch=2", &image]);
    }
}

#[test]
fn runs_with_detection_are_trained_further() {
    let attacked = ["federation.clients=4", "attack.malicious=1", "detection.warmup=0"];
    for rule in ["detection.kind=isolation-forest-published", "detection.kind=isolation-forest"] {
        trained_further(&[&attacked[..], &[rule]].concat());
    }
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn a_regularised_run_is_trained_further() {
    trained_further(&["federation.clients=2", "train.loss=wgan-gp", "train.n_critic=2", "train.optimizer=rmsprop"]);
}

#[test]
fn a_finished_run_without_further_rounds_or_state_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    let of = |rounds: u32, last: &str| tiny(&[&format!("rounds={rounds}"), "federation.clients=2", last]);
    let (kept, bare) = (temp.path().join("kept"), temp.path().join("bare"));
    start(&of(3, "checkpoint.last=true"), &kept, u32::MAX);
    start(&of(3, "checkpoint.last=false"), &bare, u32::MAX);
    assert!(!bare.join("checkpoints").exists());
    let before = (left(&kept), left(&bare));
    let refusal = |rounds: u32, path: &Path| {
        let error = go_on(&of(rounds, "checkpoint.last=true"), path, u32::MAX).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    for rounds in [1, 3] {
        let text = refusal(rounds, &kept);
        assert!(text.contains("finished after 3 rounds") && text.contains("more than 3"), "{text}");
    }
    assert!(refusal(5, &bare).contains("kept no state"), "{}", refusal(5, &bare));
    // Another experiment cannot continue this run.
    let error = go_on(&tiny(&["rounds=5", "federation.clients=2", "train.lr=0.5"]), &kept, 1).err().unwrap();
    assert!(error.to_string().contains("another experiment: train.lr"), "{error}");
    assert!(before == (left(&kept), left(&bare)));
    // A stopped run cannot have fewer rounds than it has completed.
    let stopped = temp.path().join("stopped");
    start(&of(6, "checkpoint.last=true"), &stopped, 3);
    for rounds in [2, 3] {
        assert!(refusal(rounds, &stopped).contains("already done 3"), "{}", refusal(rounds, &stopped));
    }
    let (trained, _) = go_on(&of(4, "checkpoint.last=true"), &stopped, u32::MAX).unwrap();
    assert!(matches!(trained, Trained::Finished(_)));
    let whole = temp.path().join("whole");
    start(&of(4, "checkpoint.last=true"), &whole, u32::MAX);
    same(&whole, &stopped, "fewer rounds than were planned");
}

#[test]
fn a_run_that_was_killed_before_it_kept_its_last_state_is_trained_further_from_an_earlier_one() {
    let temp = tempfile::tempdir().unwrap();
    let of = |rounds: u32| tiny(&[&format!("rounds={rounds}"), "federation.clients=2", "evaluation.every=0"]);
    let path = temp.path().join("a");
    start(&of(5), &path, 2);
    let early = std::fs::read(checkpoint(&path, 2)).unwrap();
    go_on(&of(5), &path, u32::MAX).unwrap();
    std::fs::remove_file(checkpoint(&path, 5)).unwrap();
    std::fs::write(checkpoint(&path, 2), early).unwrap();
    let (_, heard) = go_on(&of(7), &path, u32::MAX).unwrap();
    assert_eq!(heard, ["resumed   after round 2 of 7"]);
    let whole = temp.path().join("whole");
    start(&of(7), &whole, u32::MAX);
    same(&whole, &path, "killed at the end");
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_an_error_that_names_it() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a");
    let plan = stopped(&path);
    std::fs::rename(path.join("checkpoints"), path.join("kept")).unwrap();
    std::fs::write(path.join("checkpoints"), "in the way").unwrap();
    let error = go_on(&plan, &path, 2).err().unwrap();
    assert!(error.to_string().contains("checkpoints"), "{error}");
    std::fs::remove_file(path.join("checkpoints")).unwrap();
    std::fs::rename(path.join("kept"), path.join("checkpoints")).unwrap();
    go_on(&plan, &path, u32::MAX).unwrap();
}
