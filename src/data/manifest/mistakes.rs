//! Mistakes in a manifest, all in one message.

use crate::{Error, Result, input};
use std::path::Path;

/// Maximum mistakes in a message; further ones are only counted.
const MOST: usize = 100;
/// Maximum bytes of a line of it.
const LINE: usize = 2000;

/// Mistakes, told in the order of their lines.
#[derive(Default)]
pub(super) struct Mistakes {
    lines: Vec<(u64, String)>,
    more: usize,
}

impl Mistakes {
    /// Adds what is wrong in a line of the file.
    pub fn push(&mut self, line: u64, what: String) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.lines.push((line, input::shorten(&format!("line {line}: {what}"), LINE)));
        }
    }

    /// Whether further mistakes are only counted.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= MOST
    }

    /// `value` if there is no mistake.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn or<T>(mut self, path: &Path, value: T) -> Result<T> {
        self.lines.sort_by_key(|(line, _)| *line);
        let lines: Vec<String> = self.lines.into_iter().map(|(_, what)| what).collect();
        match lines.as_slice() {
            [] => Ok(value),
            [one] => Err(Error::file(path, one)),
            many => {
                let more = if self.more > 0 { format!("\n  and {} more", self.more) } else { String::new() };
                Err(Error::file(path, format!("{} mistakes\n  {}{more}", many.len() + self.more, many.join("\n  "))))
            }
        }
    }
}
