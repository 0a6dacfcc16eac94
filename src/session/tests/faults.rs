//! Runs on devices that fail or compute wrong results.

use super::super::experiment::Experiment;
use super::super::retry::Retries;
use super::resume::{go_on, same, start};
use super::*;
use crate::config::Resolved;
use crate::exec::{CpuEngine, Engine, Purpose, Recording};
use std::cell::Cell;

/// A device that is unplugged after a number of executions.
struct Unplugged {
    inner: CpuEngine,
    left: u32,
}

impl Engine for Unplugged {
    crate::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Error::device("unplugged"))?;
        self.inner.run(recording, times)
    }
}

fn unplugged(left: u32) -> Unplugged {
    Unplugged { inner: CpuEngine::new(), left }
}

/// A run on that device.
fn on(plan: &Plan, engine: impl Engine + 'static) -> Prepared {
    let images = Images::load(plan).unwrap();
    let resolved = Resolved::new(engine.descriptor(), "the built-in cpu engine, as requested");
    let parts = parts(plan, &images, Box::new(engine)).unwrap();
    Prepared { experiment: Experiment::new(plan.clone(), images, parts, None).unwrap(), resolved }
}

#[test]
fn a_lost_device_is_opened_anew() {
    let temp = tempfile::tempdir().unwrap();
    let plan = tiny(&["rounds=6", "federation.clients=2", "checkpoint.every=2"]);
    let whole = temp.path().join("whole");
    start(&plan, &whole, u32::MAX);
    // The first device dies somewhere, the second soon, the third lasts.
    for (tries, executions) in [(3, 25), (3, 40), (1, 40)] {
        let path = temp.path().join(format!("{tries}-{executions}"));
        let dir = RunDir::create(Some(&path), &path, "x").unwrap();
        let opened = Cell::new(0);
        let again = |dir: &RunDir, observer: &mut dyn Observer| {
            opened.set(opened.get() + 1);
            let mut prepared = match opened.get() {
                1 => on(&plan, unplugged(20)),
                2 => return Err(Error::device("not back yet")),
                _ => prepared(&plan, observer)?,
            };
            let line = prepared.resume(dir, observer)?;
            Ok((prepared, line))
        };
        let retries = Retries { left: tries, pause: std::time::Duration::ZERO, again: &again };
        let mut heard = Heard::default();
        let answer = retries.train(on(&plan, unplugged(executions)), &dir, &mut heard);
        drop(dir);
        if tries == 1 {
            let error = answer.err().unwrap();
            assert!(matches!(&error, Error::Device(what) if what == "unplugged"), "{error}");
            go_on(&plan, &path, u32::MAX).unwrap();
        } else {
            assert!(matches!(answer.unwrap(), Trained::Finished(_)));
            let heard = heard.warnings;
            assert_eq!(heard.iter().filter(|h| h.contains("reopening it")).count(), 3, "{heard:?}");
        }
        same(&whole, &path, &format!("{executions} executions"));
    }
}

/// A device that writes a NaN into the discriminators of the given clients after the given rounds.
struct Nonsense {
    inner: CpuEngine,
    clients: &'static [usize],
    after: Vec<u32>,
    round: u32,
}

impl Engine for Nonsense {
    crate::forward_engine!(descriptor, alloc, write, read, finish, traffic, max_binding_words);

    fn run(&mut self, recording: &Recording, times: u32) -> Result<()> {
        self.inner.run(recording, times)?;
        let Some(adam) = recording.launches().iter().find(|l| l.label == "D Adam") else { return Ok(()) };
        if self.after.contains(&self.round) {
            let weights = adam.args[0];
            let mut words = self.inner.read(weights, Purpose::Check)?;
            for client in self.clients {
                words[client * (weights.words / adam.params[0] as usize) + 70] = f32::NAN.to_bits();
            }
            self.inner.write(weights, &words)?;
        }
        self.round += 1;
        Ok(())
    }
}

