//! `fedgan demo`: the paper's story in three runs and one page.

use super::{environment, interrupt};
use crate::Result;
use crate::report::progress::duration;
use crate::report::{Progress, Together};
use crate::session::demo::Demo;
use crate::session::{Observer, Round, Start};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `fedgan demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Directory of the page and the three runs: a new or empty one, or that of a demo to continue.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub out: PathBuf,
    /// Sets a key in all three runs, such as rounds=60 or data={ kind = "folder", path = "FOLDER" }; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, gpu, gpu:N (a number of `fedgan devices`), cpu, reference, or part of an adapter's name [default: FEDGAN_DEVICE, or
    /// auto].
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Print errors only.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Trains the three runs at once and writes the page; returns the exit code.
///
/// # Errors
/// Bad input before anything is written; later, a device that fails or a file that cannot be written.
pub fn run(args: DemoArgs) -> Result<u8> {
    interrupt::listen_for_batch_systems()?;
    let started = Instant::now();
    let demo = Demo::new(&args.out, &args.set, args.device.as_deref())?.tuned(environment::tuning()?);
    let together = Together::new(args.quiet);
    let listener = |(index, label): (usize, &str)| Listener {
        label: label.to_string(),
        first: index == 0,
        quiet: args.quiet,
        together: together.clone(),
        progress: None,
    };
    let mut listeners: Vec<Listener> = demo.names().enumerate().map(listener).collect();
    let mut observers: Vec<&mut (dyn Observer + Send)> =
        listeners.iter_mut().map(|l| l as &mut (dyn Observer + Send)).collect();
    if !demo.train(&mut observers)? {
        super::tell("interrupted; repeat the command to continue");
        return Ok(interrupt::EXIT_CODE);
    }
    demo.tell()?;
    if !args.quiet {
        let time = duration(started.elapsed().as_secs_f64());
        super::print(format!("time      {time}\nlook at   {}\n", demo.page().display()))?;
    }
    Ok(0)
}

/// The observer of one of the runs: notes of the first one only, warnings and rounds with the run's name.
struct Listener {
    label: String,
    first: bool,
    quiet: bool,
    together: Together,
    progress: Option<Progress>,
}

impl Observer for Listener {
    fn note(&mut self, line: &str) {
        // The runs share device and images.
        if self.first && !self.quiet {
            self.together.line(line);
        }
    }

    fn warning(&mut self, text: &str) {
        self.together.line(&format!("warning: {}: {text}", self.label));
    }

    fn directory(&mut self, _path: &Path) -> Result<()> {
        interrupt::listen()
    }

    fn begin(&mut self, start: &Start) {
        self.progress = Some(self.together.progress(&self.label, start.done as usize, start.rounds as usize));
    }

    fn round(&mut self, round: &Round) {
        let Some(progress) = &mut self.progress else { return };
        progress.round(&round.progress());
    }

    fn end(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.finish();
        }
    }

    fn stop(&mut self) -> bool {
        interrupt::asked()
    }
}
