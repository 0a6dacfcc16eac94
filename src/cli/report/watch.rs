//! `fedgan report --watch`: the page of runs under way, made again when they have gone on.

use super::{ReportArgs, facts, finish};
use crate::cli::interrupt;
use crate::config::Sweep;
use crate::config::sweep::Cell;
use crate::report::html::live::{self, Stamp};
use crate::report::html::{self, Inputs, Live, Page};
use crate::report::outputs::{self, OutputKind};
use crate::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest delay of an interrupt.
const SLICE: Duration = Duration::from_millis(50);
/// Looks at directories that cannot be read, and the time between them: sweeps rename finished runs, and logs are truncated when
/// a run continues.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Pauses take this many times as long as making the page, which uses the processor that trains.
const REST: u32 = 10;
/// Without a terminal a line is written after this time.
const PER_LINE: Duration = Duration::from_secs(10);

/// What a look has found.
enum Look {
    /// Files are as they were.
    Same,
    /// The runs have gone on; a page was written unless no run has begun.
    GoneOn(String),
    /// All runs are finished, and the last page was written.
    Finished(Page),
}

/// The watched directories and their page.
pub(super) struct Watch<'a> {
    args: &'a ReportArgs,
    kind: OutputKind,
    stamp: Option<Stamp>,
    /// What the last page shows.
    shown: Option<Inputs>,
    desk: Desk,
}

impl<'a> Watch<'a> {
    pub fn new(args: &'a ReportArgs, kind: OutputKind) -> Watch<'a> {
        Watch { args, kind, stamp: None, shown: None, desk: Desk::new() }
    }

    /// Looks until all runs are finished or the user interrupts; returns the exit code.
    ///
    /// # Errors
    /// As without `--watch`; directories that vanish.
    pub fn run(mut self) -> Result<u8> {
        interrupt::listen_silently()?;
        let end = self.looks();
        self.desk.bar.finish_and_clear();
        let page = match end {
            Ok(Some(page)) => Some(page),
            // A page that is not made again must not go on loading itself.
            Ok(None) => self.last()?,
            Err(error) => {
                // Whatever prevents that is likely the first error.
                let _ = self.last();
                return Err(error);
            }
        };
        page.as_ref().map_or(Ok(()), |page| finish(self.args, page))?;
        if interrupt::asked() {
            crate::cli::tell("interrupted");
            return Ok(interrupt::EXIT_CODE);
        }
        Ok(0)
    }

    /// The page of finished runs, or `None` after an interrupt.
    fn looks(&mut self) -> Result<Option<Page>> {
        let every = Duration::from_secs_f64(self.args.every);
        let mut begin = Some(format!("page      {}, until the runs are finished or Ctrl-C", self.args.out.display()));
        while !interrupt::asked() {
            let started = Instant::now();
            match self.patiently()? {
                Look::Finished(page) => return Ok(Some(page)),
                Look::GoneOn(line) => {
                    begin.take().iter().for_each(|begin| crate::cli::tell(begin));
                    self.desk.say(&line);
                }
                Look::Same => {}
            }
            let pause = every.max(started.elapsed() * REST);
            let started = Instant::now();
            while started.elapsed() < pause && !interrupt::asked() {
                std::thread::sleep(SLICE.min(pause));
            }
        }
        Ok(None)
    }

    /// A look, repeated if files change under it.
    fn patiently(&mut self) -> Result<Look> {
        for _ in 1..LOOKS {
            match self.look() {
                Err(Error::Input(_)) => std::thread::sleep(BETWEEN_LOOKS),
                look => return look,
            }
        }
        self.look().map_err(|error| match self.args.dirs.iter().find(|dir| !dir.exists()) {
            Some(dir) if self.shown.is_some() => Error::file(dir, "this directory was watched and has vanished"),
            _ => error,
        })
    }

    fn look(&mut self) -> Result<Look> {
        // Before the files are read: what changes meanwhile is seen the next time.
        let stamp = Stamp::of(&self.args.dirs);
        if self.stamp.as_ref() == Some(&stamp) {
            return Ok(Look::Same);
        }
        let inputs = html::load_live(&self.args.dirs, &facts)?;
        let line = live::line(&inputs, self.total(&inputs));
        if inputs.runs.is_empty() {
            self.stamp = Some(stamp);
            return Ok(Look::GoneOn(format!("under way: {}; no run has begun", line.unwrap_or_default())));
        }
        let every = self.args.every.ceil() as u32;
        let live = line.as_ref().map(|line| Live { line: line.clone(), every });
        let page = self.write(&inputs, live.as_ref())?;
        (self.stamp, self.shown) = (Some(stamp), Some(inputs));
        Ok(line.map_or(Look::Finished(page), |line| Look::GoneOn(format!("under way: {line}"))))
    }

    fn write(&self, inputs: &Inputs, live: Option<&Live>) -> Result<Page> {
        let page = html::render_live(inputs, self.args.reference.as_deref(), live)?;
        outputs::write(&self.args.out, self.kind, page.html.as_bytes())?;
        Ok(page)
    }

    /// The last page again, as one that stays.
    fn last(&self) -> Result<Option<Page>> {
        self.shown.as_ref().map(|inputs| self.write(inputs, None)).transpose()
    }

    /// The number of runs that will be there in the end; `None` if a sweep does not say.
    fn total(&self, inputs: &Inputs) -> Option<usize> {
        let missing = |dir: &PathBuf| {
            let cells = Sweep::read(&dir.join("sweep.toml")).and_then(|sweep| sweep.cells()).ok()?;
            Some(live::missing(dir, &cells.iter().map(Cell::directory).collect::<Vec<_>>()))
        };
        let sweeps = self.args.dirs.iter().filter(|dir| !dir.join("plan.toml").is_file());
        Some(inputs.runs.len() + sweeps.map(missing).sum::<Option<usize>>()?)
    }
}

/// Where progress is shown: one line that changes on a terminal, lines elsewhere.
struct Desk {
    bar: ProgressBar,
    said: Option<Instant>,
}

impl Desk {
    fn new() -> Desk {
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Desk { bar, said: None }
    }

    fn say(&mut self, line: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(line.to_string());
            self.bar.tick();
        } else if self.said.is_none_or(|said| said.elapsed() >= PER_LINE) {
            self.said = Some(Instant::now());
            crate::cli::tell(line);
        }
    }
}