/// Continues a run with `done` completed rounds until round `until`, on a device that fails after `rounds` (of the whole run).
fn nonsense(
    plan: &Plan,
    path: &Path,
    (done, until): (u32, u32),
    clients: &'static [usize],
    rounds: &[u32],
) -> Result<Trained> {
    let after = rounds.iter().filter_map(|r| r.checked_sub(done)).collect();
    let mut prepared = on(plan, Nonsense { inner: CpuEngine::new(), clients, after, round: 0 });
    let dir = match done {
        0 => RunDir::create(Some(path), path, "x")?,
        _ => RunDir::reopen(path)?,
    };
    if done > 0 {
        assert_eq!(prepared.resume(&dir, &mut Silent)?, format!("resumed   after round {done} of {}", plan.rounds));
    }
    prepared.train(&dir, &mut Heard::stopping(until - done))
}

/// The moments of a dropped client are younger than the run, and so is Adam's bias correction.
#[test]
fn a_run_goes_on_with_a_client_that_was_left_out() {
    let temp = tempfile::tempdir().unwrap();
    let set = ["rounds=5", "federation.clients=3", "federation.nonfinite=drop", "checkpoint.every=1"];
    let plan = tiny(&set);
    let (faults, whole) = (&[1, 2], temp.path().join("whole"));
    nonsense(&plan, &whole, (0, 5), &[1], faults).unwrap();
    let weights: Vec<[f64; 3]> = std::fs::read_to_string(whole.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let round: serde_json::Value = serde_json::from_str(line).unwrap();
            [0, 1, 2].map(|c| round["clients"][c]["weight"].as_f64().unwrap())
        })
        .collect();
    let (all, without) = ([1.0 / 3.0; 3], [0.5, 0.0, 0.5]);
    assert_eq!(weights, [all, without, without, all, all]);
    for stop in 1..5 {
        let path = temp.path().join(format!("stopped-{stop}"));
        assert!(matches!(nonsense(&plan, &path, (0, stop), &[1], faults).unwrap(), Trained::Interrupted { .. }));
        assert!(matches!(nonsense(&plan, &path, (stop, 5), &[1], faults).unwrap(), Trained::Finished(_)));
        same(&whole, &path, &format!("stopped after round {stop}"));
    }
}

/// The third round in a row without any client ends a run, even if it was stopped and resumed in between.
#[test]
fn rounds_without_a_client_are_counted_on() {
    let temp = tempfile::tempdir().unwrap();
    let set = ["rounds=6", "federation.clients=2", "federation.nonfinite=drop", "checkpoint.every=1"];
    let (plan, path) = (tiny(&set), temp.path().join("a"));
    let faults = &[1, 2, 3];
    for (done, until) in [(0, 2), (2, 3)] {
        let trained = nonsense(&plan, &path, (done, until), &[0, 1], faults).unwrap();
        assert!(matches!(trained, Trained::Interrupted { .. }));
    }
    let error = nonsense(&plan, &path, (3, 6), &[0, 1], faults).err().unwrap();
    assert!(error.to_string().contains("no client was left in the last 3 rounds"), "{error}");
    // A sound device continues after the last complete round.
    assert!(matches!(go_on(&plan, &path, u32::MAX).unwrap().0, Trained::Finished(_)));
}

/// The launch is found in the process that began the run and in one that resumed it and still holds its directory.
#[test]
fn the_first_nonfinite_launch_is_found_after_a_resumption_too() {
    let temp = tempfile::tempdir().unwrap();
    let plan = tiny(&["federation.clients=2", "train.lr=1e30", "rounds=3"]);
    let path = temp.path().join("a");
    let stops = |session: &Session| {
        let error = session.train(&mut Silent).err().unwrap();
        assert!(matches!(error, Error::NotFinite(_)), "{error}");
        session.first_nonfinite(&path, &mut Silent).unwrap().expect("the fault recurs")
    };
    let first = stops(&Session::new(plan).directory(&path).tuned(false));
    let resumed = Session::resume(&path, &Overrides::default()).unwrap().tuned(false);
    assert_eq!(stops(&resumed), first);
}
