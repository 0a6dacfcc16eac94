//! The console output during a run: a bar on a terminal, plain lines elsewhere, nothing in quiet mode. All of it goes
//! to stderr, so that stdout stays free for results.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Without a terminal a line is written after this share of the rounds ...
const SHARE_PER_LINE: f64 = 0.05;
/// ... or after this time, whichever comes first.
const TIME_PER_LINE: Duration = Duration::from_secs(10);

/// The kind of display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// A bar if stderr is a terminal, plain lines otherwise.
    Auto,
    /// Plain lines.
    Plain,
    /// A bar that vanishes at the end if stderr is a terminal, nothing otherwise: for one run of many.
    Passing,
    /// Nothing.
    Quiet,
}

/// A completed round, for the display.
#[derive(Clone, Copy, Debug)]
pub struct RoundProgress {
    /// Completed rounds, including this one.
    pub done: usize,
    /// Generator loss of the round, mean over the clients.
    pub loss_g: f64,
    /// Discriminator loss of the round (mean over real and generated), mean over the clients.
    pub loss_d: f64,
    /// Training images per second, over all clients.
    pub images_per_second: f64,
}

/// The displays of runs that train at once: bars below each other on a terminal, labelled lines elsewhere.
#[derive(Clone)]
pub struct Together {
    bars: Option<MultiProgress>,
    quiet: bool,
}

impl Together {
    /// Displays on stderr; `quiet` shows nothing.
    pub fn new(quiet: bool) -> Together {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let terminal = std::io::stderr().is_terminal() && !bars.is_hidden();
        Together { bars: (terminal && !quiet).then_some(bars), quiet }
    }

    /// The display of the run `label` of `total` rounds, of which `done` are complete; the clock starts now.
    pub fn progress(&self, label: &str, done: usize, total: usize) -> Progress {
        let display = match &self.bars {
            _ if self.quiet => Display::Quiet,
            Some(bars) => {
                let bar = bars.add(ProgressBar::new(total as u64));
                style(&bar, "{prefix:10} ");
                bar.set_prefix(label.to_string());
                bar.set_position(done as u64);
                bar.reset_eta();
                Display::Bar(bar)
            }
            None => Display::Lines { out: Box::new(std::io::stderr()), last: None },
        };
        let label = format!("{label}: ");
        Progress { total, before: done, start: Instant::now(), label, display }
    }

    /// Prints a line above the bars, or on a separate line.
    pub fn line(&self, text: &str) {
        match &self.bars {
            // The console may be gone; that does not end a run.
            Some(bars) => drop(bars.println(text)),
            None => say(&mut std::io::stderr(), text),
        }
    }
}

/// The display of one run.
pub struct Progress {
    total: usize,
    /// Rounds completed before the clock started.
    before: usize,
    start: Instant,
    /// Precedes plain lines; empty if only one run trains.
    label: String,
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    /// Removed at the end.
    PassingBar(ProgressBar),
    Lines {
        out: Box<dyn Write + Send>,
        last: Option<(usize, Duration)>,
    },
    Quiet,
}

impl Progress {
    /// A display for `total` rounds; the clock starts now.
    pub fn new(total: usize, mode: ProgressMode) -> Progress {
        let lines = || Display::Lines { out: Box::new(std::io::stderr()), last: None };
        let display = match mode {
            ProgressMode::Quiet => Display::Quiet,
            ProgressMode::Plain => lines(),
            ProgressMode::Passing if std::io::stderr().is_terminal() => Display::PassingBar(bar(total)),
            ProgressMode::Passing => Display::Quiet,
            // A terminal may still be unable to move its cursor; the bar then hides itself.
            ProgressMode::Auto if std::io::stderr().is_terminal() => {
                let bar = bar(total);
                if bar.is_hidden() { lines() } else { Display::Bar(bar) }
            }
            ProgressMode::Auto => lines(),
        };
        Progress { total, before: 0, start: Instant::now(), label: String::new(), display }
    }

    /// [`Progress::new`] for a run with `done` completed rounds.
    pub fn resumed(done: usize, total: usize, mode: ProgressMode) -> Progress {
        let progress = Progress { before: done, ..Progress::new(total, mode) };
        if let Display::Bar(bar) | Display::PassingBar(bar) = &progress.display {
            bar.set_position(done as u64);
            bar.reset_eta();
        }
        progress
    }

    /// Plain lines to any writer.
    pub fn to_writer(total: usize, out: Box<dyn Write + Send>) -> Progress {
        let display = Display::Lines { out, last: None };
        Progress { total, before: 0, start: Instant::now(), label: String::new(), display }
    }

    /// Shows a finished round.
    pub fn round(&mut self, round: &RoundProgress) {
        let elapsed = self.start.elapsed();
        self.round_at(round, elapsed);
    }

