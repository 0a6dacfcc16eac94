//! The console as an observer of sessions: it prints notes and warnings to standard error, shows the progress of rounds, and
//! treats Ctrl-C as a request to stop.

use super::interrupt;
use crate::Result;
use crate::report::{Progress, ProgressMode};
use crate::session::{Observer, Round, Start};
use std::path::{Path, PathBuf};

/// An observer that writes to standard error.
pub struct Console {
    quiet: bool,
    mode: ProgressMode,
    progress: Option<Progress>,
    /// The output directory, once the session has one.
    pub directory: Option<PathBuf>,
}

impl Console {
    /// A console that shows rounds according to `mode`; `quiet` suppresses notes and rounds, but not warnings.
    pub fn new(quiet: bool, mode: ProgressMode) -> Console {
        let mode = if quiet { ProgressMode::Quiet } else { mode };
        Console { quiet, mode, progress: None, directory: None }
    }
}

impl Observer for Console {
    fn note(&mut self, line: &str) {
        if !self.quiet {
            super::tell(line);
        }
    }

    fn warning(&mut self, text: &str) {
        super::tell(&format!("warning: {text}"));
    }

    fn directory(&mut self, path: &Path) -> Result<()> {
        self.note(&format!("directory {}", path.display()));
        self.directory = Some(path.to_path_buf());
        interrupt::listen()
    }

    fn begin(&mut self, start: &Start) {
        self.progress = Some(Progress::resumed(start.done as usize, start.rounds as usize, self.mode));
    }

    fn round(&mut self, round: &Round) {
        let Some(progress) = &mut self.progress else { return };
        let left_out = if round.left_out { "; dropped from this round" } else { "" };
        for (client, fault) in &round.diverged {
            progress.remark(&format!("round {}: client {client}: {fault} is not finite{left_out}", round.done));
        }
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
