//! Progress of a long command other than a run: a bar on a terminal, occasional lines elsewhere.

use super::progress::duration;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without a terminal a line is written at most this often.
const TIME_PER_LINE: Duration = Duration::from_secs(30);

/// Completed steps and their total. Clones share the state.
#[derive(Clone)]
pub struct Steps {
    bar: ProgressBar,
    lines: Option<Arc<Mutex<Lines>>>,
}

struct Lines {
    out: Box<dyn Write + Send>,
    start: Instant,
    last: Duration,
    message: String,
}

impl Steps {
    /// A display for `total` steps (0: unknown) on stderr.
    pub fn new(total: u64) -> Steps {
        let template = "{bar:20} {pos}/{len} {elapsed} {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style);
        let hidden = bar.is_hidden() || !std::io::stderr().is_terminal();
        let lines = hidden.then(|| Steps::lines(Box::new(std::io::stderr())));
        Steps { bar, lines }
    }

    fn lines(out: Box<dyn Write + Send>) -> Arc<Mutex<Lines>> {
        Arc::new(Mutex::new(Lines { out, start: Instant::now(), last: Duration::ZERO, message: String::new() }))
    }

    /// Names the current step.
    pub fn set_message(&self, message: String) {
        if let Some(lines) = &self.lines {
            lines.lock().unwrap_or_else(PoisonError::into_inner).message.clone_from(&message);
        }
        self.bar.set_message(message);
        self.say();
    }

    /// One more step is complete.
    pub fn inc(&self) {
        self.bar.inc(1);
        self.say();
    }

    /// Sets the number of completed steps.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        self.say();
    }

    /// Runs `f`, which writes to the console.
    pub fn suspend<R>(&self, f: impl FnOnce() -> R) -> R {
        self.bar.suspend(f)
    }

    /// Removes the bar.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self) {
        let Some(lines) = &self.lines else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = lines.start.elapsed();
        self.say_at(&mut lines, elapsed);
    }

    fn say_at(&self, lines: &mut Lines, elapsed: Duration) {
        if elapsed.saturating_sub(lines.last) < TIME_PER_LINE {
            return;
        }
        lines.last = elapsed;
        let (done, total) = (self.bar.position(), self.bar.length().filter(|total| *total > 0));
        let of = total.map_or(String::new(), |total| format!("/{total}"));
        // The console may be gone (a closed pipe); that does not end the work.
        let text = format!("{done}{of}  {}  {}", duration(elapsed.as_secs_f64()), lines.message);
        let _ = writeln!(lines.out, "{}", text.trim_end()).and_then(|()| lines.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::tests::Shared;
    use super::*;

    #[test]
    fn a_line_is_written_every_half_minute() {
        let out = Shared::default();
        let lines = Some(Steps::lines(Box::new(out.clone())));
        let steps = Steps { bar: ProgressBar::hidden(), lines };
        steps.bar.set_length(7);
        steps.set_message("mutants of a.wgsl".into());
        for (seconds, done) in [(1, 1), (31, 2), (40, 3), (90, 4)] {
            steps.bar.set_position(done);
            let lines = steps.lines.clone().unwrap();
            steps.say_at(&mut lines.lock().unwrap(), Duration::from_secs(seconds));
        }
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "2/7  31 s  mutants of a.wgsl\n4/7  1 min 30 s  mutants of a.wgsl\n");
    }
}