    fn round_at(&mut self, round: &RoundProgress, elapsed: Duration) {
        match &mut self.display {
            Display::Bar(bar) | Display::PassingBar(bar) => {
                bar.set_position(round.done as u64);
                bar.set_message(losses(round));
            }
            Display::Lines { out, last } => {
                if is_due(round.done, self.total, elapsed, *last) {
                    *last = Some((round.done, elapsed));
                    say(out, &(self.label.clone() + &line(round, self.before, self.total, elapsed)));
                }
            }
            Display::Quiet => {}
        }
    }

    /// Shows a remark ("grid written to ...") above the bar or on a separate line.
    pub fn remark(&mut self, text: &str) {
        match &mut self.display {
            Display::Bar(bar) | Display::PassingBar(bar) => bar.println(text),
            Display::Lines { out, .. } => say(out, text),
            Display::Quiet => {}
        }
    }

    /// Ends the display, leaving the bar visible unless it is a passing one.
    pub fn finish(self) {
        match &self.display {
            Display::Bar(bar) => bar.abandon(),
            Display::PassingBar(bar) => bar.finish_and_clear(),
            Display::Lines { .. } | Display::Quiet => {}
        }
    }
}

fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    style(&bar, "");
    bar
}

fn style(bar: &ProgressBar, before: &str) {
    let template = format!("{before}[{{bar:30}}] round {{pos}}/{{len}}  {{msg}}  {{eta}} left");
    // The template is a constant; if it were ever wrong, the default style still shows the rounds.
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(500));
}

/// The console may be gone (a closed pipe); that does not end a run.
fn say(out: &mut dyn Write, text: &str) {
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn losses(round: &RoundProgress) -> String {
    format!("G {:.3}  D {:.3}  {:.0} images/s", round.loss_g, round.loss_d, round.images_per_second)
}

/// Whether a line is due: for the first and last round, and in between by share and by time. `last` is the round and
/// the time of the previous line.
fn is_due(done: usize, total: usize, elapsed: Duration, last: Option<(usize, Duration)>) -> bool {
    let Some((round, time)) = last else { return true };
    let share = done.saturating_sub(round) as f64 / total.max(1) as f64;
    done >= total || share >= SHARE_PER_LINE || elapsed.saturating_sub(time) >= TIME_PER_LINE
}

fn line(round: &RoundProgress, before: usize, total: usize, elapsed: Duration) -> String {
    let per_round = elapsed.as_secs_f64() / round.done.saturating_sub(before).max(1) as f64;
    let left = per_round * total.saturating_sub(round.done) as f64;
    format!("round {}/{total}  {}  {} left", round.done, losses(round), duration(left))
}

/// Formats seconds for readers: "8 s", "3 min 05 s", "2 h 10 min".
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Collects the writes to all clones.
    #[derive(Clone, Default)]
    pub struct Shared(pub Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn round(done: usize) -> RoundProgress {
        RoundProgress { done, loss_g: 1.23456, loss_d: 0.5, images_per_second: 1234.5 }
    }

    fn lines_of(total: usize, seconds_per_round: f64) -> Vec<String> {
        let out = Shared::default();
        let mut progress = Progress::to_writer(total, Box::new(out.clone()));
        for done in 1..=total {
            progress.round_at(&round(done), Duration::from_secs_f64(seconds_per_round * done as f64));
        }
        progress.finish();
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(String::from).collect()
    }

    #[test]
    fn fast_runs_write_a_line_every_twentieth() {
        let lines = lines_of(1000, 0.001);
        assert_eq!(lines.len(), 21, "the first, then every 50, and the last");
        assert!(lines[1].starts_with("round 51/1000  G 1.235  D 0.500  1234 images/s"), "{}", lines[1]);
        assert!(lines[20].starts_with("round 1000/1000") && lines[20].ends_with("0 s left"), "{}", lines[20]);
    }

    #[test]
    fn slow_runs_write_a_line_every_ten_seconds() {
        // 4 s per round: a line after every third round.
        assert_eq!(lines_of(1000, 4.0).len(), 334);
        assert_eq!(lines_of(3, 60.0).len(), 3);
    }

    #[test]
    fn the_time_left_is_extrapolated() {
        assert!(lines_of(100, 2.0)[0].ends_with("3 min 18 s left"));
        assert_eq!(duration(59.4), "59 s");
        assert_eq!(duration(185.0), "3 min 05 s");
        assert_eq!(duration(7800.0), "2 h 10 min");
        assert_eq!(duration(f64::NAN), "0 s");
    }

    #[test]
    fn remarks_are_lines_and_a_closed_pipe_is_survived() {
        let out = Shared::default();
        let mut progress = Progress::to_writer(1, Box::new(out.clone()));
        progress.remark("device: cpu");
        progress.round(&round(1));
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("device: cpu\nround 1/1"), "{text}");

        struct Closed(Shared);
        impl Write for Closed {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.write_all(bytes)?;
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let seen = Shared::default();
        let mut progress = Progress::to_writer(2, Box::new(Closed(seen.clone())));
        progress.round(&round(1));
        progress.round(&round(2));
        assert!(!seen.0.lock().unwrap().is_empty(), "it was tried");
    }
}
