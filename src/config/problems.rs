//! Mistakes collected while reading a file.

use crate::{Error, input};
use std::fmt::Display;

/// Largest number of lines; further ones are only counted.
const MOST: usize = 100;
/// Largest number of bytes of a quoted value, and of a line.
const FOUND: usize = 200;
const LINE: usize = 2000;

/// Mistakes, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    lines: Vec<String>,
    more: usize,
}

impl Problems {
    /// Adds a line; returns `false`, for `retain` and conditions.
    pub fn push(&mut self, line: String) -> bool {
        if self.is_full() {
            self.more += 1;
        } else {
            self.lines.push(input::shorten(&line, LINE));
        }
        false
    }

    /// Adds "PATH = FOUND: must be ALLOWED"; returns `false`.
    pub fn refuse(&mut self, path: &str, found: impl Display, allowed: &str) -> bool {
        let found = input::shorten(&found.to_string(), FOUND);
        self.push(format!("{path} = {found}: must be {allowed}"))
    }

    /// [`Problems::refuse`] unless `holds`.
    pub fn require(&mut self, holds: bool, path: &str, found: impl Display, allowed: &str) {
        if !holds {
            self.refuse(path, found, allowed);
        }
    }

    /// Whether there is no mistake.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether further lines are only counted, so that their text need not be computed.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= MOST
    }

    /// Whether a line is about a key or a key below it.
    pub fn mention(&self, path: &str) -> bool {
        let ends = |rest: &str| rest.starts_with(['.', ' ', ':', '[']);
        self.lines.iter().any(|line| line.strip_prefix(path).is_some_and(ends))
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// All lines as one input error about `origin`.
    pub fn into_error(self, origin: &str) -> Error {
        match self.lines.as_slice() {
            [one] => Error::input(format!("{origin}: {one}")),
            many => {
                let all = many.len() + self.more;
                let more = if self.more > 0 { format!("\n  and {} more", self.more) } else { String::new() };
                Error::input(format!("{origin}: {all} problems\n  {}{more}", many.join("\n  ")))
            }
        }
    }
}
