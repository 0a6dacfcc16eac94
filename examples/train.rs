//! An experiment from a program's own code: trained with a progress line per round, stopped after half of its rounds, resumed from
//! its checkpoint, and evaluated.
//!
//! `cargo run --release --example train [DIRECTORY]` (new or empty; `train-example` where none is given)

use fedgan::config::{self, Overrides};
use fedgan::metric::Metric;
use fedgan::session::evaluate::{self, RunOptions};
use fedgan::session::{Observer, Round, Session, Silent, Trained};
use std::path::PathBuf;

/// Prints what it hears, and stops the session before the round `stop`.
struct Console {
    done: u32,
    stop: u32,
}

impl Observer for Console {
    fn note(&mut self, line: &str) {
        println!("{line}");
    }

    fn warning(&mut self, text: &str) {
        eprintln!("warning: {text}");
    }

    fn round(&mut self, round: &Round) {
        self.done = round.done;
        println!(
            "round {}: G {:.3}, D {:.3}, {:.0} images/s",
            round.done, round.loss_g, round.loss_d, round.images_per_second
        );
    }

    fn stop(&mut self) -> bool {
        self.done >= self.stop
    }
}

fn main() -> fedgan::Result<()> {
    // SAFETY: called first in the process, before any thread could read the environment.
    unsafe { fedgan::gpu::quiet_drivers() };
    let directory = PathBuf::from(std::env::args().nth(1).unwrap_or("train-example".into()));
    // The built-in attacked experiment, small enough for a software adapter or the cpu engine.
    let set = ["rounds=4", "train.local_steps=4", "train.batch=8", "model.width=8", "evaluation.samples=64"];
    let overrides = Overrides { set: set.map(String::from).to_vec(), ..Overrides::default() };
    let plan = config::load(Some("attacked".as_ref()), &overrides)?;

    let session = Session::new(plan).directory(&directory);
    if let Trained::Interrupted { done } = session.train(&mut Console { done: 0, stop: 2 })? {
        println!("stopped after round {done}, as asked");
    }

    let session = Session::resume(&directory, &Overrides::default())?;
    let Trained::Finished(run) = session.train(&mut Console { done: 2, stop: u32::MAX })? else {
        return Err(fedgan::Error::Internal("nobody stopped the second half".into()));
    };
    println!("{}", run.outcome);

    // The same metrics again, from the files of the run alone.
    let measured = evaluate::run(
        &run.directory,
        &RunOptions { metrics: vec![Metric::SlicedWasserstein], ..RunOptions::default() },
        &mut Silent,
    )?;
    for value in &measured.values {
        let written = run.summary.metrics.get(&value.name).copied();
        println!("{} {:.6}, {:?} in summary.json", value.name, value.value, written);
    }
    Ok(())
}
