//! Mistakes collected while a file is read.

use crate::Error;
use std::fmt::Display;

/// Mistakes, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Adds a finished line; `false`, for use in `retain` and conditions.
    pub fn push(&mut self, line: String) -> bool {
        self.0.push(line);
        false
    }

    /// Adds "PATH = FOUND: must be ALLOWED"; `false`.
    pub fn refuse(&mut self, path: &str, found: impl Display, allowed: &str) -> bool {
        self.push(format!("{path} = {found}: must be {allowed}"))
    }

    /// [`Problems::refuse`] unless `holds`.
    pub fn require(&mut self, holds: bool, path: &str, found: impl Display, allowed: &str) {
        if !holds {
            self.refuse(path, found, allowed);
        }
    }

    /// True when nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// All lines as one input error about `origin`.
    pub fn into_error(self, origin: &str) -> Error {
        match self.0.as_slice() {
            [one] => Error::input(format!("{origin}: {one}")),
            many => Error::input(format!("{origin}: {} problems\n  {}", many.len(), many.join("\n  "))),
        }
    }
}
